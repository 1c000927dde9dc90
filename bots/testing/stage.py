"""A whole bot for the test of a plugin: the real host, dispatcher and database, and a platform, a model and a time that
the test commands.

It waits until all that a step of the test has caused is done, so that a test neither sleeps nor guesses.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from bots.adapter import Caps
from bots.bot import Bot, BotRules, open_bot
from bots.chatlog import ChatLog, DatabaseSettings
from bots.dispatcher import Dispatcher
from bots.errors import PluginError
from bots.message import Addressed, Attachment, Button, ChatRef, Quote, Segment, User
from bots.plugins import Fault, Plugin, PluginHost, PluginRules, Store
from bots.plugins.watchdog import Watched
from bots.testing.clock import VirtualClock, settle
from bots.testing.engine import Script, ScriptedEngine, Step, echo
from bots.testing.platform import FakePlatform, Posted
from bots.testing.profiles import Profile, unlimited
from engine.errors import SettingsError
from engine.generation import GenerationRequest

STARTS_AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
PERSONA = "Be kind."

QUIET_S = 0.1
"""How long nothing has to happen, in real seconds, until a bot that sleeps is taken to wait for just that: a database
takes milliseconds."""
LONG_QUIET_S = 3.0
"""The same if only schedules and the like sleep, which what a test waits for rarely depends on. On a busy machine a
database may take much longer than usual, and the time is not to move because of that."""
LONGEST_WAIT_S = 3600.0
"""How much time may pass, by the clock, until the bot is done with what somebody has said."""
REAL_LIMIT_S = 90.0
"""How long one step may take, in real seconds: more than a handler that hangs is given."""

_POLL_S = 0.001

_is_housekeeping: ContextVar[bool] = ContextVar("_is_housekeeping", default=False)
"""Set while the built-in plugins begin, and so in all that they begin."""


def default_profile() -> Profile:
    """A platform that takes everything: drafts, buttons, and as many calls as there are."""
    return unlimited(Caps(draft_interval_s=0.0, has_buttons=True))


@dataclass(frozen=True)
class Staging:
    """What a stage is made of; see `open_stage`."""

    folder: Path
    plugins: Sequence[type[Plugin] | str]
    plugin_folder: Path
    configs: Mapping[str, Mapping[str, object]]
    persona: str

    def read_config(self, name: str, kind: type[BaseModel]) -> BaseModel:
        """The settings that the test gives; nothing of this machine's environment."""
        values = self.configs.get(name, {})
        if unknown := sorted(values.keys() - kind.model_fields.keys()):
            raise SettingsError(
                f"the plugin {name} has no setting {unknown[0]}; it has: {', '.join(kind.model_fields)}"
            )
        return kind(**values)


