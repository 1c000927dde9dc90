"""Updates by long polling: asked for one batch after the other, through whatever goes wrong.

The library's own Updater confirms updates before anyone has taken them, so that a kill would lose them; here the
offset moves on only past what was taken.
"""

import logging
from collections.abc import Callable, Sequence

from telegram import Bot, Update
from telegram.error import Conflict, TelegramError

from bots.budget import Clock, Sleep
from bots.errors import AccountError, BotError, RateLimitedError
from bots.telegram.errors import CONFLICT_HINT, translated
from bots.telegram.inbox import Inbox

logger = logging.getLogger(__name__)

HOLD_S = 25
"""How long Telegram may hold a poll that finds nothing; proxies cut silent connections after 30 to 60 s."""

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 30.0
CONFLICT_PATIENCE_S = 30.0
"""For how long another process may poll: one that is being replaced needs a while to end."""

MIN_CONFLICTS = 3
CONFIRM_TIMEOUT_S = 3.0


class Polling:
    """Fetches the updates of one bot into an inbox."""

    def __init__(
        self,
        bot: Bot,
        inbox: Inbox,
        kinds: Sequence[str],
        *,
        give_up: Callable[[AccountError], None],
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        """`kinds` of updates are asked for; `give_up` is told when there can be no more of them."""
        self._bot, self._inbox, self._kinds, self._give_up = bot, inbox, kinds, give_up
        self._clock, self._sleep = clock, sleep
        self._offset: int | None = None
        self._confirmed: int | None = None
        self._outage = Outage(clock)

    async def run(self) -> None:
        """Fetch until the inbox is closed, or until the account is refused."""
        while True:
            try:
                updates = await self._fetch()
            except TelegramError as exc:
                try:
                    pause_s = self._outage.pause_after(exc)
                except AccountError as error:
                    self._give_up(error)
                    return
                await self._sleep(pause_s)
                continue
            self._outage.end()
            for update in sorted(updates, key=lambda update: update.update_id):
                if not await self._inbox.deliver(update):
                    return
                self._offset = max(self._offset or 0, update.update_id + 1)

    async def _fetch(self) -> tuple[Update, ...]:
        updates = await self._bot.get_updates(offset=self._offset, timeout=HOLD_S, allowed_updates=self._kinds)
        self._confirmed = self._offset
        if not updates:
            # All before it is confirmed by now, and after a quiet week ids may begin anew below it.
            self._offset = self._confirmed = None
        return updates

    async def confirm(self) -> None:
        """Tell Telegram what was taken since the last poll, so that it does not come again after a restart."""
        if self._offset == self._confirmed:
            return
        try:
            await self._bot.get_updates(
                offset=self._offset,
                limit=1,
                timeout=0,
                read_timeout=CONFIRM_TIMEOUT_S,
                connect_timeout=CONFIRM_TIMEOUT_S,
            )
        except TelegramError as exc:
            logger.info("what was taken last may come again: %s", exc)


class Outage:
    """What to do about polls that fail, and what to say about it: once when it begins and once when it ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: float | None = None
        self._pause_s = FIRST_PAUSE_S
        self._conflicts_s: list[float] = []

    def pause_after(self, error: TelegramError) -> float:
        """How long to leave Telegram alone, in seconds.

        Raises:
            AccountError: Trying again does not help.
        """
        ours = translated(error)
        if isinstance(error, Conflict):
            self._count_conflict()
        elif isinstance(ours, AccountError):
            raise ours from error
        self._begin(ours)
        if isinstance(ours, RateLimitedError):
            return ours.retry_after_s
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LAST_PAUSE_S)
        return pause_s

    def _begin(self, error: BotError) -> None:
        if self._since_s is None:
            self._since_s = self._clock()
            logger.warning("updates cannot be fetched for now: %s", error)

    def end(self) -> None:
        """A poll was answered."""
        self._pause_s = FIRST_PAUSE_S
        if self._since_s is not None:
            logger.warning("updates are fetched again, after %.0f s", self._clock() - self._since_s)
            self._since_s = None

    def _count_conflict(self) -> None:
        """A poll that passes between two conflicts ends none: the other process paused for a moment."""
        now_s = self._clock()
        if self._conflicts_s and now_s - self._conflicts_s[-1] > 2 * CONFLICT_PATIENCE_S:
            self._conflicts_s.clear()
        self._conflicts_s = [*self._conflicts_s[: MIN_CONFLICTS - 1], now_s]
        is_over = now_s - self._conflicts_s[0] >= CONFLICT_PATIENCE_S
        if is_over and len(self._conflicts_s) >= MIN_CONFLICTS:
            raise AccountError(CONFLICT_HINT)
