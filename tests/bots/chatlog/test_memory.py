"""What a chat remembers: its turns, its chains of replies, its settings."""

from chatlog_samples import ANNA, BERT, CHAT, DIRECT, Clock, answer, ask, message, said, talk, words

from bots.chatlog import AnswerState, ChatLog, ChatSettings, DatabaseSettings, QuestionState, Trigger
from bots.message import ChatRef, MessageId, MessagesDeleted, Quote, Text


def answers(turns: list) -> list[str]:
    return [words(turn.answer) for turn in turns]


async def test_history_gives_the_newest_turns_oldest_first(log: ChatLog) -> None:
    turns = [await talk(log, number) for number in range(1, 6)]
    assert answers(await log.history(CHAT)) == [f"answer {n}" for n in range(1, 6)]
    assert answers(await log.history(CHAT, limit_turns=2)) == ["answer 4", "answer 5"]
    assert answers(await log.history(CHAT, limit_turns=2, before_turn=turns[3])) == ["answer 2", "answer 3"]


async def test_history_is_kept_over_restarts(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)
        before = await log.history(CHAT)
    async with ChatLog.open(log_settings) as log:
        assert await log.history(CHAT) == before
    assert said(before) == [(["question 1"], "answer 1")]


async def test_an_answer_to_an_older_question_keeps_its_place(log: ChatLog) -> None:
    first, second = await ask(log, 1, "one"), await ask(log, 2, "two")
    await answer(log, [second], "second")
    await answer(log, [first], "first")
    assert answers(await log.history(CHAT)) == ["first", "second"]


async def test_a_turn_without_a_question_left_does_not_take_the_place_of_another(log: ChatLog, clock: Clock) -> None:
    for number in range(1, 4):
        await talk(log, number)
    await log.delete(MessagesDeleted(CHAT, (MessageId("30"),), clock()))
    assert answers(await log.history(CHAT, limit_turns=1)) == ["answer 2"]


async def test_what_was_said_before_a_reset_is_not_remembered(log: ChatLog) -> None:
    await talk(log, 1)
    late = await ask(log, 20, "asked before")
    await log.reset(CHAT)
    await answer(log, [late], "answered after")
    assert await log.history(CHAT) == []
    await talk(log, 3)
    assert answers(await log.history(CHAT)) == ["answer 3"]
    assert await log.has_spoken_in(CHAT)


async def test_the_window_moves_forward_only(log: ChatLog) -> None:
    turns = [await talk(log, number) for number in range(1, 4)]
    await log.forget_before(CHAT, turns[1])
    await log.forget_before(CHAT, turns[0])
    assert answers(await log.history(CHAT)) == ["answer 2", "answer 3"]
    assert answers(await log.chain(CHAT, MessageId("11"))) == ["answer 1"]


async def test_a_quote_stands_before_what_quotes_it_and_only_once(log: ChatLog) -> None:
    quote = Quote(MessageId("1"), BERT, (Text("quoted"),))
    first = await ask(log, 2, "plain")
    second = await ask(log, 3, "what is that?", quote=quote)
    await log.note_quote(message(3, quote=quote))
    await answer(log, [first, second], "this")
    third = await ask(log, 4, "and that?", quote=quote)
    await answer(log, [third], "the same")
    assert said(await log.history(CHAT)) == [
        (["plain", "quoted", "what is that?"], "this"),
        (["and that?"], "the same"),
    ]
    assert said(await log.history(CHAT, limit_turns=1)) == [(["quoted", "and that?"], "the same")]
    (turn,) = await log.history(CHAT, limit_turns=1)
    assert [q.author for q in turn.questions] == [BERT, ANNA]


async def test_what_was_overheard_stands_in_the_turn_that_it_was_given_to(log: ChatLog) -> None:
    overheard = await log.receive(message(1, "overheard", author=BERT), QuestionState.CONTEXT, addressed=DIRECT)
    assert overheard is not None
    first = await ask(log, 2, "asked")
    await answer(log, [overheard, first], "one")
    await answer(log, [overheard, await ask(log, 3, "asked again")], "two")
    assert said(await log.history(CHAT)) == [(["overheard", "asked"], "one"), (["asked again"], "two")]
    await answer(log, [first], "better")  # a retry that does not name it
    assert said(await log.history(CHAT))[0] == (["overheard", "asked"], "better")


