"""A whole bot, served through the real libraries on a platform's stand-in, and people who use it with their apps.

`DiscordApp` and `TelegramApp` are the same few gestures on either platform: what a person types, presses and sees.
Knows nothing of what any command does.
"""

import asyncio
import contextlib
import inspect
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Self

from discord_interactions import Interaction
from discord_server import DiscordServer
from discord_state import DEFAULT_PERMISSIONS, Permission, walk_components
from telegram_server import TelegramServer

import bots.discord  # noqa: F401  # before discord.py itself, which warns when it is imported
from bots import ChatRef, User
from bots.bot import BotRules, open_bot
from bots.companion import companion
from bots.discord import DiscordAdapter
from bots.telegram import TelegramAdapter
from bots.testing import ScriptedEngine

SPEED = 50.0
"""How much faster than real time passes for a bot, so that it keeps to its paces and nobody waits for them."""
WITHIN_S = 20.0

_TEXT, _INTEGER, _BOOLEAN = 3, 4, 5
_VALUES = {_TEXT: str, _INTEGER: int, _BOOLEAN: {"yes": True, "no": False}.__getitem__}
"""What a person types for an option on Discord, as the app sends it."""


class Place(Enum):
    """Where something is said."""

    PRIVATE = "private"
    GROUP = "group"


PRIVATE, GROUP = Place.PRIVATE, Place.GROUP


@dataclass(frozen=True)
class Seen:
    """A message of the bot, as one person sees it.

    Attributes:
        buttons: What travels with a press, by label.
        files: Names and contents.
        message: The stand-in's own.
    """

    id: int
    text: str
    buttons: dict[str, str]
    files: tuple[tuple[str, bytes], ...]
    message: Any


class DiscordApp:
    """Discord in the hands of Ann, of Bob, and of Carol, who may delete messages in the group.

    Commands are used as slash commands, with the options that the bot has registered.
    """

    name, has_slash_commands = "discord", True

    def __init__(self) -> None:
        self.server = DiscordServer(rate_limits=False)

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        server = self.server
        self.bot = server.add_bot("token", "mynah", has_message_content=True)
        self.people = [server.add_user(name) for name in ("ann", "bob", "carol")]
        self.ann, self.bob, self.carol = self.people
        guild = server.add_guild(members=[self.bot, *self.people])
        server.add_member(guild, self.carol, DEFAULT_PERMISSIONS | Permission.MANAGE_MESSAGES)
        self.channel = server.add_channel(guild)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.server.__aexit__(*exc_info)

    def new_adapter(self, commands: Any) -> DiscordAdapter:
        return DiscordAdapter("token", api_url=self.server.api_url, has_message_content=True, commands=commands)

    def called(self, who: Any) -> str:
        return str(who.payload()["global_name"])

    def place(self, who: Any, where: Place) -> Any:
        return self.channel if where is GROUP else self.server.open_dm(who, self.bot)

    def hear_all(self) -> None:
        """Let the bot see what is not said to it, and reactions: it does."""

    def say(self, who: Any, where: Place, text: str, *, is_call: bool = True, reply_to: Seen | None = None) -> Any:
        mentions = [self.bot] if where is GROUP and is_call else []
        answered = reply_to and reply_to.message
        return self.server.say(who, self.place(who, where), text, mentions=mentions, reply_to=answered)

    def give(self, who: Any, where: Place, command: str) -> Interaction:
        name, _, rest = command.removeprefix("/").partition(" ")
        schema = next(each for each in self.bot.commands[None] if each["name"] == name)["options"]
        words = rest.split(maxsplit=max(len(schema) - 1, 0)) if rest else []
        options = {
            option["name"]: _VALUES[option["type"]](self._with_mentions(word))
            for option, word in zip(schema, words, strict=False)
        }
        return self.server.invoke(who, self.place(who, where), self.bot, name, options)

    def _with_mentions(self, text: str) -> str:
        for person in self.people:
            text = text.replace(f"@{self.called(person)}", person.mention)
        return text

    def is_answered(self, said: Any) -> bool:
        if isinstance(said, Interaction):
            return said.original is not None and (said.original.is_deleted or not said.original.is_loading)
        return any(message.id > said.id for message in self.server.messages(said.channel, self.bot))

    def seen(self, who: Any, where: Place) -> list[Seen]:
        shown = self.server.messages(self.place(who, where), self.bot)
        return [_seen_on_discord(each) for each in shown if not each.is_loading and _is_for(each, who)]

    def is_thinking(self, who: Any, where: Place) -> bool:
        """Whether "thinking ..." stands there."""
        return any(each.is_loading for each in self.server.messages(self.place(who, where), self.bot))

    def press(self, who: Any, post: Seen, label: str) -> Interaction:
        return self.server.press(who, post.message, post.buttons[label])

    def told(self, press: Interaction) -> str:
        """What was shown of a press, to the person alone."""
        assert all(each.is_ephemeral for each in press.responses)
        return "\n".join(each.content for each in press.responses)

    def react(self, who: Any, post: Seen, emoji: str) -> None:
        self.server.react(who, post.message, emoji)

    def menu(self) -> list[str]:
        return [command["name"] for command in self.bot.commands.get(None, [])]

    def faults(self) -> list[Any]:
        """What the bot did that a good one does not."""
        return [*self.server.violations, *self.server.pings, *self.server.unacknowledged]


