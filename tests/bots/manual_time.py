"""A clock that moves only when a test says so."""

import asyncio


class ManualTime:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0  # like a machine that has been up for days
        self.slept_s: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Event]] = []
        self._asleep = asyncio.Event()

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        woken = asyncio.Event()
        self._sleepers.append((self.now_s + duration_s, woken))
        self._asleep.set()
        if duration_s > 0:
            await woken.wait()
        else:
            await asyncio.sleep(0)

    async def until_asleep(self) -> None:
        """Wait until someone sleeps."""
        while not any(not woken.is_set() and wake_s > self.now_s for wake_s, woken in self._sleepers):
            self._asleep.clear()
            await self._asleep.wait()

    async def advance(self, duration_s: float) -> None:
        """Move on, wake whoever's time has come, and let everyone act on it."""
        self.now_s += duration_s
        for wake_s, woken in self._sleepers:
            if wake_s <= self.now_s:
                woken.set()
        await settle()


async def settle() -> None:
    """Let every task that can run do so until it waits for something."""
    for _ in range(50):
        await asyncio.sleep(0)
