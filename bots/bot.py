"""Everything of the bot but its accounts: the model, the chat log, the plugins, and how it answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bots.adapter import Adapter
from bots.budget import Clock, Sleep
from bots.builtin import builtin_plugins
from bots.chatlog import ChatLog
from bots.conversation import AnswerOptions
from bots.dispatcher import Dispatcher, ServingRules
from bots.operators import Operators
from bots.plugins.host import PluginHost, PluginRules
from bots.switchboard import Switchboard
from engine.generation import TextEngine


@dataclass(frozen=True)
class BotRules:
    """How a bot behaves, whatever it is connected to.

    Attributes:
        persona: Who it is where nobody has chosen.
        operator_ids: Who runs it, by platform and user id.
        registry: Where its models are; None if a bundle was named instead.
        retention_days: How long messages are kept, as people are told; 0 for ever.
        training_retention_days: The same of the copies for training.
    """

    persona: str
    answers: AnswerOptions = AnswerOptions()  # noqa: RUF009  # frozen
    serving: ServingRules = ServingRules()  # noqa: RUF009  # frozen
    plugins: PluginRules = PluginRules()  # noqa: RUF009  # frozen
    operator_ids: frozenset[tuple[str, str]] = frozenset()
    registry: Path | None = None
    retention_days: int = 0
    training_retention_days: int = 0


@dataclass(frozen=True)
class Bot:
    """A bot that can be connected to any number of accounts."""

    engine: TextEngine
    log: ChatLog
    plugins: PluginHost
    switchboard: Switchboard
    rules: BotRules
    clock: Clock = time.monotonic
    sleep: Sleep = asyncio.sleep

    def dispatcher(self, adapter: Adapter) -> Dispatcher:
        """What lets it talk through an adapter."""
        return Dispatcher(
            adapter,
            self.engine,
            self.log,
            self.plugins,
            self.switchboard,
            persona=self.rules.persona,
            options=self.rules.answers,
            rules=self.rules.serving,
            clock=self.clock,
            sleep=self.sleep,
        )


@asynccontextmanager
async def open_bot(
    engine: TextEngine,
    log: ChatLog,
    rules: BotRules,
    *,
    clock: Clock = time.monotonic,
    sleep: Sleep = asyncio.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Bot]:
    """Load the plugins of a bot whose engine and log are open; times of `clock` and `sleep` are in seconds.

    A plugin that cannot be loaded is logged, and the bot goes on without it.
    """
    operators = Operators(log, rules.operator_ids)
    switchboard = Switchboard(operators)
    host = PluginHost(
        log,
        engine,
        switchboard,
        lambda host: builtin_plugins(
            host,
            log,
            operators,
            registry=rules.registry,
            retention_days=rules.retention_days,
            training_retention_days=rules.training_retention_days,
        ),
        rules.plugins,
        clock=clock,
        sleep=sleep,
        now=now,
    )
    async with host:
        yield Bot(engine, log, host, switchboard, rules, clock, sleep)
