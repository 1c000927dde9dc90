"""What `bots.adapter.Adapter` promises, checked on every adapter."""

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from discord_stage import DiscordStage
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output
from sample_commands import COMMANDS, command
from telegram_stage import TelegramStage
from vt_screen import Screen

from bots import (
    Adapter,
    AdapterClosedError,
    Button,
    Caps,
    ChatRef,
    Message,
    MessageGoneError,
    MessageTooLongError,
    UnsupportedError,
)
from bots.buttons import RETRY, STOP
from bots.companion import companion
from bots.console import PipeAdapter, TerminalAdapter
from bots.console.local import LOCAL_CHAT
from bots.testing import CHAT, FakePlatform

MARKS = [Button("good", "👍"), Button("bad", "👎")]
EVIL = "a\x1b[2Jb\x1b]0;title\x07c\x9b1;1Hd\rx\x08y\x7fz"


class Stage(Protocol):
    """An adapter together with the person on the other side of it.

    Attributes:
        can_end: Whether input has an end.
        takes_files: Whether files can be handed over in `chat`.
        others: A chat in which others see what is said, if there can be one.
    """

    adapter: Adapter
    chat: ChatRef
    can_end: bool
    takes_files: bool
    others: ChatRef | None

    def say(self, text: str) -> None: ...
    def end_input(self) -> None: ...
    def seen(self) -> str: ...
    def handed(self) -> list[tuple[str, bytes]]: ...
    def is_silent_to_others(self) -> bool: ...


class MemoryStage:
    chat = CHAT
    can_end, takes_files = True, True

    def __init__(self) -> None:
        self.adapter = FakePlatform(Caps(draft_interval_s=0.0, can_edit=True, max_length=4000))
        self.others = self.adapter.group()
        self.say, self.end_input = self.adapter.say, self.adapter.end_input

    def seen(self) -> str:
        """What a harmless display would show."""
        from bots.console.printable import printable

        shown = [(kind, text) for kind, _, text in self.adapter.shown if kind in ("draft", "send", "notice")]
        draft = [text for kind, text in shown[-1:] if kind == "draft"]
        notices = [text for kind, text in shown if kind == "notice"]
        return "\n".join(map(printable, [*(post.text for post in self.adapter.standing()), *notices, *draft]))

    def handed(self) -> list[tuple[str, bytes]]:
        return [(file.name, file.data) for file in self.adapter.handed]

    def is_silent_to_others(self) -> bool:
        return not any(chat == self.others for _, chat, _ in self.adapter.shown)


