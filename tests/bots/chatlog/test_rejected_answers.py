"""An answer that people had written anew is kept beside the new one, if both are answers to the same."""

import pytest
from chatlog_samples import ANNA, BERT, CHAT, answer, ask, decide, spoken, talk_now, trainable, write

from bots.chatlog import AnswerState, ChatLog, TrainingRole
from bots.message import ChatRef, MessageEdited, MessageId, MessagesDeleted, Text

ASKED = ("user", "question 1")


def edit(log: ChatLog, text: str) -> MessageEdited:
    return MessageEdited(CHAT, MessageId("10"), (Text(text),), log.now())


async def num_copies(log: ChatLog) -> int:
    return (await log.stats()).others["training_messages"]


async def test_a_retry_leaves_the_answer_before_as_rejected(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    (before,) = await trainable(log)
    await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("of the first"),))
    await answer(log, [row_id], "better")
    await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("best"),))
    (turn,) = await trainable(log)
    assert spoken([turn]) == [[ASKED, ("bot", "better"), ("correction", "best"), ("rejected", "answer 1")]]
    rejected = turn.messages[-1]
    assert (rejected.message_id, rejected.pseudonym) == (before.messages[1].message_id, "")
    assert rejected.rule == "telegram-consent"
    await log.purge(log.now())
    assert await trainable(log) == [turn]


