"""Nothing of one chat is ever seen in another, however alike the two are named."""

import random
from itertools import pairwise, product

import pytest
from chatlog_samples import ANNA, BERT, DIRECT, START, ask, message, talk, words, write

from bots.chatlog import AnswerState, ChatLog, ChatSettings, FeedbackSource, QuestionState, Trigger
from bots.message import ChatRef, Message, MessageEdited, MessageId, MessagesDeleted, Quote, Text

# References that look alike once their parts are joined, escaped, cut or compared carelessly.
ALIKE = [
    ChatRef("telegram", "bot1", "100"),
    ChatRef("telegram", "bot1", "100", "1"),
    ChatRef("telegram", "bot1", "100", ""),
    ChatRef("telegram", "bot1", "100/1"),
    ChatRef("telegram", "bot1", "100%2F1"),
    ChatRef("telegram", "bot1", "%31%30%30"),
    ChatRef("telegram", "bot1", "10_"),
    ChatRef("telegram", "bot1", "1%"),
    ChatRef("telegram", "bot1", "-100"),
    ChatRef("telegram", "bot1", " 100"),
    ChatRef("telegram", "bot1", "\u0661\u0660\u0660"),
    ChatRef("telegram", "bot1/100", "1"),
    ChatRef("telegram", "bot2", "100"),
    ChatRef("telegram", "BOT1", "100"),
    ChatRef("discord", "bot1", "100"),
    ChatRef("telegram/bot1", "100", "1"),
    ChatRef("telegram", "", "bot1/100"),
]


async def seen_of(log: ChatLog, chat: ChatRef) -> set[str]:
    """Every word that any method gives for a chat."""
    texts = []
    turns = await log.history(chat)
    for id in ("10", "11", "20", "21", "30", "31", "40", "41"):
        turns += await log.chain(chat, MessageId(id))
        if (found := await log.answer_at(chat, MessageId(id))) is not None:
            texts += [words(found.segments or ()), *(words(q.segments) for q in found.questions)]
            texts += [q.author.name for q in found.questions]
    if (found := await log.last_answer(chat)) is not None:
        texts += [words(found.segments or ()), *(words(q.segments) for q in found.questions)]
    for turn in turns:
        texts += [words(turn.answer), *(words(q.segments) for q in turn.questions)]
    for left in await log.unfinished(chat.platform, chat.account):
        if left.chat == chat:
            texts += [words(left.segments or ()), *(words(q.segments) for q in left.questions)]
    settings = await log.chat_settings(chat)
    return set(texts) | set(settings.keywords) | {settings.persona or ""}


def own_words(chat: ChatRef) -> str:
    return f"secret of {chat!r}"


def assert_is_own(chat: ChatRef, seen: set[str]) -> None:
    strange = {text for text in seen if "secret of" in text and own_words(chat) not in text}
    assert strange == set()


async def fill(log: ChatLog, chat: ChatRef) -> None:
    """The same message ids everywhere, and replies that point at ids which other chats have."""
    secret = own_words(chat)
    for number in (1, 2):
        reply_to = None if number == 1 else 11
        row_id = await ask(log, 10 * number, f"{secret} q{number}", chat=chat, reply_to=reply_to)
        answer_id = await log.begin_answer(chat, [row_id])
        await log.write_answer(
            answer_id, (Text(f"{secret} a{number}"),), model_version="", prompt_sha256="", finish_reason=""
        )
        await log.posting(answer_id, 0, f"n{number}")
        await log.posted(answer_id, 0, MessageId(str(10 * number + 1)))
        await log.end_answer(answer_id, AnswerState.DELIVERED)
    quote = Quote(MessageId("29"), BERT, (Text(f"{secret} quoted"),))
    await ask(log, 30, f"{secret} waits", chat=chat, quote=quote)
    await log.note_quote(message(30, chat=chat, quote=quote))
    await log.save_chat_settings(
        chat, ChatSettings(f"{secret} persona", Trigger.KEYWORDS, (f"{secret} word",)), is_private=True
    )