def _is_for(message: Any, who: Any) -> bool:
    return not message.is_ephemeral or message.interaction["user"]["id"] == str(who.id)


def _seen_on_discord(message: Any) -> Seen:
    buttons = {each["label"]: each["custom_id"] for each in walk_components(message.components) if "custom_id" in each}
    files = tuple((file.filename, file.data) for file in message.attachments)
    return Seen(message.id, message.content, buttons, files, message)


class TelegramApp:
    """Telegram in the hands of Ann, of Bob, and of Carol, who is an administrator of the group.

    Commands are picked from the menu, and what belongs to them is typed. Nobody has chosen a @username, so that
    the app mentions people with who they are.
    """

    name, has_slash_commands = "telegram", False

    def __init__(self) -> None:
        self.server = TelegramServer(limits=None)

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        server = self.server
        self.bot = server.add_bot("101:token", "mynah_bot")
        self.people = [server.add_user(name) for name in ("Ann", "Bob", "Carol")]
        self.ann, self.bob, self.carol = self.people
        self.group = server.add_supergroup("Birds", *self.people, self.bot)
        server.promote(self.group, self.carol)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.server.__aexit__(*exc_info)

    def new_adapter(self, commands: Any) -> TelegramAdapter:
        return TelegramAdapter("101:token", api_url=self.server.api_url, commands=commands)

    def called(self, who: Any) -> str:
        return str(who.name)

    def place(self, who: Any, where: Place) -> Any:
        return self.group if where is GROUP else self.server.private_chat(who, self.bot)

    def hear_all(self) -> None:
        """Let the bot see what is not said to it, and reactions: only administrators do."""
        self.server.promote(self.group, self.bot)

    def say(self, who: Any, where: Place, text: str, *, is_call: bool = True, reply_to: Seen | None = None) -> Any:
        call = "@mynah_bot " if where is GROUP and is_call and reply_to is None else ""
        return self._type(who, where, call + text, reply_to)

    def give(self, who: Any, where: Place, command: str) -> Any:
        addressee = "@mynah_bot" if where is GROUP else ""
        return self._type(who, where, re.sub(r"^/\w+", lambda match: match[0] + addressee, command))

    def _type(self, who: Any, where: Place, text: str, reply_to: Seen | None = None) -> Any:
        entities = []
        for person in self.people:
            if (begin := text.find(f"@{person.name}")) >= 0:
                text = text.replace(f"@{person.name}", person.name)
                mention = {"type": "text_mention", "offset": begin, "length": len(person.name)}
                entities.append(mention | {"user": person.to_api()})
        answered = reply_to and reply_to.message
        return self.server.say(who, self.place(who, where), text, entities=entities, reply_to=answered)

    def is_answered(self, said: Any) -> bool:
        return any(message.id > said.id for message in self.server.messages(said.chat, self.bot))

    def seen(self, who: Any, where: Place) -> list[Seen]:
        return [self._seen(each) for each in self.server.messages(self.place(who, where), self.bot)]

    def _seen(self, message: Any) -> Seen:
        rows = (message.markup or {}).get("inline_keyboard", [])
        buttons = {button["text"]: button["callback_data"] for row in rows for button in row}
        sent = [message.extra["document"]] if "document" in message.extra else []
        files = tuple((each["file_name"], self.server.world.files[each["file_id"]].data) for each in sent)
        return Seen(message.id, message.text, buttons, files, message)

    def is_thinking(self, who: Any, where: Place) -> bool:
        """Whether a draft stands there."""
        draft = self.server.shown_draft(self.place(who, where))
        return draft is not None

    def press(self, who: Any, post: Seen, label: str) -> str:
        return str(self.server.press(who, post.message, post.buttons[label]))

    def told(self, press: str) -> str:
        """What was shown of a press, to the person alone."""
        return "\n".join(answer.get("text", "") for answer in self.server.query_answers.get(press, []))

    def react(self, who: Any, post: Seen, emoji: str) -> None:
        self.server.react(who, post.message, emoji)

    def menu(self) -> list[str]:
        return [entry["command"] for commands in self.bot.commands.values() for entry in commands]

    def faults(self) -> list[Any]:
        """What the bot did that a good one does not."""
        return [*self.server.violations, *self.server.pings]


APPS = {app.name: app for app in (DiscordApp, TelegramApp)}