class PipeStage:
    chat = LOCAL_CHAT
    can_end, takes_files, others = True, False, None

    def __init__(self, folder: Path, *, is_live: bool) -> None:
        read_end, self._typing = os.pipe()
        self._output = folder / "output"
        # One file for both outputs, opened for appending, as in a terminal.
        output = os.open(self._output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.adapter = PipeAdapter(stdin=read_end, stdout=output, stderr=output, is_live=is_live)
        self._descriptors = [read_end, output]

    def say(self, text: str) -> None:
        os.write(self._typing, f"{text}\n".encode())

    def end_input(self) -> None:
        os.close(self._typing)
        self._typing = -1

    def seen(self) -> str:
        text = self._output.read_text()
        Screen().feed(text)  # fails on control characters
        return text

    def handed(self) -> list[tuple[str, bytes]]:
        return []

    def is_silent_to_others(self) -> bool:
        return True

    def close(self) -> None:
        for descriptor in [*self._descriptors, self._typing]:
            if descriptor >= 0:
                os.close(descriptor)


class TerminalStage:
    chat = LOCAL_CHAT
    can_end, takes_files, others = True, True, None

    def __init__(self, keyboard, folder: Path) -> None:
        """`folder` is the one that it was started in."""
        self._folder = folder
        self._keyboard, self._written = keyboard, io.StringIO()
        output = Vt100_Output(self._written, lambda: Size(rows=200, columns=80), enable_cpr=False)
        self.adapter = TerminalAdapter(greeting="Hello.", commands=COMMANDS, input=keyboard, output=output)

    def say(self, text: str) -> None:
        self._keyboard.send_text(f"{text}\r")

    def end_input(self) -> None:
        self._keyboard.send_text("\x04")

    def seen(self) -> str:
        screen = Screen()
        screen.feed(self._written.getvalue())
        return screen.text

    def handed(self) -> list[tuple[str, bytes]]:
        return [(file.name, file.read_bytes()) for file in sorted(self._folder.iterdir())]

    def is_silent_to_others(self) -> bool:
        return True


@pytest.fixture(params=["memory", "pipe", "live pipe", "terminal", "discord", "telegram"])
async def stage(request, tmp_path, monkeypatch) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        match request.param:
            case "memory":
                yield MemoryStage()
            case "terminal":
                monkeypatch.chdir(tmp_path)
                yield TerminalStage(stack.enter_context(create_pipe_input()), tmp_path)
            case "discord":
                yield await stack.enter_async_context(DiscordStage())
            case "telegram":
                yield await stack.enter_async_context(TelegramStage())
            case kind:
                pipe = PipeStage(tmp_path, is_live=kind == "live pipe")
                stack.callback(pipe.close)
                yield pipe


Inbox = Callable[[], "asyncio.Future[Message]"]


@contextlib.asynccontextmanager
async def listening(adapter: Adapter) -> AsyncIterator[Callable[[], object]]:
    """Read messages all the time, as the dispatcher does; gives the way to the next one, None at the end."""
    inbox: asyncio.Queue[Message | None] = asyncio.Queue()

    async def read() -> None:
        async for message in adapter.events():
            inbox.put_nowait(message)
        inbox.put_nowait(None)

    async with companion(read()):
        yield inbox.get


async def test_messages_arrive_once_and_in_order_and_without_the_blank_ones(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        for text in ("first", "second"):
            stage.say(text)
        if not isinstance(stage, MemoryStage):
            stage.say("   ")
        stage.say("third é 漢 🙂")
        texts = []
        for _ in range(3):
            message = await next_message()
            texts.append(message.text)
            assert message.chat == stage.chat
            assert message.addressed
            await adapter.settled(message)
        assert texts == ["first", "second", "third é 漢 🙂"]
        if stage.can_end:
            stage.end_input()
            assert await next_message() is None


async def test_a_reply_that_was_drafted_in_pieces_stands_there_exactly_once(stage):
    reply = "One fine line.\n\nTwo " + "wide " * 40 + "\nthree ends."
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        for end in range(1, len(reply), 7):
            await adapter.draft(stage.chat, reply[:end])
            await asyncio.sleep(0)
        await adapter.send(stage.chat, reply)
        await adapter.settled(message)
    seen = stage.seen()
    for once in ("One fine line.", "Two wide", "three ends."):
        assert seen.count(once) == 1
    assert seen.count("wide") == 40
    assert " ".join(seen.split()).endswith(" ".join(reply.split()))


async def test_a_reply_that_differs_from_its_draft_stands_there_whole(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        await adapter.draft(stage.chat, "Number 2 in the queue")
        await adapter.draft(stage.chat, "A first row.\nAnd more")
        await adapter.send(stage.chat, "Another beginning.\nAnd more.")
        await adapter.settled(message)
    assert "Another beginning.\nAnd more." in stage.seen()


async def test_replies_appear_in_the_order_they_were_sent(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        for text in ("one", "two", "three"):
            stage.say(f"say {text}")
            message = await next_message()
            await adapter.draft(stage.chat, f"reply {text[:2]}")
            await adapter.send(stage.chat, f"reply {text}")
            await adapter.settled(message)
    seen = stage.seen()
    places = [seen.index(f"reply {text}\n"[:-1]) for text in ("one", "two", "three")]
    assert places == sorted(places)
    assert seen.count("reply ") == 3


async def test_a_notice_in_the_middle_of_a_reply_breaks_neither(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        await adapter.draft(stage.chat, "The first half")
        await adapter.notice(stage.chat, "By the way.")
        await adapter.draft(stage.chat, "The first half and the second")
        await adapter.send(stage.chat, "The first half and the second half")
        await adapter.settled(message)
    seen = stage.seen()
    assert seen.count("By the way.") == 1
    assert seen.count("second half") == 1


async def test_a_reply_that_failed_leaves_the_next_one_a_line_of_its_own(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        await adapter.draft(stage.chat, "Half of a")
        await adapter.notice(stage.chat, "It failed.")
        await adapter.settled(replace(message, segments=()))  # whoever serves it may have changed what it says
        stage.say("again")
        message = await next_message()
        await adapter.send(stage.chat, "A whole reply")
        await adapter.settled(message)
    lines = [line.strip() for line in stage.seen().splitlines()]
    assert "It failed." in lines
    assert lines.count("A whole reply") == 1


@pytest.mark.parametrize("way", ["draft", "send", "notice"])
async def test_control_characters_are_shown_and_not_obeyed(stage, way):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        if way == "draft":
            await adapter.draft(stage.chat, EVIL)
            await asyncio.sleep(0)
            await adapter.send(stage.chat, EVIL)
        else:
            await getattr(adapter, way)(stage.chat, EVIL)
        await adapter.settled(message)
    assert "a�[2Jb�]0;title�c�1;1Hd\nx�y�z" in stage.seen()


async def test_leaving_the_context_ends_messages_and_closes_every_way_out(stage):
    async with contextlib.AsyncExitStack() as stack:
        adapter = await stack.enter_async_context(stage.adapter)
        next_message = await stack.enter_async_context(listening(adapter))
        stage.say("one")
        await next_message()
        await adapter.__aexit__(None, None, None)
        assert await next_message() is None
    for way in (adapter.draft, adapter.send, adapter.notice):
        if way == adapter.draft and adapter.caps(stage.chat).draft_interval_s is None:
            continue
        with pytest.raises(AdapterClosedError):
            await way(stage.chat, "too late")
    assert "too late" not in stage.seen()


async def test_leaving_the_context_ends_messages_that_nobody_wrote(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        await asyncio.sleep(0)
        await adapter.__aexit__(None, None, None)
        assert await next_message() is None


async def test_a_draft_is_seen_before_the_reply_if_caps_say_so_and_only_then(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        await adapter.draft(stage.chat, "half")
        if adapter.caps(stage.chat).draft_interval_s is None:
            assert "half" not in stage.seen()
        while adapter.caps(stage.chat).draft_interval_s is not None and "half" not in stage.seen():
            await asyncio.sleep(0)  # a terminal draws when it gets to it, and tells nobody
        await adapter.send(stage.chat, "half and whole")
        await adapter.settled(message)
    assert stage.seen().count("half") == 1


async def test_a_message_can_be_changed_and_taken_back_if_caps_say_so(stage):
    async with stage.adapter as adapter:
        message_id = await adapter.send(stage.chat, "half of it", buttons=[STOP])
        if not adapter.caps(stage.chat).can_edit:
            with pytest.raises(MessageGoneError):
                await adapter.edit(stage.chat, message_id, "all of it")
            return
        await adapter.edit(stage.chat, message_id, "all of it", buttons=[RETRY, *MARKS])
        await adapter.edit(stage.chat, message_id, "all of it", buttons=[RETRY, *MARKS])
        assert "all of it" in stage.seen()
        assert "half of it" not in stage.seen()
        await adapter.delete(stage.chat, message_id)
        await adapter.delete(stage.chat, message_id)
        with pytest.raises(MessageGoneError):
            await adapter.edit(stage.chat, message_id, "too late")


async def test_what_is_longer_than_caps_say_is_refused_whole(stage):
    async with stage.adapter as adapter:
        caps = adapter.caps(stage.chat)
        if caps.max_length is None:
            return
        assert caps.length("x" * caps.max_length) == caps.max_length
        await adapter.send(stage.chat, "x" * caps.max_length)
        for way in (adapter.send, adapter.notice):
            with pytest.raises(MessageTooLongError):
                await way(stage.chat, "y" * (caps.max_length + 1))
        assert "y" not in stage.seen()


async def test_a_file_is_handed_over_or_refused_and_never_shown_to_others(stage):
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("my data, please")
        message = await next_message()
        if stage.takes_files:
            await adapter.hand_over(stage.chat, "data.json", b"\x00{}" * 1000, reply_to=message.id)
            assert stage.handed() == [("data.json", b"\x00{}" * 1000)]
        else:
            with pytest.raises(UnsupportedError):
                await adapter.hand_over(stage.chat, "data.json", b"{}", reply_to=message.id)
        if stage.others is not None:
            with pytest.raises(UnsupportedError):
                await adapter.hand_over(stage.others, "data.json", b"{}", reply_to=message.id)
        await adapter.settled(message)
        num_handed = len(stage.handed())
    assert stage.is_silent_to_others()
    with pytest.raises((AdapterClosedError, UnsupportedError)):
        await adapter.hand_over(stage.chat, "late.json", b"{}", reply_to=message.id)
    assert len(stage.handed()) == num_handed == stage.takes_files


async def test_commands_can_be_shown_at_any_time(stage):
    adapter = stage.adapter
    await adapter.show_commands([command("early")])
    async with adapter:
        shown = [command("one"), command("hidden", is_listed=False)]
        for commands in (shown, shown, [command(f"many{number}") for number in range(120)], []):
            await adapter.show_commands(commands)
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(adapter.show_commands([command(f"command{number}")]))
    await adapter.show_commands([command("late")])


async def test_in_private_everyone_may_say_what_the_bot_does(stage):
    if isinstance(stage, MemoryStage):
        return  # it plays groups, too
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        assert message.is_private
        assert await adapter.is_moderator(message.chat, message.author)


async def test_nothing_that_is_shown_pings_anybody(stage):
    text = "@everyone @here <@1> <@&2> @ann hello [x](tg://user?id=1) **@ann**"
    async with stage.adapter as adapter, listening(adapter) as next_message:
        stage.say("question")
        message = await next_message()
        await adapter.draft(stage.chat, text)
        message_id = await adapter.send(stage.chat, text, reply_to=message.id)
        await adapter.notice(stage.chat, text)
        if adapter.caps(stage.chat).can_edit:
            await adapter.edit(stage.chat, message_id, f"{text}!")
    if isinstance(stage, DiscordStage | TelegramStage):
        assert stage.server.pings == []
        assert "hello" in stage.seen()
