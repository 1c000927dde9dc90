"""Who may call the platform next: one budget per chat, under one for the whole account.

Answers, notices, edits and typing draw on the same limit, the more important first. Knows nothing of what is
called; times come from the clock that it is given.
"""

import asyncio
import bisect
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

from bots.adapter import Pace

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[object]]

SLOW_CALL_S = 1.0
"""A call that takes longer was held up by the platform's own limiter: from there on, less often."""

MAX_STRETCH_S = 15.0
MAX_IDLE_LINES = 1024


class Priority(IntEnum):
    """What goes first. Less important calls leave a share of the limit to the others."""

    FINAL = 0
    MESSAGE = 1
    EDIT = 2
    TYPING = 3


_RESERVED_FOR_OTHERS = {Priority.FINAL: 0.0, Priority.MESSAGE: 0.25, Priority.EDIT: 1.0, Priority.TYPING: 1.5}
"""How much of what is reserved a call leaves untouched."""


@dataclass(eq=False)
class _Slot:
    """One call; `ended_s` is infinite as long as nobody knows when the platform has counted it."""

    ended_s: float = math.inf


class Line:
    """The calls that share one limit, and those that wait for it.

    A call counts from its beginning until a period after its end. The platform counts it somewhere in between, so
    however slow the way there is, it never sees more calls in a period than the limit.
    """

    def __init__(self, pace: Pace, clock: Clock, sleep: Sleep) -> None:
        self._pace, self._clock, self._sleep = pace, clock, sleep
        self._slots: list[_Slot] = []
        self._held_until_s = -math.inf
        self._stretch_s = 0.0
        self._waiting: list[tuple[Priority, int, asyncio.Event]] = []
        self._numbers = count()
        self._ended = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost by forgetting this line."""
        self._forget_old()
        return not self._waiting and not self._slots and self._held_until_s <= self._clock()

    async def begin(self, priority: Priority) -> _Slot:
        """Wait until a call of this priority may be made, and count it; its end has to be told to `end`."""
        ticket = (priority, next(self._numbers), asyncio.Event())
        bisect.insort(self._waiting, ticket, key=lambda waiting: waiting[:2])
        try:
            while (wait_s := self._wait_s(priority)) > 0 or self._waiting[0] is not ticket:
                if self._waiting[0] is not ticket:
                    ticket[2].clear()
                    await ticket[2].wait()
                elif wait_s == math.inf:
                    self._ended.clear()
                    await self._ended.wait()
                else:
                    await self._sleep(wait_s)
            return self._take_slot()
        finally:
            self._waiting.remove(ticket)
            if self._waiting:
                self._waiting[0][2].set()

    def try_begin(self, priority: Priority) -> _Slot | None:
        """The same if it takes no waiting, otherwise None."""
        if self._waiting or self._wait_s(priority) > 0:
            return None
        return self._take_slot()

    def end(self, slot: _Slot) -> None:
        """Note that a call is over."""
        slot.ended_s = self._clock()
        self._ended.set()

    def hold(self, duration_s: float) -> None:
        """Let nothing pass for a while: the platform has asked for it."""
        self._held_until_s = max(self._held_until_s, self._clock() + duration_s)

    def observe(self, took_s: float) -> None:
        """Learn from how long a call took: libraries that keep to a limit do it inside the call."""
        self._stretch_s = min(MAX_STRETCH_S, 1.5 * took_s) if took_s > SLOW_CALL_S else self._stretch_s / 2

    def _take_slot(self) -> _Slot:
        slot = _Slot()
        self._slots.append(slot)
        return slot

    def _wait_s(self, priority: Priority) -> float:
        """How long a call has to wait; infinite until one that is under way ends."""
        self._forget_old()
        now_s = self._clock()
        ended_s = sorted(slot.ended_s for slot in self._slots)
        free_s = [now_s, self._held_until_s]
        if ended_s and priority >= Priority.EDIT:
            free_s.append(ended_s[-1] + max(self._pace.interval_s, self._stretch_s))
        usable = max(1, self._pace.limit - int(self._pace.reserved * _RESERVED_FOR_OTHERS[priority]))
        if len(ended_s) >= usable:
            free_s.append(ended_s[-usable] + self._pace.period_s)
        return max(free_s) - now_s

    def _forget_old(self) -> None:
        kept_from_s = self._clock() - max(self._pace.period_s, self._pace.interval_s, self._stretch_s)
        self._slots = [slot for slot in self._slots if slot.ended_s > kept_from_s]


class Budget:
    """All limits of one account."""

    def __init__(self, pace: Pace | None, *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        """`pace` is the limit of the account as a whole; times of `clock` and `sleep` are in seconds."""
        self._clock, self._sleep = clock, sleep
        self._account = Line(pace, clock, sleep) if pace else None
        self._lines: dict[Hashable, Line] = {}

    @asynccontextmanager
    async def turn(self, key: Hashable, pace: Pace | None, priority: Priority) -> AsyncIterator[None]:
        """Wait until a call may be made to the chats that `key` stands for; the body makes it."""
        async with AsyncExitStack() as stack:
            for line in self._lines_of(key, pace):
                stack.callback(line.end, await line.begin(priority))
            yield

    @contextmanager
    def try_turn(self, key: Hashable, pace: Pace | None, priority: Priority) -> Iterator[bool]:
        """The same without waiting: tells the body whether it may make the call."""
        with ExitStack() as stack:
            for line in self._lines_of(key, pace):
                slot = line.try_begin(priority)
                if slot is None:
                    yield False
                    return
                stack.callback(line.end, slot)
            yield True

    def hold(self, key: Hashable, pace: Pace | None, duration_s: float, *, is_account_wide: bool = False) -> None:
        """Let nothing pass to these chats for a while, or to none at all; other chats go on."""
        if is_account_wide and self._account is not None:
            self._account.hold(duration_s)
        elif pace is not None:
            self._line(key, pace).hold(duration_s)

    def observe(self, key: Hashable, pace: Pace | None, took_s: float) -> None:
        """Learn from how long a call took."""
        if pace is not None:
            self._line(key, pace).observe(took_s)

    def _lines_of(self, key: Hashable, pace: Pace | None) -> list[Line]:
        chat = [self._line(key, pace)] if pace is not None else []
        return [*chat, self._account] if self._account is not None else chat

    def _line(self, key: Hashable, pace: Pace) -> Line:
        if key not in self._lines:
            if len(self._lines) >= MAX_IDLE_LINES:
                self._lines = {other: line for other, line in self._lines.items() if not line.is_idle}
            self._lines[key] = Line(pace, self._clock, self._sleep)
        return self._lines[key]
