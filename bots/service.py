"""All accounts in one process, on one engine and one chat log, until the process is told to end.

Decides what is opened anew when it fails. Knows nothing of any one platform.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bots.accounts import Account
from bots.adapter import Adapter
from bots.chatlog import ChatLog
from bots.commands import Command
from bots.dispatcher import Dispatcher
from bots.errors import AccountError, BotError

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
STEADY_AFTER_S = 60.0
"""An adapter that has held for this long has started well: the next failure is taken for a new one."""

MakeDispatcher = Callable[[Adapter], Dispatcher]


@dataclass
class Service:
    """Serves `accounts` out of `log`, with dispatchers that `make_dispatcher` makes, offering `commands`."""

    accounts: Sequence[Account]
    log: ChatLog
    make_dispatcher: MakeDispatcher
    commands: Mapping[str, Command]
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _opening: set[asyncio.Task[bool]] = field(default_factory=set)
    _serving: set[Dispatcher] = field(default_factory=set)

    @property
    def is_closing(self) -> bool:
        """Whether it was told to end."""
        return self._closing.is_set()

    def close(self) -> None:
        """Let `run` end: no new questions, and some time for the answers under way."""
        self._closing.set()
        for task in self._opening:
            task.cancel()
        for dispatcher in self._serving:
            dispatcher.close()

    async def run(self) -> int:
        """Serve until `close`; returns how many accounts could not be used.

        An account that cannot be reached is tried again for ever; one that is refused is given up, and the others
        go on without it.
        """
        async with asyncio.TaskGroup() as group:
            keeping: list[asyncio.Task[bool]] = [group.create_task(self._keep(account)) for account in self.accounts]
        return sum(not task.result() for task in keeping)

    async def _keep(self, account: Account) -> bool:
        """Serve one account; returns False if it was given up."""
        clock = asyncio.get_running_loop().time
        pause_s = FIRST_PAUSE_S
        while not self.is_closing:
            started_s = clock()
            if not await self._try(account):
                return False
            pause_s = FIRST_PAUSE_S if clock() - started_s > STEADY_AFTER_S else pause_s
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)
        return True

    async def _try(self, account: Account) -> bool:
        """Serve one account for as long as its adapter holds; returns False if another try is of no use."""
        try:
            await self._serve(account)
        except asyncio.CancelledError:
            if not self.is_closing:
                raise
        except AccountError as exc:
            logger.error("%s cannot be used: %s", account.name, exc)  # noqa: TRY400  # no bug of ours
            return False
        except BotError as exc:
            logger.warning("%s: %s; it is opened anew in a moment", account.name, exc)
        except Exception:
            # The outermost loop of an account: one that fails must not take the others with it.
            logger.exception("%s failed; it is opened anew in a moment", account.name)
        return True

    async def _serve(self, account: Account) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in a task
        async with contextlib.AsyncExitStack() as stack:
            self._opening.add(task)
            try:
                adapter = await stack.enter_async_context(account.open(self.commands))
            finally:
                self._opening.discard(task)
            await stack.enter_async_context(self.log.served_alone(adapter.platform, adapter.account))
            logger.info("%s is serving as %s %s", account.name, adapter.platform, adapter.account)
            await self._dispatch(adapter)

    async def _dispatch(self, adapter: Adapter) -> None:
        dispatcher = self.make_dispatcher(adapter)
        self._serving.add(dispatcher)
        try:
            if not self.is_closing:
                await dispatcher.run()
        finally:
            self._serving.discard(dispatcher)

    async def _pause(self, duration_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_s):
                await self._closing.wait()
