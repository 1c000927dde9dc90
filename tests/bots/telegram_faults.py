"""What can go wrong with a request to Telegram, and when it does.

Says only what shall happen; the server makes it happen.
"""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Literal

from telegram_state import Chat


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong: what is applied, after which wait, and what is answered."""

    status: int | None = None  # None: the honest answer
    description: str = ""
    parameters: dict[str, int] = field(default_factory=dict)
    html: str | None = None  # a body that is not JSON
    applies: Literal["at once", "late", "never"] = "never"
    is_dropped: bool = False  # the connection ends without an answer
    delay_s: float = 0.0
    gate: asyncio.Event | None = None  # waited for before the answer


def flood(retry_after_s: int = 1) -> Fault:
    """429: told to wait."""
    return Fault(429, f"Too Many Requests: retry after {retry_after_s}", {"retry_after": retry_after_s})


def bad_request(description: str) -> Fault:
    """400 with any description, e.g. "can't parse entities: ..."."""
    return Fault(400, f"Bad Request: {description}")


def forbidden(description: str = "bot was blocked by the user") -> Fault:
    """403."""
    return Fault(403, f"Forbidden: {description}")


def conflict() -> Fault:
    """409: another process polls with the same token."""
    return Fault(409, CONFLICT)


def bad_gateway() -> Fault:
    """502 with a proxy's HTML page."""
    return Fault(502, html="<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")


def internal_error() -> Fault:
    """500 as the Bot API writes it."""
    return Fault(500, "Internal Server Error: restart")


def reset() -> Fault:
    """The connection ends before anything is applied."""
    return Fault(is_dropped=True)


def lost_answer() -> Fault:
    """Applied, but the connection ends without an answer."""
    return Fault(applies="at once", is_dropped=True)


def late(delay_s: float = 0.0, *, gate: asyncio.Event | None = None, applies: str = "at once") -> Fault:
    """The answer waits for `delay_s` and for `gate`; applied before or after that wait, or not at all (a reset)."""
    return Fault(applies=applies, is_dropped=applies == "never", delay_s=delay_s, gate=gate)  # type: ignore[arg-type]


CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


@dataclass(eq=False)
class Rule:
    """A fault that is yet to happen, to which requests, how many times; `num_hits` counts."""

    pattern: re.Pattern[str]
    fault: Fault
    times: int | None
    chat_id: int | None
    num_hits: int = 0

    def hits(self, method: str, chat_id: int | None) -> bool:
        """Whether it happens to this request."""
        is_due = self.times is None or self.num_hits < self.times
        return is_due and self.chat_id in (None, chat_id) and self.pattern.fullmatch(method) is not None


class Faults:
    """The faults to come; of several that fit, the one added first goes first."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, method: str, fault: Fault, times: int | None = 1, chat: Chat | None = None) -> Rule:
        """Let the next `times` requests (`None`: all) whose method is `method`, name or pattern, go wrong."""
        rule = Rule(re.compile(method, re.IGNORECASE), fault, times, None if chat is None else chat.id)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """No more faults."""
        self._rules.clear()

    def next(self, method: str, chat_id: int | None) -> Fault | None:
        """The fault that happens to this request, which it uses up."""
        rule = next((rule for rule in self._rules if rule.hits(method, chat_id)), None)
        if rule is None:
            return None
        rule.num_hits += 1
        return rule.fault