async def test_chats_that_look_alike_share_nothing(log: ChatLog) -> None:
    for chat in ALIKE:
        await fill(log, chat)
    for chat in ALIKE:
        seen = await seen_of(log, chat)
        assert len([text for text in seen if own_words(chat) in text]) == 8, chat
        assert_is_own(chat, seen)


async def test_what_happens_in_one_chat_leaves_every_other_as_it_was(log: ChatLog) -> None:
    for chat in ALIKE:
        await fill(log, chat)
    before = {chat: await seen_of(log, chat) for chat in ALIKE}
    one = ALIKE[0]
    await log.edit(MessageEdited(one, MessageId("10"), (Text("edited"),), START))
    await log.delete(MessagesDeleted(one, (MessageId("20"), MessageId("11"), MessageId("30")), START))
    await log.give_feedback(one, MessageId("21"), "7", 1, FeedbackSource.BUTTON)
    await log.reset(one)
    await log.save_chat_settings(one, ChatSettings(), is_private=False)
    assert await log.history(one) == []
    assert {chat: await seen_of(log, chat) for chat in ALIKE[1:]} == {chat: before[chat] for chat in ALIKE[1:]}


async def test_a_reply_to_an_id_of_another_chat_leads_nowhere(log: ChatLog) -> None:
    private = ChatRef("telegram", "bot1", "7")
    await talk(log, 1, private, is_private=True)
    for other in ALIKE:
        await talk(log, 2, other, reply_to=11)
        quote = Quote(MessageId("10"), None)
        await ask(log, 30, "and?", chat=other, quote=quote)
        await log.note_quote(message(30, chat=other, quote=quote))
        assert [words(t.answer) for t in await log.chain(other, MessageId("21"))] == ["answer 2"]
        assert await log.chain(other, MessageId("11")) == []
        assert await log.chain(other, MessageId("10")) == []
        assert await log.answer_at(other, MessageId("11")) is None
        assert await log.edit(MessageEdited(other, MessageId("10"), (Text("x"),), START)) is None
        assert await log.delete(MessagesDeleted(other, (MessageId("10"), MessageId("11")), START)) == ()
        assert not await log.give_feedback(other, MessageId("11"), "7", 1, FeedbackSource.REACTION)
        for left in await log.unfinished(other.platform, other.account):
            assert [words(q.segments) for q in left.questions] == ["and?"]


async def test_an_answer_cannot_be_begun_with_questions_of_another_chat(log: ChatLog) -> None:
    rows = {chat: await ask(log, 1, own_words(chat), chat=chat) for chat in ALIKE}
    for one, other in pairwise(ALIKE):
        with pytest.raises(ValueError, match="no messages of"):
            await log.begin_answer(one, [rows[one], rows[other]])


async def test_a_moved_chat_takes_its_own_memory_along_and_no_other(log: ChatLog) -> None:
    for chat in ALIKE:
        await fill(log, chat)
    before = {chat: await seen_of(log, chat) for chat in ALIKE}
    new = ChatRef("telegram", "bot1", "-100999")
    await log.move_chat(ALIKE[0], new)
    moved = {ALIKE[0]: new, ALIKE[1]: ChatRef("telegram", "bot1", "-100999", "1")}
    moved[ALIKE[2]] = ChatRef("telegram", "bot1", "-100999", "")
    for chat in ALIKE:
        if chat in moved:
            seen = await seen_of(log, moved[chat])
            assert_is_own(chat, seen)
            assert {text for text in seen if own_words(chat) in text} == {
                text for text in before[chat] if own_words(chat) in text
            }
            assert await seen_of(log, chat) == {""}
        else:
            assert await seen_of(log, chat) == before[chat]


async def test_a_moved_chat_counts_its_messages_anew(log: ChatLog) -> None:
    """A supergroup's ids begin at 1, and must not be taken for those of the group that it was."""
    old, new = ChatRef("telegram", "bot1", "100"), ChatRef("telegram", "bot1", "-100999")
    await talk(log, 1, old)
    await log.move_chat(old, new)
    assert await log.answer_at(new, MessageId("11")) is None
    assert await log.chain(new, MessageId("11")) == []
    await talk(log, 1, new)
    assert [words(t.answer) for t in await log.history(new)] == ["answer 1", "answer 1"]
    (turn, _) = await log.history(new)
    assert turn.questions[0].platform_id is None
    for newer in (ChatRef("telegram", "bot1", "-100"), ChatRef("telegram", "bot1", "-1007")):
        await log.move_chat(new, newer)  # again and again, with the same ids in every place
        await talk(log, 1, newer)
        new = newer
    assert len(await log.history(new)) == 4


