"""All plugins of a process: loads them, unloads them completely, and switches off those that fail again and again.

Knows nothing of any one plugin.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from bots.budget import Clock, Sleep
from bots.chatlog import ChatLog, ChatSettings
from bots.commands import CommandTable
from bots.companion import companion
from bots.errors import PluginError
from bots.message import Button, ButtonPressed, ChatRef, Message
from bots.plugins.config import load_config
from bots.plugins.context import COMMAND_WITHIN_S, Context, Speaker, Surroundings, available_at, available_in
from bots.plugins.discovery import Source, find_plugins
from bots.plugins.guard import Fault, FaultLimit, Guard, HandlerFailedError, in_words, is_done_within, traceback_of
from bots.plugins.hooks import ACT_WITHIN_S, Hooks
from bots.plugins.plugin import Plugin, check_plugin
from bots.plugins.registrations import Listener, Registrations
from bots.plugins.scope import Scope
from bots.plugins.store import Store
from bots.plugins.watchdog import BlockedLoopError, Watchdog
from engine.generation import TextEngine

logger = logging.getLogger(__name__)

SETUP_WITHIN_S = 30.0
TEARDOWN_WITHIN_S = 5.0
LOOK_AT_MODEL_S = 1.0
"""How often it is looked up which version of the model answers."""


@dataclass(frozen=True)
class PluginInfo:
    """One plugin, for people.

    Attributes:
        where: Where it comes from; empty for a built-in one.
        problem: Why it is not loaded; None if it is.
    """

    name: str
    summary: str = ""
    version: str = ""
    where: str = ""
    is_essential: bool = False
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class _Loaded:
    plugin: Plugin
    scope: Scope
    source: Source | None
    release: Callable[[], None]


@dataclass(frozen=True)
class PluginRules:
    """Which plugins there are, and how much they may get wrong.

    Attributes:
        named: Those that are loaded at the start, by name.
        folder: Where they are looked for, besides in installed packages.
        faults: After which of its faults one is switched off.
        read_config: Reads the settings of the plugin of a name, by their class; raises EngineError if it cannot.
    """

    named: Sequence[str] = ()
    folder: Path = Path("plugins")
    faults: FaultLimit = FaultLimit()  # noqa: RUF009  # frozen
    read_config: Callable[[str, type[BaseModel]], BaseModel] = load_config


MakePlugins = Callable[["PluginHost"], Sequence[Plugin]]


class PluginHost:
    """The plugins, as an async context; built-in ones first.

    Attributes:
        commands: What people can use; changes as plugins come and go.
        hooks: What happens, for those who make it happen.
        num_changes: How often plugins have come or gone.
    """

    def __init__(
        self,
        log: ChatLog,
        engine: TextEngine,
        speaker: Speaker,
        builtin: MakePlugins = lambda _: (),
        rules: PluginRules | None = None,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`builtin` makes the built-in ones for this host; times of `clock` and `sleep` are in seconds."""
        self._log, self._engine, self._speaker, self._sleep = log, engine, speaker, sleep
        self._rules, self._builtin = rules or PluginRules(), builtin
        self._watchdog = Watchdog()
        self._guard = Guard(self._rules.faults, clock, self._watchdog, self._give_up)
        self.commands, self.hooks = CommandTable(), Hooks(self._guard)
        self._registrations = Registrations()
        self._around = Surroundings(
            self._registrations, self.commands, self.hooks, self._guard, speaker, engine, now, sleep
        )
        self._loaded: dict[str, _Loaded] = {}
        self._problems: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._doomed: asyncio.Queue[tuple[_Loaded, str]] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.num_changes = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._watchdog)
            stack.push_async_callback(self._unload_all)
            for plugin in self._builtin(self):
                await self._begin(plugin, None, lambda: None)
            for name in self._rules.named:
                await self._load_or_report(name)
            await stack.enter_async_context(companion(self._watch_model()))
            await stack.enter_async_context(companion(self._switch_off_doomed()))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    # Loading and unloading.

    def listing(self) -> list[PluginInfo]:
        """All that are loaded, and those that should be and are not."""
        loaded = [
            PluginInfo(name, each.plugin.summary, each.plugin.version, _where(each), _is_essential(each))
            for name, each in self._loaded.items()
        ]
        return loaded + [PluginInfo(name, problem=why) for name, why in self._problems.items()]

    def configs(self) -> dict[str, type[BaseModel]]:
        """The settings that loaded plugins have, by plugin."""
        return {name: each.plugin.Config for name, each in self._loaded.items() if each.plugin.Config.model_fields}

    async def load(self, name: str) -> None:
        """Load a plugin of the folder or of an installed package.

        Raises:
            PluginError: There is none of that name, it is loaded already, or its code fails.
        """
        async with self._changing:
            if name in self._loaded:
                raise PluginError(f"the plugin {name} is loaded already; reload it")
            source = self._find(name)
            plugin, release = self._import(source)
            await self._begin(plugin, source, release)

    async def add(self, kind: type[Plugin]) -> None:
        """Load a plugin that is at hand as a class, as in a test.

        Raises:
            PluginError: One of that name is loaded already, or its code fails.
        """
        name = check_plugin(kind).name
        async with self._changing:
            if name in self._loaded:
                raise PluginError(f"the plugin {name} is loaded already")
            source = Source(name, f"the class {kind.__qualname__}", lambda: (kind, _nothing))
            await self._begin(kind(), source, _nothing)

    async def unload(self, name: str) -> None:
        """Unload a plugin; nothing of it is left.

        Raises:
            PluginError: It is not loaded, or built in.
        """
        async with self._changing:
            await self._end(self._foreign(name))

    async def reload(self, name: str) -> None:
        """Load a plugin anew, as its files are now. If they cannot be imported, the old one goes on.

        Raises:
            PluginError: It is not loaded, it is built in, or its code fails.
        """
        async with self._changing:
            if name in self._problems and name not in self._loaded:
                plugin, release = self._import(source := self._find(name))
            else:
                old = self._foreign(name)
                plugin, release = self._import(source := self._find(name))
                await self._end(old)
            await self._begin(plugin, source, release)

    def _find(self, name: str) -> Source:
        sources = find_plugins(self._rules.folder)
        if name not in sources:
            known = ", ".join(sorted(sources)) or "none"
            raise PluginError(
                f"there is no plugin {name} in the folder {self._rules.folder} or in an installed package; there is: "
                f"{known}"
            )
        return sources[name]

    def _import(self, source: Source) -> tuple[Plugin, Callable[[], None]]:
        try:
            with self._watchdog.watching(f"the import of the plugin {source.name}"):
                kind, release = source.load()
        except (Exception, BlockedLoopError, SystemExit) as exc:  # whatever a plugin's module does
            raise self._problem(source.name, f"cannot be imported: {in_words(exc)}", exc) from exc
        if kind.name != source.name:
            release()
            raise PluginError(f"the plugin {source.name} ({source.where}) calls itself {kind.name}; give it one name")
        try:
            with self._watchdog.watching(f"making the plugin {source.name}"):
                return kind(), release
        except (Exception, BlockedLoopError, SystemExit) as exc:  # whatever its class does
            release()
            raise self._problem(source.name, f"cannot be made: {in_words(exc)}", exc) from exc

    def _problem(self, name: str, problem: str, error: BaseException) -> PluginError:
        """Note why a plugin is not there."""
        self._problems[name] = problem
        logger.warning("the plugin %s %s\n%s", name, problem, traceback_of(error))
        return PluginError(f"the plugin {name} {problem}")

    def _foreign(self, name: str) -> _Loaded:
        loaded = self._loaded.get(name)
        if loaded is None:
            raise PluginError(f"the plugin {name} is not loaded; there is: {', '.join(self._loaded)}")
        if loaded.source is None:
            raise PluginError(f"the plugin {name} is built in; it cannot be unloaded")
        return loaded

    async def _begin(self, plugin: Plugin, source: Source | None, release: Callable[[], None]) -> None:
        name = check_plugin(type(plugin)).name
        scope = Scope(name)
        try:
            config = self._rules.read_config(name, plugin.Config)
            context = Context(scope, config, Store(self._log, name), self._around)
            await self._call(f"setup of the plugin {name}", lambda: plugin.setup(context), SETUP_WITHIN_S)
        except BaseException as exc:
            await scope.close()
            release()
            self._guard.forget(scope)
            if not isinstance(exc, Exception | BlockedLoopError):
                raise
            raise self._problem(name, f"cannot be set up: {in_words(exc)}", exc) from exc
        self._loaded[name] = _Loaded(plugin, scope, source, release)
        self._problems.pop(name, None)
        self._note_change()

    async def _end(self, loaded: _Loaded) -> None:
        """Unload one; whatever its own code does meanwhile."""
        name = loaded.scope.plugin
        self._loaded.pop(name, None)
        try:
            await loaded.scope.close()
            await self._call(f"teardown of the plugin {name}", loaded.plugin.teardown, TEARDOWN_WITHIN_S)
        except (Exception, BlockedLoopError) as exc:  # whatever a plugin does
            logger.error("the end of the plugin %s failed (%s); it is unloaded all the same", name, in_words(exc))  # noqa: TRY400
        finally:
            loaded.release()
            self._guard.forget(loaded.scope)
            self._note_change()

    async def _call(self, what: str, work: Callable[[], Awaitable[None]], within_s: float) -> None:
        """Run the beginning or the end of a plugin."""

        async def run() -> None:
            await work()

        task = asyncio.create_task(self._watchdog.watched(what, run()))
        if not await is_done_within(task, within_s):
            raise TimeoutError(f"{what} took longer than {within_s:g} s")
        if task.cancelled():
            raise RuntimeError(f"{what} was cancelled from within")
        task.result()

    async def _load_or_report(self, name: str) -> None:
        try:
            await self.load(name)
        except PluginError as exc:
            self._problems.setdefault(name, str(exc))
            logger.error("%s; the bot goes on without it", exc)  # noqa: TRY400  # it was logged in full

    async def _unload_all(self) -> None:
        async with self._changing:
            for loaded in reversed(list(self._loaded.values())):
                await self._end(loaded)

    def _give_up(self, scope: Scope, reason: str) -> None:
        loaded = self._loaded.get(scope.plugin)
        if loaded is not None and loaded.scope is scope:
            self._doomed.put_nowait((loaded, reason))

    async def _switch_off_doomed(self) -> None:
        """Switch off, one by one, what has failed too often: in a task of its own, as a plugin's cannot end itself."""
        while True:
            loaded, reason = await self._doomed.get()
            try:
                await self._switch_off(loaded, reason)
            except Exception as exc:
                logger.error("the plugin %s was not switched off as it should be: %s", reason, in_words(exc))  # noqa: TRY400

    async def _switch_off(self, loaded: _Loaded, reason: str) -> None:
        name = loaded.scope.plugin
        if loaded.source is None:
            logger.error("the built-in plugin %s fails again and again: %s", name, reason)
            return
        async with self._changing:
            if self._loaded.get(name) is not loaded:
                return
            await self._end(loaded)
            self._problems[name] = f"switched off after repeated faults, the last one: {reason}"
        await self._speaker.tell_operators(
            f"The plugin {name} was switched off after repeated faults, the last one: {reason}. "
            f"`/plugins reload {name}` loads it again."
        )

    async def until_changed(self, since: int) -> None:
        """Wait until plugins have come or gone since `num_changes` was `since`."""
        while self.num_changes == since:
            await self._changed.wait()

    def _note_change(self) -> None:
        self.num_changes += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # What happens.

    @property
    def num_running(self) -> int:
        """Handlers of plugins that are at work."""
        return self._guard.num_running

    def on_fault(self, tell: Callable[[Fault], None]) -> None:
        """Let `tell` know of everything of a plugin that goes wrong from now on, besides the log."""
        self._guard.on_fault = tell

    async def off_in(self, chat: ChatRef, settings: ChatSettings | None = None) -> frozenset[str]:
        """The plugins that people have switched off in a chat, or in the chat that a thread is in.

        `settings` are the chat's, if they are at hand.
        """
        switched_off = (settings or await self._log.chat_settings(chat)).plugins_off
        if chat.thread is not None:
            switched_off |= (await self._log.chat_settings(chat.parent)).plugins_off
        return frozenset(
            name for name in switched_off if name not in self._loaded or not _is_essential(self._loaded[name])
        )

    def below_answers(self, off: Collection[str]) -> tuple[Button, ...]:
        """The plugins' buttons below an answer."""
        return self._registrations.below_answers(off)

    async def answer(self, message: Message, off: Collection[str]) -> str | None:
        """What a plugin answers in place of the model, if one does."""
        for listener in self._who_listens_to(message, off):
            said = await self._tell(listener, message)
            if isinstance(said, str) and said.strip():
                return said
        return None

    async def overhear(self, message: Message, off: Collection[str]) -> None:
        """Let plugins see a message that was not said to the bot."""
        for listener in self._who_listens_to(message, off):
            await self._tell(listener, message)

    def is_listening_to(self, message: Message) -> bool:
        """Whether a plugin wants to see it."""
        return bool(self._who_listens_to(message, ()))

    def _who_listens_to(self, message: Message, off: Collection[str]) -> list[Listener]:
        return [
            each
            for each in self._registrations.listeners
            if each.scope.plugin not in off and self._wants(each, message)
        ]

    def _wants(self, listener: Listener, message: Message) -> bool:
        return self._guard.test(listener.scope, "choosing messages", lambda: listener.when(message))

    async def _tell(self, listener: Listener, message: Message) -> object:
        try:
            return await self._guard.run(
                listener.scope, "on_message", lambda: listener.signature.call(available_in(message)), ACT_WITHIN_S
            )
        except HandlerFailedError:
            return None

    async def press(self, event: ButtonPressed, off: Collection[str]) -> str | None:
        """Let the plugin of a button know; returns what to tell the person, None if there is no such button."""
        pressed = self._registrations.pressed(event.button)
        if pressed is None or pressed[0].scope.plugin in off:
            return None
        handler, argument = pressed
        try:
            said = await self._guard.run(
                handler.scope,
                f"the button {handler.name}",
                lambda: handler.signature.call(available_at(event, argument)),
                COMMAND_WITHIN_S,
            )
        except HandlerFailedError:
            return "Something went wrong on my side; it was logged."
        return said if isinstance(said, str) else ""

    async def _watch_model(self) -> None:
        """Tell plugins when another version of the model answers."""
        version = self._engine.version
        while True:
            await self._sleep(LOOK_AT_MODEL_S)
            if (newer := self._engine.version) != version:
                older, version = version, newer
                await self.hooks.on_model_swap.tell(older, newer)


def _nothing() -> None:
    pass


def _is_essential(loaded: _Loaded) -> bool:
    """Only built-in ones are: what others call essential can still be switched off."""
    return loaded.source is None and loaded.plugin.is_essential


def _where(loaded: _Loaded) -> str:
    return loaded.source.where if loaded.source else ""
