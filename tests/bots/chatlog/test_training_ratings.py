"""What people think of answers reaches training, by consent, for longer than the conversation is kept."""

from datetime import timedelta

import pytest
from chatlog_samples import (
    ANNA,
    BERT,
    CHAT,
    CONFIRMED,
    START,
    Clock,
    answer,
    ask,
    decide,
    spoken,
    talk_now,
    trainable,
)

from bots.chatlog import AnswerState, ChatLog, DatabaseSettings, FeedbackSource, TrainableRating, ledger
from bots.chatlog.ratings import merged
from bots.chatlog.records import ConsentSource
from bots.message import ChatRef, MessageEdited, MessageId, MessagesDeleted, Text, User
from bots.policy import CLOSED, Purpose

OTHER = ChatRef("telegram", "bot1", "200")
BUTTON, REACTION = FeedbackSource.BUTTON, FeedbackSource.REACTION


async def rate(
    log: ChatLog,
    score: int = 1,
    *,
    user: User = ANNA,
    post: str = "11",
    source: FeedbackSource = BUTTON,
    chat: ChatRef = CHAT,
) -> bool:
    return await log.give_feedback(chat, MessageId(post), user.id, score, source)


async def rated(log: ChatLog) -> list[list[tuple[str, int, FeedbackSource]]]:
    """The ratings of each turn that may be trained on, by the names of the people."""
    names = {await log.consents.pseudonym(user.platform, user.id): user.name for user in (ANNA, BERT)}
    return [[(names[r.pseudonym], r.score, r.source) for r in turn.ratings] for turn in await trainable(log)]


async def num_ratings(log: ChatLog) -> int:
    return (await log.stats()).others["training_ratings"]