class Stage:
    """A bot that is running, and everybody whom it talks with.

    Attributes:
        clock: The time, which moves when the test says so, or when the bot waits for it.
        platform: The chats and the people: what they see, and what they can do besides `say` and `press`.
        engine: The model, which says what it is told to; without that, it repeats the question.
        log: The chat log, in a database of its own.
        operator: A person who runs this bot; `platform.ann` and `platform.bob` do not.
        faults: What went wrong in plugins so far.
    """

    def __init__(self, staging: Staging, platform: FakePlatform, engine: ScriptedEngine) -> None:
        """For `open_stage`."""
        self.platform, self.engine, self.clock = platform, engine, platform.clock
        self.operator = platform.person("Olga")
        self.faults: list[Fault] = []
        self._staging = staging
        self._house = VirtualClock()
        self._house.now_s = self.clock.now_s
        self._faults_are_expected = False
        self._num_asleep = 0
        self._run: _Run | None = None

    # What there is.

    @property
    def log(self) -> ChatLog:
        """The chat log."""
        return self._running.log

    @property
    def host(self) -> PluginHost:
        """What loads and runs plugins."""
        return self._running.bot.plugins

    @property
    def store(self) -> Store:
        """What the first plugin of the test keeps."""
        return self.store_of(_name_of(self._staging.plugins[0]))

    def store_of(self, plugin: str) -> Store:
        """What the plugin of that name keeps."""
        return Store(self.log, plugin)

    def last_post(self, chat: ChatRef | None = None) -> Posted:
        """The newest message of the bot in a chat, by default in `platform.chat`; for `press`.

        What a command returns is no such message: see `platform.notices`.
        """
        standing = self.platform.standing(chat)
        assert standing, f"the bot has posted nothing in {(chat or self.platform.chat).key}"
        return standing[-1]

    # What the test does.

    async def say(
        self,
        text: str = "",
        chat: ChatRef | None = None,
        author: User | None = None,
        *,
        addressed: Collection[Addressed] | None = None,
        segments: Sequence[Segment] | None = None,
        attachments: Sequence[Attachment] = (),
        quote: Quote | None = None,
    ) -> str:
        """Have someone say something, and wait until the bot is done with it; see `FakePlatform.say`.

        Returns:
            What the bot says in that chat meanwhile: messages that are new or changed, a line break between them.
        """
        chat, seen = chat or self.platform.chat, self._seen()
        why = None if addressed is None else frozenset(addressed)
        self.platform.say(text, chat, why, author, segments=segments, attachments=attachments, quote=quote)
        await self.done()
        return self._news_since(seen, chat)

    async def press(self, post: Posted, button: Button | str, user: User | None = None) -> str:
        """Have someone press a button below a message of the bot, and wait until the bot is done with it.

        Args:
            post: The message; `last_post` gives one.
            button: The button, its label or its name.
            user: Who presses it; by default Ann, or whose private chat it is.

        Returns:
            What that person is told, which nobody else sees.
        """
        num_told = len(self.platform.told)
        self.platform.press(post, _button_of(post, button), user)
        await self.done()
        return "\n".join(text for _, text in self.platform.told[num_told:])

    async def react(self, post: Posted, score: int = 1, user: User | None = None) -> None:
        """Have someone react to a message of the bot, and wait until the bot is done with it."""
        self.platform.react(post, score, user)
        await self.done()

    async def advance(self, duration_s: float) -> str:
        """Let time pass: schedules run, one after the other and each when it is due.

        Those of the built-in plugins run once, at the end.

        Returns:
            What the bot says meanwhile, in whichever chat.
        """
        seen, end_s = self._seen(), self.clock.now_s + duration_s
        await self._until_quiet()
        while (wake_s := self.clock.next_wake_s()) < end_s:
            await self.clock.advance(max(0.0, wake_s - self.clock.now_s))
            await self._until_quiet()
        await self.clock.advance(max(0.0, end_s - self.clock.now_s))
        self._house.now_s = self.clock.now_s
        await self._house.advance(0.0)
        await self._until_quiet()
        return self._news_since(seen)

    async def restart(self, off_s: float = 0.0) -> None:
        """End the bot, and start another on the same database and platform after `off_s` seconds."""
        await self._end()
        self.clock.now_s += off_s
        self._house.now_s = self.clock.now_s
        await self._begin()

    def model_says(self, *steps: Step) -> None:
        """Have the model answer the next question like that: texts are pieces of the answer, in order.

        Said several times, it is one answer after the other. See `bots.testing.Step` for what it can do but talk.
        """
        self.engine.add(steps)

    def expect_faults(self) -> list[Fault]:
        """Let the test go well though plugins fail in it; returns what has gone wrong, which grows."""
        self._faults_are_expected = True
        return self.faults

    async def done(self) -> None:
        """Wait until the bot has done all that there is to do; if it waits for the time to pass, let that happen.

        What plugins do in `spawn` and `every` by themselves is not waited for.
        """
        latest_s = self.clock.now_s + LONGEST_WAIT_S
        await self._until_quiet()
        while not self._is_done():
            wake_s = self.clock.next_wake_s()
            assert wake_s <= latest_s, f"the bot is not done after {LONGEST_WAIT_S:g} s"
            await self.clock.advance(max(0.0, wake_s - self.clock.now_s))
            await self._until_quiet()

    # What it takes.

    @property
    def _running(self) -> "_Run":
        assert self._run is not None, "the bot is not running"
        self._run.check()
        return self._run

    def _is_done(self) -> bool:
        run = self._running
        return not self.platform.has_untaken and run.dispatcher.is_idle and not run.bot.plugins.num_running

    async def _until_quiet(self) -> None:
        """Wait until all is done, or until nothing happens any more as long as the time stands still."""
        started_s = quiet_since_s = time.monotonic()
        progress = self._progress()
        while True:
            await settle()
            if self._is_done():
                return
            now_s = time.monotonic()
            if progress != (newer := self._progress()):
                progress, quiet_since_s = newer, now_s
            is_asleep = self.clock.next_wake_s() < float("inf")
            if is_asleep and now_s - quiet_since_s > (QUIET_S if self._num_asleep else LONG_QUIET_S):
                return
            assert now_s - started_s < REAL_LIMIT_S, f"the bot is not done after {REAL_LIMIT_S:g} s"
            await asyncio.sleep(_POLL_S)

    def _progress(self) -> tuple[int, ...]:
        platform = self.platform
        return (
            len(platform.shown),
            len(platform.settled_messages),
            len(platform.told),
            len(self.clock.slept_s),
            len(self.engine.requests),
            self._running.bot.plugins.num_running,
        )

    def _seen(self) -> dict[str, str]:
        return {post.id: post.text for post in self._posts()}

    def _news_since(self, seen: Mapping[str, str], chat: ChatRef | None = None) -> str:
        return "\n".join(
            post.text for post in self._posts() if chat in (None, post.chat) and seen.get(post.id) != post.text
        )

    def _posts(self) -> Iterable[Posted]:
        posts = sorted((*self.platform.posted, *self.platform.notices), key=lambda post: int(post.id))
        return [post for post in posts if not post.is_deleted]

    async def _sleep(self, duration_s: float) -> None:
        """How plugins sleep. What the built-in ones do by themselves is not worth a step of the clock."""
        task = asyncio.current_task()
        if _is_housekeeping.get():
            await self._house.sleep(duration_s)
        elif task is not None and isinstance(task.get_coro(), Watched):  # in a handler
            await self._sleep_on_duty(duration_s)
        else:
            await self.clock.sleep(duration_s)

    async def _sleep_on_duty(self, duration_s: float) -> None:
        """How those sleep that somebody may be waiting for."""
        self._num_asleep += 1
        try:
            await self.clock.sleep(duration_s)
        finally:
            self._num_asleep -= 1

    async def _begin(self) -> None:
        run = _Run()
        # A task of its own, as a fixture is left in another one than it was entered in.
        run.task = asyncio.create_task(self._serve(run), name="the bot of a test")
        ready = asyncio.create_task(run.ready.wait())
        await asyncio.wait({run.task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        run.check()
        self._run = run

    async def _end(self) -> None:
        run, self._run = self._run, None
        if run is not None and run.task is not None:
            run.closing.set()
            await run.task

    async def _serve(self, run: "_Run") -> None:
        staging, clock = self._staging, self.clock
        database = DatabaseSettings(
            url=f"sqlite:///{staging.folder}/chat.db", key_file=staging.folder / "secrets" / "chat.keys"
        )
        rules = BotRules(
            staging.persona,
            plugins=PluginRules(folder=staging.plugin_folder, read_config=staging.read_config),
            operator_ids=frozenset({(self.operator.platform, self.operator.id)}),
        )
        is_housekeeping = _is_housekeeping.set(True)
        async with (
            ChatLog.open(database, now=clock.now) as run.log,
            open_bot(self.engine, run.log, rules, clock=clock.clock, sleep=self._sleep, now=clock.now) as run.bot,
        ):
            _is_housekeeping.reset(is_housekeeping)
            run.bot.plugins.on_fault(self.faults.append)
            await _load_all(run.bot.plugins, staging.plugins)
            async with self.platform, asyncio.TaskGroup() as group:
                run.dispatcher = replace(run.bot, sleep=self._sleep_on_duty).dispatcher(self.platform)
                serving = group.create_task(run.dispatcher.run())
                run.ready.set()
                await run.closing.wait()
                run.dispatcher.close()
                await clock.run_until(serving.done)

    def _check_faults(self) -> None:
        if self.faults and not self._faults_are_expected:
            told = "; ".join(f"{fault.plugin}: {fault.what} {fault.reason}" for fault in self.faults)
            raise AssertionError(
                f"a plugin failed during the test ({told}); a test that means it says stage.expect_faults()"
            ) from self.faults[0].error


@dataclass(eq=False)
class _Run:
    """One life of the bot."""

    log: ChatLog = field(init=False)
    bot: Bot = field(init=False)
    dispatcher: Dispatcher = field(init=False)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    def check(self) -> None:
        """Raise what has ended it."""
        if self.task is not None and self.task.done():
            self.task.result()
            raise AssertionError("the bot has ended")


class BotWith(Protocol):
    """What the fixture `bot_with` is; see `open_stage`."""

    async def __call__(
        self,
        *plugins: type[Plugin] | str,
        folder: Path | None = None,
        config: Mapping[str, Any] | None = None,
        profile: Profile | None = None,
        scripts: Iterable[Script] = (),
        otherwise: Callable[[GenerationRequest], Script] = echo,
        persona: str = PERSONA,
        starts_at: datetime = STARTS_AT,
    ) -> Stage:
        """Start a bot with those plugins."""
        ...


@asynccontextmanager
async def open_stage(
    data: Path,
    *plugins: type[Plugin] | str,
    folder: Path | None = None,
    config: Mapping[str, Any] | None = None,
    profile: Profile | None = None,
    scripts: Iterable[Script] = (),
    otherwise: Callable[[GenerationRequest], Script] = echo,
    persona: str = PERSONA,
    starts_at: datetime = STARTS_AT,
) -> AsyncIterator[Stage]:
    """Run a bot with the built-in plugins and those that are named, until the block ends.

    Args:
        data: A folder for its database; made if it is missing.
        *plugins: Plugin classes, or names of plugins: of those in `folder`, or of installed packages.
        folder: Where plugins are looked for by name, as with `BOTS_PLUGINS_FOLDER`.
        config: The settings of the plugin, by field; of several plugins, by name and then by field. What the
            environment says is not read.
        profile: What the platform offers and allows, for instance `discord()`; by default all, without limits.
        scripts: What the model answers, in order; see `Stage.model_says`.
        otherwise: Writes the model's answer when there is no script any more; by default it repeats the question.
        persona: Who the bot is where nobody has chosen.
        starts_at: The date and time at first, with a time zone.

    Raises:
        AssertionError: At the end: a handler of a plugin has failed, or the bot did what none must do.
        Exception: Whatever a plugin raises in `setup` or when it is imported.
        PluginError: There is no plugin of that name, or it takes too long.
    """
    platform = FakePlatform(profile or default_profile(), clock=VirtualClock(starts_at))
    names = [_name_of(each) for each in plugins]
    configs = {names[0]: config or {}} if len(names) == 1 else config or {}
    if unknown := sorted(configs.keys() - set(names)):
        raise ValueError(f"config has {unknown[0]!r}, which is none of the plugins {', '.join(names)}")
    staging = Staging(data, plugins, folder or Path("plugins"), configs, persona)
    async with ScriptedEngine(scripts, otherwise=otherwise) as engine:
        stage = Stage(staging, platform, engine)
        await stage._begin()
        try:
            yield stage
        finally:
            await stage._end()
        stage._check_faults()


async def _load_all(host: PluginHost, plugins: Iterable[type[Plugin] | str]) -> None:
    for each in plugins:
        try:
            await (host.load(each) if isinstance(each, str) else host.add(each))
        except PluginError as exc:
            if isinstance(exc.__cause__, Exception):
                raise exc.__cause__ from None
            raise


def _name_of(plugin: type[Plugin] | str) -> str:
    return plugin if isinstance(plugin, str) else plugin.name


def _button_of(post: Posted, button: Button | str) -> Button:
    """The button below a message that is meant."""
    for each in post.buttons:
        if button in (each, each.label, each.name):
            return each
    there = ", ".join(each.label for each in post.buttons) or "none"
    raise AssertionError(f"there is no button {button!r} below {post.text!r}; there is: {there}")