async def test_the_newest_three_are_kept_oldest_first(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    for number in range(2, 6):
        await answer(log, [row_id], f"answer {number}")
    rejected = [("rejected", f"answer {number}") for number in (2, 3, 4)]
    assert spoken(await trainable(log)) == [[ASKED, ("bot", "answer 5"), *rejected]]


@pytest.mark.parametrize("when", ["before", "during", "after"])
async def test_an_answer_to_a_question_that_was_edited_since_is_not_kept(confirmed_log: ChatLog, when: str) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    if when == "before":
        await log.edit(edit(log, "edited"))
    retry = await log.begin_answer(CHAT, [row_id])
    if when == "during":
        await log.edit(edit(log, "edited"))
    await write(log, retry, "to that")
    await log.end_answer(retry, AnswerState.DELIVERED)
    if when == "after":
        assert spoken(await trainable(log)) == [[ASKED, ("bot", "to that"), ("rejected", "answer 1")]]
        await log.edit(edit(log, "edited"))
    assert spoken(await trainable(log)) == [[("user", "edited"), ("bot", "to that")]]
    assert await num_copies(log) == 2


async def test_from_an_edit_on_answers_are_compared_again(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await answer(log, [row_id], "second")
    await log.edit(edit(log, "edited"))
    for text in ("third", "fourth"):
        await answer(log, [row_id], text)
    assert spoken(await trainable(log)) == [[("user", "edited"), ("bot", "fourth"), ("rejected", "third")]]


async def test_an_edit_that_says_the_same_changes_nothing(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await log.edit(edit(log, "question 1"))  # a link got its preview
    await answer(log, [row_id], "better")
    assert spoken(await trainable(log)) == [[ASKED, ("bot", "better"), ("rejected", "answer 1")]]


@pytest.mark.parametrize("is_late", [False, True])
async def test_an_answer_to_less_is_not_kept(confirmed_log: ChatLog, is_late: bool) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await answer(log, [row_id], "second")
    more = await ask(log, 20, "and this?", time=log.now())
    both = await log.begin_answer(CHAT, [row_id] if is_late else [row_id, more])
    if is_late:
        await log.join_answer(both, [row_id, more])
    await write(log, both, "to both")
    await log.end_answer(both, AnswerState.DELIVERED)
    assert spoken(await trainable(log)) == [[ASKED, ("user", "and this?"), ("bot", "to both")]]
    await answer(log, [row_id, more], "better")
    (turn,) = spoken(await trainable(log))
    assert turn[2:] == [("bot", "better"), ("rejected", "to both")]


async def test_an_answer_to_more_is_not_kept(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    one, two = [await ask(log, number, f"question {number}", time=log.now()) for number in (1, 2)]
    await answer(log, [one, two], "to both")
    await log.delete(MessagesDeleted(CHAT, (MessageId("2"),), log.now()))
    await answer(log, [one], "to one")
    assert spoken(await trainable(log)) == [[ASKED, ("bot", "to one")]]


@pytest.mark.parametrize("state", [AnswerState.STOPPED, AnswerState.UNDELIVERED, None])
async def test_an_answer_that_people_did_not_see_whole_is_not_kept(
    confirmed_log: ChatLog, state: AnswerState | None
) -> None:
    """With None, the process dies under it, and the next one begins anew."""
    log = confirmed_log
    await decide(log)
    row_id = await ask(log, 1, "question 1", time=log.now())
    first = await log.begin_answer(CHAT, [row_id])
    await write(log, first, "first")
    if state is not None:
        await log.end_answer(first, state)
    await answer(log, [row_id], "second")
    assert spoken(await trainable(log)) == [[ASKED, ("bot", "second")]]


async def test_an_answer_that_came_back_as_its_retry_failed_may_still_be_rejected(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await answer(log, [row_id], "nonsense", state=AnswerState.FAILED)
    assert spoken(await trainable(log)) == [[ASKED, ("bot", "answer 1")]]
    await answer(log, [row_id], "better", state=AnswerState.STOPPED)  # of which enough was seen
    assert spoken(await trainable(log)) == [[ASKED, ("bot", "better"), ("rejected", "answer 1")]]


async def test_a_rejected_answer_with_words_of_others_in_mind_is_not_kept(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 9, author=BERT)
    row_id = await talk_now(log, 1)
    assert spoken(await trainable(log)) == [[ASKED]]
    await log.reset(CHAT)
    await answer(log, [row_id], "better")
    assert spoken(await trainable(log)) == [[ASKED, ("bot", "better")]]


async def test_nothing_is_rejected_for_an_answer_that_may_not_be_trained_on(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await talk_now(log, 2, author=BERT)
    await answer(log, [row_id], "as Bert says")
    assert spoken(await trainable(log)) == [[ASKED]]
    assert await num_copies(log) == 1


async def test_rejected_answers_go_when_somebody_whom_they_may_have_in_mind_withdraws(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await talk_now(log, 2, author=BERT)
    row_id = await talk_now(log, 1)
    await answer(log, [row_id], "better")
    turns = await trainable(log)
    ids = [message.message_id for turn in turns for message in turn.messages]
    assert await log.training.note_model("m1", ids) == frozenset()
    await decide(log, False, user=BERT)
    assert spoken(await trainable(log)) == [[ASKED]]
    assert await log.training.note_model("m2", ids) == set(ids) - {row_id}
    await log.edit(edit(log, "edited"))  # looks anew
    assert await num_copies(log) == 1
    await decide(log, False)
    assert await num_copies(log) == 0


async def test_rejected_answers_open_after_a_change_of_keys(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await answer(log, [row_id], "better")
    before = await trainable(log)
    assert [message.role for message in before[0].messages][-1] is TrainingRole.REJECTED
    done = await log.rotate_key()
    assert set((await log.stats()).keys) == {done.key_id}
    assert await trainable(log) == before


async def test_a_moved_chat_takes_rejected_answers_along(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await answer(log, [row_id], "better")
    other = ChatRef("telegram", "bot1", "200")
    await talk_now(log, 1, other, author=BERT)  # so that the two become one
    await log.move_chat(CHAT, other)
    expected = [[ASKED, ("bot", "better"), ("rejected", "answer 1")]]
    assert spoken(await trainable(log)) == expected
    async with log._database.write() as connection:
        await log.training.refresh(connection, [row_id])
    assert spoken(await trainable(log)) == expected
