"""The forms of credentials: a plain table, from what those who issue them have published.

Forms that only detect-secrets has are left to it, in `secrets.py`. A form says how long a token is and of which
characters, never which token. Knows nothing of messages.
"""

import re

_START, _END = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_-])"


def _token(form: str) -> re.Pattern[str]:
    """A token that stands by itself, not a part of a longer word."""
    return re.compile(f"{_START}(?:{form}){_END}")


# Rule by rule; each needs a word of 20 characters or more in the text (see `_LONG_WORD` in `secrets.py`).
TOKENS: dict[str, re.Pattern[str]] = {
    "1password": _token(
        r"ops_eyJ[A-Za-z0-9+/_-]{100,}={0,2}|A3-[A-Z0-9]{6}(?:-(?:[A-Z0-9]{11}|[A-Z0-9]{6}))?"
        r"(?:-[A-Z0-9]{5}){3,4}"
    ),
    "anthropic": _token(r"sk-ant-[a-z]+\d\d-[A-Za-z0-9_-]{80,}"),
    "atlassian": _token(r"ATATT3[A-Za-z0-9_=-]{100,}|ATCTT3[A-Za-z0-9_=-]{100,}"),
    "aws secret": re.compile(
        r"(?i)(?:aws|secret)\w{0,20}(?:secret|access|key)\w*[\"']?\s{0,3}(?::=|=>|[:=]|is)\s{0,3}[\"']?"
        r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
    ),
    "aws session": _token(r"(?:ASIA|ABSK)[A-Za-z0-9+/]{100,}={0,2}"),
    "azure": re.compile(
        r"(?i)azure\w{0,3}(?:client|tenant|subscription|app)\w{0,3}(?:id|secret|key|password)[\"']?\s{0,3}"
        r"(?::=|=>|[:=])\s{0,3}[\"']?[\w.~-]{30,}"
    ),
    "azure secret": re.compile(r"(?<![\w~.-])[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![\w~.-])"),
    "azure signature": re.compile(r"[?&;]sig=[A-Za-z0-9%/+]{40,}|SharedAccessKey=[A-Za-z0-9+/]{40,}="),
    "cloudflare": _token(r"cf(?:at|ut|k)_[A-Za-z0-9]{40}[0-9a-f]{8}|v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),
    "databricks": _token(r"dapi[0-9a-f]{32}(?:-\d)?"),
    "digitalocean": _token(r"do[opr]_v1_[0-9a-f]{64}"),
    "discord token": _token(
        r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}|mfa\.[A-Za-z0-9_-]{80,90}"
    ),
    "discord webhook": re.compile(r"(?i)discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{15,21}/[\w-]{50,}"),
    "docker": _token(r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}"),
    "doppler": _token(r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}"),
    "dropbox": _token(r"sl\.(?:u\.)?[A-Za-z0-9_-]{130,}"),
    "facebook": _token(r"EAA[A-Za-z0-9]{80,}"),
    "figma": _token(r"fig[dour]h?_[A-Za-z0-9_-]{38,50}"),
    "github": _token(
        r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}|ghs_\d+_eyJ[\w.-]{60,}"
    ),
    "gitlab": _token(r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_.-]{20,300}"),
    "google": _token(r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{60,}|1//0[A-Za-z0-9_-]{60,}"),
    "grafana": _token(
        r"glc_eyJ[A-Za-z0-9+/]{30,400}={0,3}|glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}"
        r"|eyJrIjoi[A-Za-z0-9+/]{60,400}={0,3}"
    ),
    "groq": _token(r"gsk_[A-Za-z0-9]{52}"),
    "heroku": _token(r"HRKU-[A-Za-z0-9_-]{36,60}"),
    "huggingface": _token(r"(?:hf|api_org)_[A-Za-z]{34}"),
    "linear": _token(r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}"),
    "mailgun": _token(r"key-[0-9a-z]{32}"),
    "netlify": _token(r"nf[pcobu]_[A-Za-z0-9]{36}"),
    "newrelic": _token(r"NRAK-[A-Z0-9]{27}"),
    "notion": _token(r"ntn_[A-Za-z0-9]{46}|secret_[A-Za-z0-9]{43}"),
    "npm": _token(r"npm_[A-Za-z0-9]{36}"),
    "openai": _token(r"sk-(?:(?:proj|svcacct|admin|None)-)?[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100}"),
    "openrouter": _token(r"sk-or-v1-[0-9a-f]{64}"),
    "perplexity": _token(r"pplx-[A-Za-z0-9]{48}"),
    "planetscale": _token(r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,64}"),
    "postman": _token(r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    "private key": re.compile(
        r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:\\[rn]|[\w:;,.\s-]){0,200}"
        r"[A-Za-z0-9+/=\\\s]{60,}"
    ),
    # One line out of the middle of a PEM file, as chats cut it into messages: 64 characters of base64, OpenSSH has 70.
    "private key line": re.compile(r"(?m)^(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)(?:[A-Za-z0-9+/]{64}|[A-Za-z0-9+/]{70})$"),
    "putty key": re.compile(r"PuTTY-User-Key-File-\d: "),
    "pypi": _token(r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    "replicate": _token(r"r8_[A-Za-z0-9]{37}"),
    "rubygems": _token(r"rubygems_[0-9a-f]{48}"),
    "secp256k1": re.compile(r"(?<![\w/])0x[0-9A-Fa-f]{64}(?!\w)"),
    "sendgrid": re.compile(r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    "sendinblue": _token(r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    "sentry": _token(r"sntry[su]_[A-Za-z0-9_+/=-]{60,}"),
    "shopify": _token(r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    "slack": _token(r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{20,}|xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{60,}"),
    "slack webhook": re.compile(r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Z0-9]{8,}/[A-Z0-9]{8,}/\w{20,}"),
    "square": _token(r"EAAA[A-Za-z0-9_-]{60}|sq0[a-z]{3}-[A-Za-z0-9_-]{22,43}"),
    "stripe": _token(r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{24,}|whsec_[A-Za-z0-9+/]{32,}"),
    "supabase": _token(r"sb(?:p|_secret)_[A-Za-z0-9_]{31,}"),
    "tailscale": _token(r"tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{10,}(?:-[A-Za-z0-9]{20,})?"),
    "teams webhook": re.compile(
        r"[a-z0-9-]+\.webhook\.office\.com/webhookb2/[0-9a-f-]{36}@[0-9a-f-]{36}/IncomingWebhook/\w{32}"
    ),
    "telegram": re.compile(r"(?<!\d)\d{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    "vault": _token(r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    "vercel": _token(r"vc[aciprk]_[A-Za-z0-9]{24,60}"),
    "xai": _token(r"xai-[A-Za-z0-9]{80}"),
}

# Somebody's name and password in a link. Those of databases are apart: many passwords in them are examples.
LOGIN_IN_LINK = re.compile(
    r"(?i)(?<![a-z])(?:https?|ftps?|sftp|ssh|smtps?|imaps?|svn|git|wss?|socks5?)://"
    r"[^\s/:@<>\"'`${}]+:[^\s/:@<>\"'`${}*]+@[\w.-]+"
)
LOGIN_IN_DATABASE_LINK = re.compile(
    r"(?i)(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|oracle|cockroachdb|clickhouse)"
    r"(?:\+\w+)?://(?P<name>[^\s/:@<>\"'`${}()]*):(?P<password>[^\s/:@<>\"'`${}()*]+)@[\w.-]+"
)
