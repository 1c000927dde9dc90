import asyncio
from datetime import UTC, datetime

import pytest

from bots import Addressed, AnswerOptions, Attachment, Conversation, Mention, Message, Text
from bots.chatlog import AnswerState, QuestionState, Trigger
from bots.conversation import Question
from bots.message import Quote
from bots.testing import ANN, BOB, CHAT
from engine.generation import ChatMessage, Completion, FinishReason
from engine.sampling import SamplingParams

DIRECT = frozenset({Addressed.DIRECT})


class Chat:
    """A conversation whose questions and answers are put into the log as the dispatcher would."""

    def __init__(self, log, *, is_private=True, persona="Be kind.", options=None):
        self.log, self.is_private = log, is_private
        self.conversation = Conversation(CHAT, log, is_private=is_private, persona=persona, options=options)
        self._number = 0

    async def ask(self, *segments, author=ANN, quote=None):
        self._number += 1
        said = tuple(Text(segment) if isinstance(segment, str) else segment for segment in segments)
        message = Message(str(self._number), CHAT, author, said, datetime.now(UTC), quote, DIRECT, self.is_private)
        row_id = await self.log.receive(message, QuestionState.WAITING, addressed=DIRECT)
        return Question(row_id, message.id, author, said, quote.id if quote else None, quote)

    async def answer(self, question, text):
        prompt = await self.conversation.prompt([question])
        answer_id = await self.log.begin_answer(CHAT, [question.row_id])
        await self.log.write_answer(
            answer_id, prompt.segments(text), model_version="1", prompt_sha256="", finish_reason="stop"
        )
        await self.log.end_answer(answer_id, AnswerState.DELIVERED)

    async def seen(self, *questions):
        prompt = await self.conversation.prompt(questions)
        return [message.content for message in prompt.request.messages]


async def test_the_model_sees_the_persona_what_was_said_and_the_question(chat_log):
    chat = Chat(chat_log)
    await chat.answer(await chat.ask("Hello"), "Hi")
    prompt = await chat.conversation.prompt([await chat.ask("How are you?")])
    assert prompt.request.messages == (
        ChatMessage("system", "Be kind."),
        ChatMessage("user", "Hello"),
        ChatMessage("assistant", "Hi"),
        ChatMessage("user", "How are you?"),
    )
    assert prompt.request.chat == CHAT.key


async def test_the_options_reach_the_engine_and_an_empty_persona_does_not(chat_log):
    options = AnswerOptions(sampling=SamplingParams(seed=7), max_tokens=5, deadline_s=9.0)
    chat = Chat(chat_log, persona="", options=options)
    request = (await chat.conversation.prompt([await chat.ask("Hello")])).request
    assert (request.sampling.seed, request.max_tokens, request.deadline_s) == (7, 5, 9.0)
    assert request.messages == (ChatMessage("user", "Hello"),)


async def test_several_messages_are_one_turn(chat_log):
    chat = Chat(chat_log)
    questions = [await chat.ask("Hello"), await chat.ask("there")]
    assert await chat.seen(*questions) == ["Be kind.", "Hello\nthere"]


async def test_tags_are_the_same_for_the_same_person_in_questions_and_answers(chat_log):
    chat = Chat(chat_log, is_private=False)
    await chat.answer(await chat.ask("Who is ", Mention(BOB.id, "Bob"), "?"), "[B] is Bob, [A].")
    prompt = await chat.conversation.prompt([await chat.ask("Me!", author=BOB)])
    assert [message.content for message in prompt.request.messages] == [
        "Be kind.",
        "[A] Who is [B]?",
        "is Bob, [A].",
        "[B] Me!",
    ]
    assert prompt.shown("[A] and [B]") == "and Bob"
    assert prompt.shown("Dear [A") == "Dear [A"
    assert prompt.shown("Dear [A", is_whole=False) == "Dear "


async def test_names_are_the_newest_that_are_known(chat_log):
    chat = Chat(chat_log, is_private=False)
    await chat.answer(await chat.ask("Hello"), "Hi")
    renamed = type(ANN)(ANN.platform, ANN.id, "Anna")
    prompt = await chat.conversation.prompt([await chat.ask("It is me", author=renamed)])
    assert prompt.shown("Hi [A]") == "Hi Anna"


async def test_files_are_named_as_what_they_are(chat_log):
    chat = Chat(chat_log)
    question = await chat.ask(
        "See",
        Attachment("a.png", "image/png", 1),
        Attachment("b.ogg", "audio/ogg", 1),
        Attachment("c.bin", "", 1),
        Attachment("d.txt", "text/plain", 1, text="the words"),
    )
    assert await chat.seen(question) == [
        "Be kind.",
        "See\n(image: a.png)\n(audio: b.ogg)\n(file: c.bin)\n(file: d.txt)\nthe words\n",
    ]


async def test_what_the_bot_said_and_has_forgotten_is_quoted_as_its_own_words(chat_log):
    chat = Chat(chat_log, is_private=False)
    quote = Quote("999", None, (Text("Long ago I said this."),))
    assert await chat.seen(await chat.ask("And now?", quote=quote)) == [
        "Be kind.",
        "Long ago I said this.",
        "[A] And now?",
    ]


async def test_a_persona_is_kept_for_its_chat_and_goes_back_to_the_default(chat_log):
    conversation = Chat(chat_log).conversation
    await conversation.set_persona("You are a pirate.")
    assert await Chat(chat_log).conversation.persona() == "You are a pirate."
    await conversation.set_trigger(Trigger.KEYWORDS, ["bird"])
    assert await conversation.persona() == "You are a pirate."
    assert await conversation.trigger() == (Trigger.KEYWORDS, ("bird",))
    await conversation.set_persona(None)
    assert await conversation.persona() == "Be kind."
    assert await conversation.trigger() == (Trigger.KEYWORDS, ("bird",))


async def test_a_reset_forgets_what_was_said_and_keeps_the_persona(chat_log):
    chat = Chat(chat_log)
    await chat.conversation.set_persona("You are a pirate.")
    await chat.answer(await chat.ask("Hello"), "Hi")
    await chat.conversation.reset()
    assert await chat.seen(await chat.ask("Again")) == ["You are a pirate.", "Again"]


@pytest.mark.parametrize(("dropped", "left"), [(0, ["1", "2", "3"]), (2, ["3"]), (3, [])])
async def test_turns_that_did_not_fit_are_not_tried_again(chat_log, dropped, left):
    chat = Chat(chat_log)
    for text in ("1", "2", "3"):
        await chat.answer(await chat.ask(text), "Yes")
    prompt = await chat.conversation.prompt([await chat.ask("4")])
    completion = Completion("Yes", FinishReason.STOP, "1", dropped_turns=dropped)
    await chat.conversation.remember_no_more_than(prompt, completion)
    assert (await chat.seen(await chat.ask("5")))[1:-1:2] == left


async def test_conversations_of_many_chats_are_read_at_the_same_time(chat_log):
    chat = Chat(chat_log)
    await chat.answer(await chat.ask("Hello"), "Hi")
    question = await chat.ask("Again")
    seen = await asyncio.gather(*(chat.seen(question) for _ in range(50)))
    assert all(contents == ["Be kind.", "Hello", "Hi", "Again"] for contents in seen)
