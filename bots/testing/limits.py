"""How often a fake platform may be called: limits that it enforces, and what it says when one is reached.

Knows calls by their kind and chat only; the time comes from the clock that it is given.
"""

from collections import deque
from collections.abc import Hashable

from bots.adapter import Caps, Pace
from bots.budget import Clock
from bots.errors import RateLimitedError
from bots.message import ChatRef
from bots.testing.profiles import Profile

_ROUNDING_S = 1e-6
"""Who waits as long as they were told is not refused for what rounding has left."""


class _Window:
    """The calls of the last `period_s` seconds, at any moment at most `limit`."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._taken_s: deque[float] = deque()

    def wait_s(self, now_s: float) -> float:
        """How long until another one is taken; 0 if that is now."""
        while self._taken_s and self._taken_s[0] + self._pace.period_s <= now_s + _ROUNDING_S:
            self._taken_s.popleft()
        return 0.0 if len(self._taken_s) < self._pace.limit else self._taken_s[0] + self._pace.period_s - now_s

    def take(self, now_s: float) -> None:
        self._taken_s.append(now_s)


class Limits:
    """All limits of one account; a call that is refused counts towards none of them."""

    def __init__(self, profile: Profile, clock: Clock) -> None:
        self._profile, self._clock = profile, clock
        self._windows: dict[Hashable, _Window] = {}

    def take(self, kind: str, chat: ChatRef, caps: Caps, *, is_group: bool) -> None:
        """Count a call.

        Raises:
            RateLimitedError: It is one too many. `retry_after_s` seconds later it will be taken, if no other is
                made till then.
        """
        if not self._profile.is_strict:
            return
        now_s = self._clock()
        account = self._window("account", self._profile.account_pace)
        own = self._window(*self._own(kind, chat, caps, is_group=is_group))
        waits_s = [window.wait_s(now_s) if window is not None else 0.0 for window in (account, own)]
        if max(waits_s) > 0:
            raise RateLimitedError(max(waits_s), is_account_wide=waits_s[0] >= waits_s[1])
        for window in (account, own):
            if window is not None:
                window.take(now_s)

    def _own(self, kind: str, chat: ChatRef, caps: Caps, *, is_group: bool) -> tuple[Hashable, Pace | None]:
        """What a call uses up besides the account's limit: the key of that, and how much there is."""
        if kind == "draft":
            return (kind, chat), self._profile.draft_pace
        if kind == "delete" or (kind == "typing" and not (is_group and self._profile.counts_typing_in_groups)):
            return kind, None
        return (chat.parent if caps.threads_share_pace else chat), caps.pace

    def _window(self, key: Hashable, pace: Pace | None) -> _Window | None:
        if pace is None:
            return None
        return self._windows.setdefault(key, _Window(pace))
