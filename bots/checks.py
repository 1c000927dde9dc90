"""What `--check` finds out about this installation, whatever the platform: a line for each thing.

`Finding` is also what adapters report about their accounts.
"""

from dataclasses import dataclass
from pathlib import Path

from bots.chatlog import ChatLog, DatabaseSettings
from bots.errors import BotError
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


def check_policy() -> list[Finding]:
    """Say what may become of what people write."""
    return [Finding("policy", True, "nothing that people write is marked as material for training")]
