"""Tries hard to carry words from one chat into another."""

import asyncio
import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bots import Addressed, Attachment, Caps, ChatRef, Mention, Quote, ServingRules, Text
from bots.bot import BotRules, open_bot
from bots.message import ChatMoved, MessageEdited, MessagesDeleted, Reacted
from bots.testing import ANN, BOB, FakePlatform, ScriptedEngine

CHATS = [
    ChatRef("memory", "bot", "private ann"),
    ChatRef("memory", "bot", "private bob"),
    ChatRef("memory", "bot", "group"),
    ChatRef("memory", "bot", "group", "thread 1"),
    ChatRef("memory", "bot", "group", "thread 2"),
    ChatRef("memory", "bot", "group/thread 1"),
    ChatRef("memory", "bot", "private%20ann"),
]
CAPS = Caps(can_edit=True, has_buttons=True, max_length=4000)


def name_of(chat):
    """A word that is said in this chat alone."""
    return f"secret-{CHATS.index(chat)}"


class Mischief(FakePlatform):
    """A platform that counts messages from 1 in every chat, and people who do all that they can."""

    def __init__(self, seed):
        super().__init__(CAPS)
        self.random = random.Random(seed)
        self.ids = {chat: itertools.count(1) for chat in CHATS}
        self.moderators = {ANN, BOB}
        self.num_said = 0

    def act(self):
        chat = self.random.choice(CHATS)
        number = str(self.random.randint(1, 12))
        actions = [self.ask, self.ask, self.ask, self.order, self.change, self.take_back, self.press_one, self.rate]
        self.random.choice(actions)(chat, number)

    def ask(self, chat, number):
        """A question that quotes a message of any number, most of which stand in other chats, too."""
        author = self.random.choice([ANN, BOB])
        quote = self.random.choice([None, Quote(number, None), Quote(number, BOB), Quote(f"{number}", ANN, ())])
        segments = (Text(f"{name_of(chat)} said "), Mention(BOB.id, "Bob"), Attachment("a.txt", "text/plain", 3, "a"))
        is_private = "private" in chat.chat
        why = Addressed.DIRECT if is_private else Addressed.MENTION
        self.files = {"a": b"file"}
        self.emit(chat, author, segments, why, is_private, quote)

    def order(self, chat, number):
        text = self.random.choice(
            [f"/persona I keep {name_of(chat)}", "/retry", "/reset", f"/trigger keywords {name_of(chat)}", "/persona"]
        )
        self.emit(chat, ANN, (Text(text),), Addressed.COMMAND, "private" in chat.chat, None)

    def emit(self, chat, author, segments, why, is_private, quote):
        self.num_said += 1
        message = self.say("", chat, frozenset({why}), author, segments=segments, quote=quote)
        self._incoming._queue.pop()  # said again, with the number that this chat counts
        self.happen(replace(message, id=str(next(self.ids[chat])), is_private=is_private))

    def change(self, chat, number):
        self.happen(MessageEdited(chat, number, (Text(f"{name_of(chat)} edited"),), datetime.now(UTC)))

    def take_back(self, chat, number):
        self.happen(MessagesDeleted(chat, (number,), datetime.now(UTC)))

    def press_one(self, chat, number):
        """Buttons of answers in other chats, as somebody might who makes up what is pressed."""
        if self.posted:
            post = replace(self.random.choice(self.posted), chat=chat)
            self.press(
                post,
                self.random.choice(["stop", "retry", "feedback:good", "feedback:bad", "feedback:better"]),
                self.random.choice([ANN, BOB]),
            )

    def rate(self, chat, number):
        if self.posted:
            self.happen(Reacted(chat, self.random.choice(self.posted).id, ANN, 1, datetime.now(UTC)))


def recall(request):
    """Say all that is known."""
    return [" | ".join(message.content for message in request.messages)[-3000:]]


@pytest.mark.parametrize("seed", range(6))
async def test_no_word_of_a_chat_is_ever_seen_in_another_one(chat_log, seed):
    adapter = Mischief(seed)
    rules = ServingRules(gather_s=0.001 * (seed % 2), resume_within=timedelta(hours=1))
    async with (
        ScriptedEngine(otherwise=recall) as engine,
        open_bot(engine, chat_log, BotRules("Be kind.", serving=rules)) as bot,
        adapter,
        asyncio.TaskGroup() as group,
    ):
        dispatcher = bot.dispatcher(adapter)
        running = group.create_task(dispatcher.run())
        for _ in range(250):
            adapter.act()
            await asyncio.sleep(0.001)
        await adapter.until(lambda: len(adapter.settled_messages) >= adapter.num_said)
        dispatcher.close()
        await running
    assert len(engine.requests) > 40
    by_key = {chat.key: chat for chat in CHATS}
    for request in engine.requests:
        assert others(by_key[request.chat]).isdisjoint(words(repr(request.messages)))
    for _, chat, text in adapter.shown:
        assert others(chat).isdisjoint(words(text))
    assert any("secret" in text for _, _, text in adapter.shown)


async def test_what_was_said_in_a_chat_that_moved_goes_where_it_went_and_nowhere_else(chat_log):
    old, new, other = CHATS[2], ChatRef("memory", "bot", "supergroup"), CHATS[0]
    adapter = FakePlatform(CAPS)
    mentioned = frozenset({Addressed.MENTION})
    async with (
        ScriptedEngine(otherwise=recall) as engine,
        open_bot(engine, chat_log, BotRules("")) as bot,
        adapter,
        asyncio.TaskGroup() as group,
    ):
        dispatcher = bot.dispatcher(adapter)
        running = group.create_task(dispatcher.run())
        adapter.say("the old secret", old, mentioned)
        await adapter.until_settled(1)
        adapter.happen(ChatMoved(old, new))
        adapter.say("here?", new, mentioned)
        adapter.say("or here?", other)
        adapter.say("or still here?", old, mentioned)
        await adapter.until_settled(4)
        dispatcher.close()
        await running
    seen = {request.chat: repr(request.messages) for request in engine.requests[1:]}
    assert "old secret" in seen[new.key]
    assert "old secret" not in seen[other.key] + seen[old.key]


def words(text):
    return {word.strip("'\"|()[],.:\\") for word in text.replace("\\n", " ").split()}


def others(chat):
    return {name_of(other) for other in CHATS if other != chat}