class Stage:
    """What people do with the bot, and what comes of it. Ann runs it."""

    def __init__(self, app: Any, bot: Any, dispatcher: Any) -> None:
        self.app, self.bot, self.log, self._dispatcher = app, bot, bot.log, dispatcher
        self.ann, self.bob, self.carol = app.people

    def chat(self, who: Any, where: Place = PRIVATE) -> ChatRef:
        return ChatRef(self.app.name, str(self.app.bot.id), str(self.app.place(who, where).id))

    def user(self, who: Any) -> User:
        return User(self.app.name, str(who.id), self.app.called(who))

    def seen(self, who: Any, where: Place = PRIVATE) -> list[Seen]:
        return self.app.seen(who, where)

    def said_to(self, who: Any, where: Place = PRIVATE) -> str:
        """All that a person sees of the bot."""
        return "\n".join(each.text for each in self.seen(who, where))

    def answer(self, who: Any, where: Place = PRIVATE) -> Seen:
        """The newest message with buttons."""
        return [each for each in self.seen(who, where) if each.buttons][-1]

    async def command(self, command: str, who: Any = None, where: Place = PRIVATE) -> str:
        """Give a command; returns what the person sees of the bot that was not there before."""
        return await self._answered(who or self.ann, where, lambda who: self.app.give(who, where, command))

    async def say(
        self,
        text: str,
        who: Any = None,
        where: Place = PRIVATE,
        *,
        is_call: bool = True,
        reply_to: Seen | None = None,
    ) -> str:
        """Say something to the bot; returns what it says."""
        return await self._answered(
            who or self.ann, where, lambda who: self.app.say(who, where, text, is_call=is_call, reply_to=reply_to)
        )

    async def _answered(self, who: Any, where: Place, act: Any) -> str:
        before = {each.id for each in self.seen(who, where)}
        said = act(who)
        await self.until(lambda: self.app.is_answered(said) and self._is_idle())
        return "\n".join(each.text for each in self.seen(who, where) if each.id not in before)

    async def press(self, label: str, who: Any = None, where: Place = PRIVATE) -> str:
        """Press a button below the newest message that has some; returns what only the person gets to see."""
        who = who or self.ann
        before = {each.id for each in self.seen(who, PRIVATE)}
        press = self.app.press(who, self.answer(who, where), label)

        def told() -> str:
            said = [each.text for each in self.seen(who, PRIVATE) if each.id not in before]
            return str(self.app.told(press)) or "\n".join(said)

        await self.until(lambda: told() and self._is_idle())
        return told()

    async def until_ignored(self, who: Any, where: Place, act: Callable[[], Any]) -> Any:
        """Have a person do something, and see that nothing is said to them of it; returns what `act` does."""
        before, done = self.said_to(who, where), act()
        await self.command("/model", self.carol)  # what comes later is answered, and nothing is left to do
        await self.until_idle()
        assert self.said_to(who, where) == before
        assert not self.app.is_thinking(who, where)
        return done

    async def until_idle(self) -> None:
        """Wait until nothing of what has come in is left to do."""
        await self.until(self._is_idle)

    def _is_idle(self) -> bool:
        return not self._dispatcher._tasks

    async def until(self, condition: Any) -> Any:
        """Wait until it is true; it may be async."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S):
                while True:
                    result = condition()
                    if inspect.isawaitable(result):
                        result = await result
                    if result:
                        return result
                    await asyncio.sleep(0.005)
        raise AssertionError(self._report())

    def _report(self) -> str:
        seen = [
            f"{self.app.called(who)}, {where.value}: {self.said_to(who, where)!r}"
            for who in self.app.people
            for where in Place
        ]
        return "\n".join([f"not so within {WITHIN_S:g} s; people see:", *seen, repr(self.app.server.requests[-8:])])


def fast_clock() -> float:
    """The time in seconds, for a bot."""
    return time.monotonic() * SPEED


async def fast_sleep(duration_s: float) -> None:
    """Wait, by that time."""
    await asyncio.sleep(duration_s / SPEED)


@contextlib.asynccontextmanager
async def served(app: Any, log: Any, *scripts: Sequence[Any], engine: Any = None, **rules: Any) -> AsyncIterator[Stage]:
    """The bot on a platform; Ann runs it. `engine` is open already, or there is one that plays the scripts."""
    began, began_s = datetime.now(UTC), fast_clock()
    operators = frozenset({(app.name, str(app.ann.id))})
    async with contextlib.AsyncExitStack() as stack:
        engine = engine or await stack.enter_async_context(ScriptedEngine(scripts))
        bot = await stack.enter_async_context(
            open_bot(
                engine,
                log,
                replace(BotRules("Be kind.", operator_ids=operators, retention_days=30), **rules),
                clock=fast_clock,
                sleep=fast_sleep,
                now=lambda: began + timedelta(seconds=fast_clock() - began_s),
            )
        )
        adapter = await stack.enter_async_context(app.new_adapter(bot.plugins.commands))
        dispatcher = bot.dispatcher(adapter)
        async with companion(dispatcher.run()) as running:
            yield Stage(app, bot, dispatcher)
            dispatcher.close()
            await running
    assert app.faults() == []
