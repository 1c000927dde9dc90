"""How much Telegram lets a bot say: the flood limits of PLATFORMS.md section 2.

Knows chats by key and kind only, and the time by the clock that it is given.
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The figures; Telegram publishes rough ones only, these are strict readings of them."""

    per_group: int = 20
    group_window_s: float = 60.0
    count_actions: bool = True  # chat actions use up the group's budget, as seen with PTB's own limiter
    private_interval_s: float = 1.0
    private_burst: int = 3
    draft_interval_s: float = 0.5
    draft_burst: int = 3
    per_second: int = 30


class _Window:
    """At most `count` events within any `window_s` seconds."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count, self._window_s = count, window_s
        self._times: deque[float] = deque()

    def wait_s(self, now_s: float) -> float:
        while self._times and self._times[0] <= now_s - self._window_s:
            self._times.popleft()
        return 0.0 if len(self._times) < self._count else self._times[0] + self._window_s - now_s

    def take(self, now_s: float) -> None:
        self._times.append(now_s)


class _Bucket:
    """One event per `interval_s` in the long run, `burst` of them at once."""

    def __init__(self, burst: int, interval_s: float) -> None:
        self._burst, self._interval_s = burst, interval_s
        self._tokens, self._seen_s = float(burst), -math.inf

    def wait_s(self, now_s: float) -> float:
        if self._seen_s > -math.inf and self._interval_s > 0:
            self._tokens = min(self._burst, self._tokens + (now_s - self._seen_s) / self._interval_s)
        self._seen_s = now_s
        return max(0.0, (1.0 - self._tokens) * self._interval_s) if self._tokens < 1.0 - 1e-9 else 0.0

    def take(self, now_s: float) -> None:
        self._tokens -= 1.0


class FloodGate:
    """Says of each message, edit, action and draft whether it may pass now; only what passes is counted."""

    def __init__(self, limits: Limits | None, clock: Callable[[], float]) -> None:
        self.limits, self._clock = limits, clock
        self._budgets: dict[Hashable, _Window | _Bucket] = {}
        self._held_until_s: dict[Hashable, float] = defaultdict(lambda: -math.inf)

    def refuse_s(self, kind: str, bot_id: int, chat: Hashable, *, is_group: bool) -> int | None:
        """Whole seconds to wait before a "message", "action" or "draft" may be sent; `None`: it passes."""
        if self.limits is None:
            return None
        now_s = self._clock()
        budgets = list(self._of(self.limits, kind, bot_id, chat, is_group))
        wait_s = max(budget.wait_s(now_s) for budget in budgets)
        if wait_s > 0:
            return max(1, math.ceil(wait_s))
        for budget in budgets:
            budget.take(now_s)
        return None

    def hold(self, bot_id: int, chat: Hashable, retry_after_s: float) -> None:
        """Remember that the bot was told to wait in that chat."""
        self._held_until_s[bot_id, chat] = self._clock() + retry_after_s

    def is_early(self, bot_id: int, chat: Hashable) -> bool:
        """Whether the bot was told to wait in that chat and the time is not over."""
        return self._clock() < self._held_until_s[bot_id, chat] - 0.01

    def _of(self, limits: Limits, kind: str, bot_id: int, chat: Hashable, is_group: bool):
        yield self._budget((bot_id,), lambda: _Window(limits.per_second, 1.0))
        if kind == "draft":
            yield self._budget((bot_id, chat, kind), lambda: _Bucket(limits.draft_burst, limits.draft_interval_s))
        elif is_group and (kind == "message" or limits.count_actions):
            yield self._budget((bot_id, chat), lambda: _Window(limits.per_group, limits.group_window_s))
        elif kind == "message":
            yield self._budget((bot_id, chat), lambda: _Bucket(limits.private_burst, limits.private_interval_s))

    def _budget(self, key: Hashable, make: Callable[[], _Window | _Bucket]) -> _Window | _Bucket:
        return self._budgets.setdefault(key, make())
