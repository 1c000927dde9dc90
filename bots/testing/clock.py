"""A time that moves only when a test says so.

Knows nothing of who sleeps.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

REAL_LIMIT_S = 20.0
"""How long `run_until` waits at most, in real seconds."""

_POLL_S = 0.001
_SPEED = 100.0
"""How much faster than real time `run_until` moves on at most: what awaits a database seems to take no long time."""
_LONGEST_QUIET_S = 0.05
"""How long `run_until` waits for real work before it skips any time, however long."""
_LAST_QUIET_S = 2.0
"""The same before it gives up."""
_ROUNDING_S = 1e-9


@dataclass(eq=False)
class _Sleeper:
    wake_s: float
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class VirtualClock:
    """Hand its `clock`, `sleep` and `now` to what is tested; then `advance` it, or let it `run_until` something.

    Attributes:
        now_s: The time, in seconds; setting it wakes nobody.
        slept_s: How long each sleep was meant to be, in seconds, in the order in which they began.
    """

    def __init__(self, starts_at: datetime | None = None) -> None:
        """`starts_at` is what `now` says at first, with a time zone; by default the real time."""
        self.now_s = 1_000_000.0  # like a machine that has been up for days
        self._starts_at, self._started_s = starts_at or datetime.now(UTC), self.now_s
        self.slept_s: list[float] = []
        self._sleepers: list[_Sleeper] = []
        self._asleep = asyncio.Event()

    def clock(self) -> float:
        """The time in seconds, like `time.monotonic`."""
        return self.now_s

    def now(self) -> datetime:
        """The date and time, like `datetime.now`, in UTC unless it was started in another time zone."""
        return self._starts_at + timedelta(seconds=self.now_s - self._started_s)

    async def sleep(self, duration_s: float) -> None:
        """Wait until the time has moved on by `duration_s`, like `asyncio.sleep`."""
        self.slept_s.append(duration_s)
        if duration_s <= 0:
            await asyncio.sleep(0)
            return
        # However short, it ends later than now: who sleeps the rest of a rounding error would never get on.
        sleeper = _Sleeper(max(self.now_s + duration_s, math.nextafter(self.now_s, math.inf)))
        self._sleepers.append(sleeper)
        self._asleep.set()
        try:
            await sleeper.woken.wait()
        finally:
            self._sleepers.remove(sleeper)

    async def until_asleep(self) -> None:
        """Wait until someone sleeps."""
        while not any(not sleeper.woken.is_set() and sleeper.wake_s > self.now_s for sleeper in self._sleepers):
            self._asleep.clear()
            await self._asleep.wait()

    async def advance(self, duration_s: float) -> None:
        """Move on by `duration_s`: wake everyone at the right time, one after the other, and let all act on it.

        What awaits anything real, such as a database, is not waited for: see `run_until`.
        """
        end_s = self.now_s + duration_s
        while (wake_s := self.next_wake_s()) <= end_s + _ROUNDING_S:
            await self._wake_at(wake_s)
        self.now_s = max(self.now_s, end_s)
        await settle()

    async def run_until(self, condition: Callable[[], object], *, limit_s: float = 600.0) -> None:
        """Move on, from one sleeper to the next, until `condition` is true; others run in between.

        What awaits anything real (a database, a thread, a socket) gets some real time to be done before the time
        moves on: a hundredth of what is skipped, at most a twentieth of a second. As long as nobody sleeps, the time
        stands still.

        Args:
            condition: Asked often, so it should be quick and change nothing.
            limit_s: How long it may take, in virtual seconds.

        Raises:
            AssertionError: It is still false at the limit, or after 20 real seconds; says who waits.
        """
        started_s, real_started_s = self.now_s, time.monotonic()
        quiet_since_s, num_sleeps = real_started_s, len(self.slept_s)
        while True:
            await settle()
            if condition():
                return
            real_s, wake_s = time.monotonic(), self.next_wake_s()
            if real_s - real_started_s > REAL_LIMIT_S:
                raise AssertionError(self._report(self.now_s - started_s, real_s - real_started_s))
            if num_sleeps != len(self.slept_s):
                quiet_since_s, num_sleeps = real_s, len(self.slept_s)
            is_last = wake_s > started_s + limit_s
            needed_s = _LAST_QUIET_S if is_last else min(_LONGEST_QUIET_S, (wake_s - self.now_s) / _SPEED)
            if wake_s == math.inf or real_s - quiet_since_s < needed_s:
                await asyncio.sleep(_POLL_S)
            elif is_last:
                raise AssertionError(self._report(limit_s, real_s - real_started_s))
            else:
                await self._wake_at(wake_s)
                quiet_since_s = time.monotonic()

    def next_wake_s(self) -> float:
        """When the next one wakes, in seconds by `clock`; infinite if nobody sleeps."""
        return min((sleeper.wake_s for sleeper in self._sleepers if not sleeper.woken.is_set()), default=math.inf)

    async def _wake_at(self, wake_s: float) -> None:
        self.now_s = max(self.now_s, wake_s)
        for sleeper in self._sleepers:
            if sleeper.wake_s <= self.now_s:
                sleeper.woken.set()
        await settle()

    def _report(self, passed_s: float, real_s: float) -> str:
        """Why nothing came of it, as far as that can be seen from here."""
        wakes_s = sorted(sleeper.wake_s - self.now_s for sleeper in self._sleepers)
        asleep = f"{len(wakes_s)} asleep, the next for {wakes_s[0]:g} s" if wakes_s else "nobody sleeps"
        tasks = sorted(_name_of(task) for task in asyncio.all_tasks() if task is not asyncio.current_task())
        return (
            f"what was waited for did not come true within {passed_s:g} virtual and {real_s:.1f} real seconds; "
            f"{asleep}; tasks: {', '.join(tasks) or 'none but this one'}"
        )


async def settle() -> None:
    """Let every task that can run do so until it waits for something."""
    for _ in range(50):
        await asyncio.sleep(0)


def _name_of(task: "asyncio.Task[object]") -> str:
    return str(getattr(task.get_coro(), "__qualname__", task.get_name()))