async def test_a_rating_outlives_the_conversation(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    before = log.now()
    assert await rate(log)
    await log.purge(log.now())
    assert (await log.stats()).feedback == 0
    (turn,) = await trainable(log)
    (rating,) = turn.ratings
    assert (rating.pseudonym, rating.score) == (await log.consents.pseudonym("telegram", "7"), 1)
    assert before < rating.given_at < log.now()
    assert (await log.training.counts()).ratings == 1


async def test_who_did_not_agree_leaves_no_trace(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await rate(log, user=BERT)
    assert await num_ratings(log) == 0
    await decide(log, user=BERT)
    await rate(log, -1)
    await log.edit(MessageEdited(CHAT, MessageId("10"), (Text("edited"),), log.now()))  # looks anew
    assert await rated(log) == [[("Anna", -1, BUTTON)]]  # his was given before he agreed
    assert await num_ratings(log) == 1
    await rate(log, user=BERT)
    assert await rated(log) == [[("Anna", -1, BUTTON), ("Bert", 1, BUTTON)]]


async def test_consent_for_another_chat_is_none_for_this_one_and_that_for_a_chat_holds_in_its_threads(
    confirmed_log: ChatLog,
) -> None:
    log, thread = confirmed_log, ChatRef("telegram", "bot1", "100", "5")
    await decide(log)
    await decide(log, user=BERT, chat=OTHER)
    await talk_now(log, 1, thread)
    for user in (ANNA, BERT):
        await rate(log, user=user, chat=thread)
    assert await rated(log) == [[("Anna", 1, BUTTON)]]
    assert await num_ratings(log) == 1


@pytest.mark.parametrize(
    "nobody", [User("telegram", "9", "Helper", is_bot=True), User("telegram", "-9", "Channel", is_person=False)]
)
async def test_a_bot_or_a_channel_has_no_vote_whatever_it_agrees_to(confirmed_log: ChatLog, nobody: User) -> None:
    log = confirmed_log
    await decide(log)
    await decide(log, user=nobody)
    await talk_now(log, 1)
    assert await rate(log, user=nobody)
    assert await num_ratings(log) == 0


async def test_ending_consent_removes_the_ratings_and_nothing_else_of_turns_of_others(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await talk_now(log, 1)
    for user in (ANNA, BERT):
        await rate(log, user=user)
    assert await num_ratings(log) == 2
    await decide(log, False, user=BERT)
    assert await rated(log) == [[("Anna", 1, BUTTON)]]
    assert spoken(await trainable(log)) == [[("user", "question 1"), ("bot", "answer 1")]]
    await decide(log, False, purpose=Purpose.MEMORY)
    assert await num_ratings(log) == 0


@pytest.mark.parametrize("is_everywhere", [True, False])
async def test_who_is_forgotten_has_rated_nothing(confirmed_log: ChatLog, is_everywhere: bool) -> None:
    log = confirmed_log
    for chat in (CHAT, OTHER):
        for user in (ANNA, BERT):
            await decide(log, user=user, chat=chat)
        await talk_now(log, 1, chat)
        for user in (ANNA, BERT):
            await rate(log, user=user, chat=chat)
    await log.purge(log.now())
    if is_everywhere:
        assert (await log.forget("telegram", BERT.id)).training_ratings == 2
        assert [[r.score for r in turn.ratings] for turn in await trainable(log)] == [[1], [1]]
        assert (await log.stats()).others["training_ratings"] == 2
    else:
        assert (await log.forget_in("telegram", BERT.id, CHAT)).training_ratings == 1
        assert await rated(log) == [[("Anna", 1, BUTTON)], [("Anna", 1, BUTTON), ("Bert", 1, BUTTON)]]
        assert await num_ratings(log) == 3


async def test_a_private_chat_that_goes_takes_its_ratings_along(confirmed_log: ChatLog) -> None:
    log, private = confirmed_log, ChatRef("telegram", "bot1", "7")
    await decide(log, chat=private, is_private=True)
    await talk_now(log, 1, private, is_private=True)
    await rate(log, chat=private)
    assert await num_ratings(log) == 1
    await log.forget_in("telegram", ANNA.id, private)
    assert await num_ratings(log) == 0


def rating(who: str, score: int, source: FeedbackSource, minute: int) -> TrainableRating:
    return TrainableRating(who, score, source, START + timedelta(minutes=minute))


def test_what_a_person_says_twice_counts_once_and_what_contradicts_itself_not_at_all() -> None:
    a, b, c = rating("a", 1, BUTTON, 1), rating("b", -1, BUTTON, 2), rating("c", -1, REACTION, 3)
    again, contrary = rating("a", 1, REACTION, 4), rating("b", 1, REACTION, 5)
    assert merged([a, b, c]) == (a, b, c)
    assert merged([a, b, c, again]) == merged([again, c, b, a]) == (b, c, again)
    assert merged([a, b, c, contrary]) == (a, c)
    assert merged([]) == ()


async def test_a_button_and_a_reaction_that_disagree_are_no_rating(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await rate(log, 1)
    await rate(log, -1, source=REACTION)
    assert await rated(log) == [[]]
    assert (await log.training.counts()).ratings == 0
    await rate(log, -1)
    assert await rated(log) == [[("Anna", -1, BUTTON)]]  # which is the newer
    await rate(log, 0)
    assert await rated(log) == [[("Anna", -1, REACTION)]]
    await rate(log, 0, source=REACTION)
    assert await num_ratings(log) == 0


async def test_a_rating_that_is_taken_back_when_the_log_has_lost_the_answer_is_gone(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await talk_now(log, 1)
    await talk_now(log, 2)
    for user in (ANNA, BERT):
        for post in ("11", "21"):
            await rate(log, user=user, post=post)
    await log.purge(log.now())
    await ask(log, 1, chat=OTHER)
    assert not await rate(log, 0, chat=OTHER)
    assert not await rate(log, 0, source=REACTION)
    assert not await rate(log, 0, user=User("telegram", "9", "Cy"))
    assert await num_ratings(log) == 4
    assert not await rate(log, 0)
    assert not await rate(log, -1, user=BERT, post="21")  # what is thought now has nothing to be kept with
    assert await rated(log) == [[("Bert", 1, BUTTON)], [("Anna", 1, BUTTON)]]
    new = ChatRef("telegram", "bot1", "-100999")
    await log.move_chat(CHAT, new)
    assert not await rate(log, 0, user=BERT, chat=new)  # another message, by the new count
    assert await num_ratings(log) == 2


async def test_a_rating_is_of_the_answer_that_stands(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    await rate(log, -1)
    retry = await log.begin_answer(CHAT, [row_id])
    assert await num_ratings(log) == 0
    await log.end_answer(retry, AnswerState.FAILED)
    assert await rated(log) == [[("Anna", -1, BUTTON)]]  # the old answer is back
    await answer(log, [row_id], "better")
    assert await rated(log) == [[]]
    await rate(log)  # in the same post
    assert await rated(log) == [[("Anna", 1, BUTTON)]]
    await log.edit(MessageEdited(CHAT, MessageId("10"), (Text("edited"),), log.now()))
    assert await rated(log) == [[("Anna", 1, BUTTON)]]
    await log.delete(MessagesDeleted(CHAT, (MessageId("11"),), log.now()))
    assert await num_ratings(log) == 0


async def test_a_rating_is_of_the_answer_and_not_of_its_correction(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("corrected"),))
    await rate(log, -1)
    assert await rated(log) == [[("Anna", -1, BUTTON)]]
    assert await num_ratings(log) == 1


async def test_a_rating_of_an_answer_under_way_comes_with_it(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    answer_id = await log.begin_answer(CHAT, [await ask(log, 10, time=log.now())])
    await log.posting(answer_id, 0, "n")
    await log.posted(answer_id, 0, MessageId("11"))
    await rate(log)
    assert await num_ratings(log) == 0
    await log.write_answer(answer_id, (Text("hi"),), model_version="v1", prompt_sha256=None, finish_reason="stop")
    await log.end_answer(answer_id, AnswerState.DELIVERED)
    assert await rated(log) == [[("Anna", 1, BUTTON)]]


async def test_a_rating_of_what_may_not_be_trained_on_is_not_copied(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1, author=BERT)
    await talk_now(log, 2)  # with Bert's words in mind
    for post in ("11", "21"):
        await rate(log, post=post)
    assert spoken(await trainable(log)) == [[("user", "question 2")]]
    assert await num_ratings(log) == 0


async def test_ratings_go_with_the_answers_that_somebody_else_takes_out(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
        await talk_now(log, int(user.id), author=user)
    await rate(log, post="71")
    assert await num_ratings(log) == 1
    await decide(log, False, user=BERT)
    assert spoken(await trainable(log)) == [[("user", "question 7")]]
    assert await num_ratings(log) == 0


async def test_ratings_are_judged_again_when_they_are_read(log_settings: DatabaseSettings, clock: Clock) -> None:
    async with ChatLog.open(log_settings, policy=CONFIRMED, now=clock) as log:
        for user in (ANNA, BERT):
            await decide(log, user=user)
        await talk_now(log, 1)
        for user in (ANNA, BERT):
            await rate(log, user=user)
        bert = str(await log.consents.pseudonym("telegram", BERT.id))
        async with log._database.write() as connection:  # as if nothing had followed from it
            (entry,) = await ledger.history(connection, bert)
            place, source = entry.chat_uuid, ConsentSource.OPERATOR
            await ledger.append(
                connection,
                bert,
                "telegram",
                place,
                Purpose.TRAINING,
                is_granted=False,
                source=source,
                now=log.now(),
            )
        assert await num_ratings(log) == 2
        assert await rated(log) == [[("Anna", 1, BUTTON)]]
    async with ChatLog.open(log_settings, policy=CLOSED, now=clock) as log:
        assert await trainable(log) == []


async def test_copies_that_are_too_old_go_with_their_ratings(confirmed_log: ChatLog, clock: Clock) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    clock.time += timedelta(days=40)
    await talk_now(log, 2)
    for post in ("11", "21"):
        await rate(log, post=post)
    await log.purge_training(clock.time - timedelta(days=30))
    assert await rated(log) == [[("Anna", 1, BUTTON)]]
    assert await num_ratings(log) == 1


async def test_a_moved_chat_takes_its_ratings_along(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for chat in (CHAT, OTHER):
        await decide(log, chat=chat)
        await talk_now(log, 1, chat)
        await rate(log, chat=chat)
    await log.move_chat(CHAT, OTHER)  # which has rows already
    assert await rated(log) == [[("Anna", 1, BUTTON)]] * 2
    await decide(log, False, chat=OTHER)
    assert await num_ratings(log) == 0


async def test_a_moved_chat_knows_no_post_that_was_rated(confirmed_log: ChatLog) -> None:
    log, new = confirmed_log, ChatRef("telegram", "bot1", "-100999")
    await decide(log)
    row_id = await talk_now(log, 1)
    await rate(log)
    await log.move_chat(CHAT, new)
    async with log._database.write() as connection:
        await log.training.refresh(connection, [row_id])
    await log.purge(log.now())
    assert not await rate(log, 0, chat=new)  # another message, by the new count
    assert await rated(log) == [[("Anna", 1, BUTTON)]]


@pytest.mark.parametrize("is_source", [True, False])
async def test_who_withdrew_in_one_of_two_chats_that_become_one_has_rated_in_neither(
    confirmed_log: ChatLog, is_source: bool
) -> None:
    log = confirmed_log
    for chat in (CHAT, OTHER):
        for user in (ANNA, BERT):
            await decide(log, user=user, chat=chat)
        await talk_now(log, 1, chat)
        await rate(log, user=BERT, chat=chat)
    await decide(log, False, user=BERT, chat=CHAT if is_source else OTHER)
    assert await num_ratings(log) == 1
    await log.move_chat(CHAT, OTHER)
    assert await num_ratings(log) == 0
    assert len(await trainable(log)) == 2


async def test_people_can_read_how_they_rated(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await talk_now(log, 1)
    await rate(log, -1, user=BERT, source=REACTION)
    await log.purge(log.now())
    (turn,) = await trainable(log)
    assert (await log.export("telegram", ANNA.id))["training_ratings"] == []
    exported = (await log.export("telegram", BERT.id))["training_ratings"]
    assert isinstance(exported, list)
    (found,) = exported
    assert found.pop("kept_at") > found["given_at"]
    assert found == {
        "chat": CHAT.key,
        "answer": turn.messages[1].message_id,
        "score": -1,
        "source": "reaction",
        "given_at": turn.ratings[0].given_at.isoformat(),
        "rule": "telegram-consent",
        "wording": "training-2",
    }


async def test_a_model_is_known_by_who_rated_what_it_saw(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await talk_now(log, 1)
    await rate(log, user=BERT)
    (turn,) = await trainable(log)
    await log.training.note_model("m1", [message.message_id for message in turn.messages])
    assert (await log.forget("telegram", BERT.id)).model_versions == ("m1",)
    assert set(await log.training.tainted_since()) == {"m1"}