async def test_a_chat_that_moves_into_one_that_is_known_already_joins_it(log: ChatLog) -> None:
    old, new = ChatRef("telegram", "bot1", "100"), ChatRef("telegram", "bot1", "-100999")
    await log.save_chat_settings(old, ChatSettings("pirate"), is_private=False)
    await talk(log, 1, old)
    await talk(log, 1, new)
    await log.give_feedback(new, MessageId("11"), "7", 1, FeedbackSource.BUTTON)
    await ask(log, 20, "waits", chat=new)
    for _ in range(2):  # Telegram tells it in both places
        await log.move_chat(old, new)
    assert [words(t.answer) for t in await log.history(new)] == ["answer 1", "answer 1"]
    assert [words(t.answer) for t in await log.chain(new, MessageId("11"))] == ["answer 1"]
    assert (await log.chat_settings(new)).persona == "pirate"
    assert [left.chat for left in await log.unfinished("telegram", "bot1")] == [new]
    assert await log.history(old) == []
    assert (await log.stats()).chats == 1
    assert (await log.stats()).feedback == 1
    assert await log.receive(message(20, chat=new), QuestionState.WAITING, addressed=DIRECT) is None


async def test_a_reset_in_either_place_holds_after_a_chat_has_moved(log: ChatLog) -> None:
    old, new = ChatRef("telegram", "bot1", "100"), ChatRef("telegram", "bot1", "-100999")
    await talk(log, 1, old)
    await talk(log, 1, new)
    await log.reset(new)
    await log.move_chat(old, new)
    assert await log.history(new) == []


@pytest.mark.parametrize("seed", range(3))
async def test_no_random_talk_leaks(log: ChatLog, seed: int) -> None:
    rng = random.Random(seed)
    chats = rng.sample(ALIKE, 5)
    ids = [MessageId(str(id)) for id in range(60)]  # people's and the bot's, the same in every chat
    states = [QuestionState.WAITING] * 8 + [QuestionState.CONTEXT, QuestionState.COMMAND]

    def event(chat: ChatRef) -> Message:
        words = (Text(f"{own_words(chat)} quoted"),)
        quote = rng.choice([None, Quote(rng.choice(ids), rng.choice([None, BERT]), words)])
        return message(rng.choice(ids), own_words(chat), chat=chat, author=rng.choice([ANNA, BERT]), quote=quote)

    for _ in range(300):
        chat = rng.choice(chats)
        sent = event(chat)
        row_id = await log.receive(sent, rng.choice(states), addressed=DIRECT)
        await log.note_quote(sent)
        left = [u for u in await log.unfinished(chat.platform, chat.account) if u.chat == chat and u.question_ids]
        if row_id is not None and left:
            answer_id = await log.begin_answer(chat, left[0].question_ids)
            await write(log, answer_id, f"{own_words(chat)} answer")
            id = rng.choice(ids)
            if await log.answer_at(chat, id) is None:
                await log.posting(answer_id, 0, "n")
                await log.posted(answer_id, 0, id)
            await log.end_answer(answer_id, rng.choice([AnswerState.DELIVERED] * 3 + [AnswerState.FAILED]))
        if rng.random() < 0.02:
            await log.delete(MessagesDeleted(chat, tuple(rng.sample(ids, 3)), START))
        if rng.random() < 0.01:
            await log.reset(chat)
    num_turns = 0
    for chat, id in product(chats, ids):
        for turn in [*await log.history(chat), *await log.chain(chat, id)]:
            num_turns += 1
            assert own_words(chat) in words(turn.answer)
            assert all(own_words(chat) in words(q.segments) for q in turn.questions)
    assert num_turns > 1000
