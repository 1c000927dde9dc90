"""What `--check` finds out about this installation, whatever the platform: a line for each thing.

`Finding` is also what adapters report about their accounts.
"""

from dataclasses import dataclass
from pathlib import Path

from bots.chatlog import ChatLog, DatabaseSettings
from bots.errors import BotError
from bots.policy import Policy
from engine import Engine, EngineSettings
from engine.errors import EngineError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What, in a word or two.
        is_ok: Whether the bot can start with it as it is.
        text: How it is.
        hint: What the operator can do about it, or what follows from it.
    """

    subject: str
    is_ok: bool
    text: str
    hint: str = ""


def told(finding: Finding) -> str:
    """A finding as one line."""
    mark = "ok    " if finding.is_ok else "FAILED"
    hint = f" ({finding.hint})" if finding.hint else ""
    return f"{mark}  {finding.subject}: {' '.join(f'{finding.text}{hint}'.split())}\n"


async def check_database(settings: DatabaseSettings) -> list[Finding]:
    """Open the chat log, which makes or upgrades its tables as a start would."""
    try:
        async with ChatLog.open(settings) as log:
            stats = await log.stats()
    except BotError as exc:
        return [Finding("database", False, str(exc))]
    kept = f"{settings.retention_days} days" if settings.retention_days else "for ever"
    num_messages = sum(stats.questions.values())
    text = f"{stats.database}, tables {stats.revision}, {stats.chats} chats, {num_messages} messages, kept {kept}"
    return [Finding("database", True, text), Finding("encryption", True, f"key file {settings.key_file}")]


async def check_bundle(settings: EngineSettings, bundle: Path | None) -> list[Finding]:
    """Load the model, as a start would."""
    try:
        async with Engine(settings, bundle) as engine:
            return [Finding("bundle", True, f"{engine.version} loads")]
    except EngineError as exc:
        return [Finding("bundle", False, str(exc))]


def check_policy(policy: Policy) -> list[Finding]:
    """Say what may become of what people write, on the platforms whose operators have to decide."""
    discord = f"by permission {policy.discord_permission}" if policy.discord_permission else "never"
    telegram = "with each person's consent" if policy.telegram_confirmed else "never"
    others = ", ".join(sorted(policy.other_platforms)) or "none"
    text = f"training on what people write: Discord {discord}; Telegram {telegram}; other platforms: {others}"
    hint = "" if policy.discord_permission and policy.telegram_confirmed else "docs/privacy.md says what it takes"
    return [Finding("policy", True, text, hint)]
