"""Credentials are found, and what only looks like one is not. Every credential here is made up when the test runs."""

import hashlib
import time

import pytest

from finetune.cleaning.secrets import SecretScanner


def letters(count, alphabet="abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"):
    """So many characters that look random, always the same ones."""
    digest = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(count // 32 + 1))
    return "".join(alphabet[byte % len(alphabet)] for byte in digest)[:count]


def hexadecimals(count):
    return letters(count, "0123456789abcdef")


def lower(count):
    return letters(count, "abcdefghijklmnopqrstuvwxyz")


PEM = "\n".join(letters(64) for _ in range(4))
TOKENS = {
    "anthropic": "sk-ant-" + "api03-" + letters(93) + "AA",
    "aws secret": "aws_secret_access_key=" + letters(40),
    "azure storage": "AccountKey=" + letters(86) + "==",
    "cloudflare": "cfut_" + letters(40) + hexadecimals(8),
    "databricks": "dapi" + hexadecimals(32),
    "digitalocean": "dop_v1_" + hexadecimals(64),
    "discord token": "M" + letters(23) + "." + letters(6) + "." + letters(38),
    "discord webhook": "https://discord.com/api/webhooks/" + "1" * 18 + "/" + letters(68),
    "docker": "dckr_pat_" + letters(27),
    "figma": "figd_" + letters(40),
    "github": "ghp_" + letters(36),
    "gitlab": "glpat-" + letters(20),
    "google": "AIza" + letters(35),
    "grafana": "glsa_" + letters(32) + "_" + hexadecimals(8),
    "groq": "gsk_" + letters(52),
    "huggingface": "hf_" + lower(34),
    "linear": "lin_api_" + letters(40),
    "notion": "ntn_" + letters(46),
    "npm": "npm_" + letters(36),
    "openai": "sk-" + "proj-" + letters(60) + "T3Blbk" + "FJ" + letters(60),
    "private key": "-----BEGIN " + "RSA PRIVATE KEY-----\n" + PEM + "\n-----END RSA PRIVATE KEY-----",
    "private key line": letters(64),
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + letters(80),
    "sendgrid": "SG." + letters(22) + "." + letters(43),
    "shopify": "shpat_" + hexadecimals(32),
    "slack": "xoxb-" + "123456789012-" + letters(24),
    "slack webhook": "https://hooks.slack.com/services/" + "T00AA00AA/" + "B00AA00AA/" + letters(24),
    "stripe": "sk_live_" + letters(24),
    "telegram": "123456789:" + "AA" + letters(33),
    "twilio": "AC" + hexadecimals(32),
    "vault": "hvs." + letters(24),
    "vercel": "vcp_" + letters(40),
}


@pytest.fixture(scope="module")
def scanner():
    return SecretScanner()


@pytest.mark.parametrize("rule", TOKENS)
def test_a_token_is_found_by_its_rule_in_the_middle_of_a_sentence(scanner, rule):
    text = TOKENS[rule] if rule == "private key line" else f"try it with {TOKENS[rule]} and tell me"
    findings = {finding.rule: finding for finding in scanner.find(text)}
    assert rule in findings
    found = text[findings[rule].start : findings[rule].end]
    assert found[:12] in TOKENS[rule]


@pytest.mark.parametrize("rule", set(TOKENS) - {"aws secret", "azure storage", "private key", "private key line"})
def test_a_token_that_is_cut_short_is_none(scanner, rule):
    assert not scanner.find(f"try it with {TOKENS[rule][:16]}... and tell me")


@pytest.mark.parametrize(
    "text",
    [
        "my password is hunter2x",
        "my password is 'correct-horse'",
        "pw hunter2xY9",
        "login ann / hunter2xY9!",
        "my p\u0430ssw\u043erd is hunter2x",
        "\u0440asswort: hunter2x",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff1ahunter2x",
        "pass\ufe0fword: hunter2x",
        "pw: hunter2x",
        "the pin is 4821, do not tell",
        "password=Tr0ub4dor&3",
        'API_KEY="a1b2c3d4e5"',
        "Mein Passwort ist geheim99!",
        "la contrase\u00f1a es girasol7",
        "\u043f\u0430\u0440\u043e\u043b\u044c: qwerty123",
        "mot de passe: soleil2024",
        "git clone https://ann:s3cret@git.example.org/repo",
        "postgres://shop:pa55w0rd@db.example.org/shop",
        "AWS_ACCOUNT_ID=" + "1" * 12,
        "0x" + hexadecimals(64),
    ],
)
def test_who_says_a_password_is_stopped(scanner, text):
    assert scanner.find(text)


@pytest.mark.parametrize(
    "text",
    [
        "my password is wrong",
        "the password is not accepted, what now?",
        "password: ",
        "set password=<your password> in the file",
        "password=$PASSWORD",
        "password: ******",
        "using password: YES",
        "did you pass: the exam?",
        "password protected, pw sha256sum",
        "login with firefox3 / opera9",
        "user ann / 2004-11-15",
        "the token is expired",
        "what is a pin for?",
        "postgres://user:password@localhost/db",
        "mysql://root:root@localhost/test",
        "https://example.org/a:b@c",
        "ssh ann@example.org",
        "commit " + hexadecimals(40),
        "sha256 " + hexadecimals(64),
        hexadecimals(64),
        "https://example.org/" + letters(70),
        "AKIA" + "A" * 16,
        "-----BEGIN PRIVATE KEY-----\nxxx\n-----END PRIVATE KEY-----",
        "what a looooooooooooooooooooooooooooooooooooooong day",
    ],
)
def test_what_only_looks_like_a_secret_passes(scanner, text):
    assert scanner.find(text) == ()


def test_a_long_text_made_to_be_slow_takes_no_more_than_a_few_seconds(scanner):
    started_s = time.perf_counter()
    for text in (
        " " * 4000,
        "a" * 4000,
        "1" * 4000,
        "a:b@" * 1000,
        "password" * 500,
        "login a/" * 500,
        "pw " + "a" * 4000,
        "p\u0430" * 2000,
        "-----BEGIN PRIVATE KEY-----" + " " * 4000,
    ):
        scanner.find("password token key @ :// " + text)
    assert time.perf_counter() - started_s < 5


@pytest.mark.parametrize(
    "text",
    ["Account 12, with PIN 4711", "my pin. It's either 4711 or 4712", "my PIN is either 4711", "pin # is 471123"],
)
def test_a_pin_is_found_in_whatever_words_it_is_said(text: str) -> None:
    assert any(finding.rule in ("pin said", "password said") for finding in SecretScanner().find(text))


@pytest.mark.parametrize(
    "text", ["pinning 4711 packages", "a 24-pin 4711 plug", "the pin is bent", "pin it at 10:4711"]
)
def test_what_is_called_pin_and_is_no_number_to_keep_is_none(text: str) -> None:
    assert SecretScanner().find(text) == ()