async def test_a_chain_goes_back_to_its_root_and_past_other_talk(log: ChatLog) -> None:
    await talk(log, 1)
    await talk(log, 2, author=BERT)
    await talk(log, 3, reply_to=11)  # to an answer
    await talk(log, 4, author=BERT, reply_to=21)
    await talk(log, 5, reply_to=30)  # to a question
    assert answers(await log.chain(CHAT, MessageId("51"))) == ["answer 1", "answer 3", "answer 5"]
    assert answers(await log.chain(CHAT, MessageId("50"))) == ["answer 1", "answer 3", "answer 5"]
    assert answers(await log.chain(CHAT, MessageId("41"))) == ["answer 2", "answer 4"]
    assert answers(await log.chain(CHAT, MessageId("51"), limit_turns=2)) == ["answer 3", "answer 5"]
    assert await log.chain(CHAT, MessageId("777")) == []


async def test_a_chain_goes_on_through_messages_without_an_answer(log: ChatLog) -> None:
    await talk(log, 1)
    await ask(log, 2, "not answered", reply_to=11)
    await answer(log, [await ask(log, 3, "failed", reply_to=2)], state=AnswerState.FAILED)
    await log.receive(message(4, "overheard", reply_to=3), QuestionState.CONTEXT, addressed=DIRECT)
    assert answers(await log.chain(CHAT, MessageId("4"))) == ["answer 1"]


async def test_a_chain_follows_the_first_reply_among_messages_answered_as_one(log: ChatLog) -> None:
    await talk(log, 1)
    await answer(log, [await ask(log, 2, "hm"), await ask(log, 3, "this", reply_to=11)], "ok", post=4)
    assert answers(await log.chain(CHAT, MessageId("4"))) == ["answer 1", "ok"]


async def test_a_chain_does_not_go_back_before_a_reset(log: ChatLog) -> None:
    await talk(log, 1)
    await log.reset(CHAT)
    await talk(log, 2, reply_to=11)
    await talk(log, 3, reply_to=21)
    assert answers(await log.chain(CHAT, MessageId("31"))) == ["answer 2", "answer 3"]
    assert await log.chain(CHAT, MessageId("11")) == []


async def test_a_chain_that_bites_its_tail_ends(log: ChatLog) -> None:
    await talk(log, 1, reply_to=31)
    await talk(log, 2, reply_to=11)
    await talk(log, 3, reply_to=21)
    await ask(log, 4, "to myself", reply_to=4)
    assert answers(await log.chain(CHAT, MessageId("31"))) == ["answer 1", "answer 2", "answer 3"]
    assert await log.chain(CHAT, MessageId("4")) == []


async def test_a_chain_survives_a_retry(log: ChatLog) -> None:
    first = await talk(log, 1)
    await talk(log, 2, reply_to=11)
    await answer(log, [first], "better")
    assert answers(await log.chain(CHAT, MessageId("21"))) == ["better", "answer 2"]


async def test_settings_of_a_chat_are_kept(log_settings: DatabaseSettings) -> None:
    off = frozenset({"dice", "quotes"})
    chosen = ChatSettings("Be a pirate ☠", Trigger.KEYWORDS, ("mynah", "papegei \ud83e 🦜"), off)
    async with ChatLog.open(log_settings) as log:
        assert await log.chat_settings(CHAT) == ChatSettings()
        await log.save_chat_settings(CHAT, chosen, is_private=False)
        await talk(log, 1)
    async with ChatLog.open(log_settings) as log:
        assert await log.chat_settings(CHAT) == chosen
        assert await log.chat_settings(ChatRef("telegram", "bot1", "100", "1")) == ChatSettings()
        await log.save_chat_settings(CHAT, ChatSettings(persona=""), is_private=False)
        assert await log.chat_settings(CHAT) == ChatSettings(persona="")
        await log.save_chat_settings(CHAT, ChatSettings(), is_private=False)
        assert await log.chat_settings(CHAT) == ChatSettings()


async def test_the_bot_has_spoken_where_it_answered(log: ChatLog) -> None:
    assert not await log.has_spoken_in(CHAT)
    row_id = await ask(log, 1)
    assert not await log.has_spoken_in(CHAT)
    await log.begin_answer(CHAT, [row_id])
    assert await log.has_spoken_in(CHAT)
    assert not await log.has_spoken_in(ChatRef("telegram", "bot1", "100", "1"))
