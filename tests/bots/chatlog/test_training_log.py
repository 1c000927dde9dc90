"""What may be trained on follows every change of the conversation, of consent, and of the operator's policy."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from chatlog_samples import (
    ANNA,
    BERT,
    CHAT,
    CONFIRMED,
    DIRECT,
    Clock,
    answer,
    ask,
    decide,
    message,
    spoken,
    talk,
    talk_now,
    trainable,
    words,
)
from sqlalchemy import select

from bots.chatlog import (
    AnswerState,
    ChatLog,
    ConsentSource,
    DatabaseSettings,
    FeedbackSource,
    QuestionState,
    TrainableRating,
    TrainingRole,
)
from bots.chatlog import traininglog as traininglog_module
from bots.chatlog.schema import training_messages, training_ratings
from bots.message import (
    Addressed,
    Attachment,
    ChatRef,
    Mention,
    MessageEdited,
    MessageId,
    MessagesDeleted,
    Quote,
    Text,
    User,
)
from bots.policy import CLOSED, Purpose

OTHER = ChatRef("telegram", "bot1", "200")


def turn(number: int) -> list[tuple[str, str]]:
    return [("user", f"question {number}"), ("bot", f"answer {number}")]


async def num_copies(log: ChatLog) -> int:
    return (await log.stats()).others["training_messages"]


async def test_what_a_person_says_after_agreeing_may_be_trained_on(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await talk_now(log, 1)
    await decide(log)
    row_id = await talk_now(log, 2)
    (found,) = await trainable(log)
    assert spoken([found]) == [turn(2)]
    assert (found.turn, found.platform, found.model_version) == (row_id, "telegram", "v1")
    asked, answered = found.messages
    assert asked.pseudonym == await log.consents.pseudonym("telegram", "7")
    assert (answered.pseudonym, asked.message_id) == ("", row_id)
    assert {asked.rule, answered.rule} == {"telegram-consent"}
    assert "100" not in found.chat_uuid.split("-")


@pytest.mark.parametrize("why", Addressed)
async def test_only_what_was_said_to_the_bot_may_be(confirmed_log: ChatLog, why: Addressed) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await log.receive(message(1, time=log.now()), QuestionState.WAITING, addressed=frozenset({why}))
    assert row_id is not None
    await answer(log, [row_id])
    may_be = {Addressed.DIRECT, Addressed.MENTION, Addressed.REPLY, Addressed.COMMAND}
    assert bool(await trainable(log)) is (why in may_be)


@pytest.mark.parametrize("state", [s for s in AnswerState if s not in {AnswerState.WRITING, AnswerState.WRITTEN}])
async def test_only_answers_that_people_have_seen_count(confirmed_log: ChatLog, state: AnswerState) -> None:
    log = confirmed_log
    await decide(log)
    await answer(log, [await ask(log, 1, time=log.now())], state=state)
    assert bool(await trainable(log)) is (state in {AnswerState.DELIVERED, AnswerState.STOPPED})


async def test_a_turn_with_someone_who_did_not_agree_is_left_out_whole(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    both = [await ask(log, 1, "hers", time=log.now()), await ask(log, 2, "his", author=BERT, time=log.now())]
    await answer(log, both)
    assert await num_copies(log) == 0
    await decide(log, user=BERT)
    both = [await ask(log, 3, "hers", time=log.now()), await ask(log, 4, "his", author=BERT, time=log.now())]
    await answer(log, both)
    assert spoken(await trainable(log)) == [[("user", "hers"), ("user", "his"), ("bot", "hi")]]


async def test_a_turn_that_quotes_somebody_is_not_copied_whoever_agreed(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    quote = Quote(MessageId("1"), BERT, (Text("quoted"),))
    sent = message(2, "what of this?", quote=quote, time=log.now())
    context = await log.note_quote(sent)
    row_id = await log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    assert context is not None
    await answer(log, [context, row_id])
    again = message(3, "and of this?", quote=quote, time=log.now())
    assert await log.note_quote(again) is None  # as the chat knows it by now
    second = await log.receive(again, QuestionState.WAITING, addressed=DIRECT)
    assert second is not None
    await answer(log, [second])
    assert await num_copies(log) == 0
    assert (await log.training.counts()).refused == {"not-said-to-the-bot": 2}
    await talk_now(log, 4)
    assert spoken(await trainable(log)) == [[("user", "question 4")]]  # the quote is in the bot's mind still


async def test_words_that_are_passed_on_are_not_copied(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await answer(log, [await ask(log, 1, "Bert's secret", time=log.now(), is_forwarded=True)], "Bert's secret, I see")
    assert (await log.training.counts()).refused == {"forwarded": 1}
    await talk_now(log, 2)
    assert spoken(await trainable(log)) == [[("user", "question 2")]]
    await log.reset(CHAT)
    await talk_now(log, 3)
    assert spoken(await trainable(log))[1:] == [turn(3)]


async def test_an_answer_with_words_of_others_in_mind_is_not_copied(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await talk_now(log, 2, author=BERT)
    await talk_now(log, 3)
    await log.corrections.give(CHAT, MessageId("31"), ANNA, (Text("better"),))
    assert spoken(await trainable(log)) == [turn(1), [("user", "question 3"), ("correction", "better")]]
    assert (await log.training.counts()).refused == {"no-consent": 1, "remembers-others": 1}
    await decide(log, user=BERT)
    await talk_now(log, 4)  # with Bert's agreement, but with that answer in mind
    await log.forget("telegram", BERT.id)
    await log.reset(CHAT)
    await log.edit(MessageEdited(CHAT, MessageId("40"), (Text("edited"),), log.now()))  # looks anew
    assert spoken(await trainable(log))[2:] == [[("user", "edited")]]
    await talk_now(log, 5)
    assert spoken(await trainable(log))[3:] == [turn(5)]


async def test_answers_with_someone_in_mind_go_when_that_one_withdraws(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await decide(log, chat=OTHER)
    await talk_now(log, 1, author=BERT)
    await talk_now(log, 2)
    await talk_now(log, 3, OTHER)
    assert spoken(await trainable(log)) == [turn(1), turn(2), turn(3)]
    await ask(log, 9, author=User("telegram", "9", "Cy"), time=log.now())
    await decide(log, False, user=User("telegram", "9", "Cy"))  # who never agreed, and takes nothing back
    assert spoken(await trainable(log)) == [turn(1), turn(2), turn(3)]
    await decide(log, False, user=BERT)
    assert spoken(await trainable(log)) == [[("user", "question 2")], turn(3)]
    await log.edit(MessageEdited(CHAT, MessageId("20"), (Text("edited"),), log.now()))
    assert spoken(await trainable(log)) == [[("user", "edited")], turn(3)]


async def test_who_agrees_again_has_the_answers_from_then_on_copied(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for number, is_granted in enumerate((True, False, True), start=1):
        await decide(log, is_granted)
        await talk_now(log, number)
    assert spoken(await trainable(log)) == [turn(3)]


async def test_in_a_group_where_all_agreed_answers_are_copied(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await log.receive(message(5, "/help", author=User("telegram", "9", "Cy")), QuestionState.COMMAND, addressed=DIRECT)
    for number in (1, 2, 3):
        await talk_now(log, number, author=BERT if number == 2 else ANNA)
    assert spoken(await trainable(log)) == [turn(1), turn(2), turn(3)]


async def test_who_wants_not_to_be_remembered_is_not_trained_on(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await decide(log, False, purpose=Purpose.MEMORY)
    await decide(log)
    await talk_now(log, 2)
    await ask(log, 3, time=log.now())
    assert await trainable(log) == []
    rules = {purpose: verdict.rule for purpose, verdict in (await log.consents.verdicts(ANNA, CHAT)).items()}
    assert set(rules.values()) == {"refuses-memory"}


async def test_what_is_said_in_a_groups_name_is_not_copied(confirmed_log: ChatLog) -> None:
    log, group = confirmed_log, User("telegram", "-100", "Birds", is_person=False)
    assert not await log.consents.record(group, CHAT, Purpose.TRAINING, is_granted=True, source=ConsentSource.COMMAND)
    assert (await log.consents.standing(group, CHAT))[Purpose.TRAINING] is None
    await decide(log, user=replace(group, is_person=True))  # as if it had
    await talk_now(log, 1, author=group)
    assert (await log.training.counts()).refused == {"no-person": 1}
    assert (await log.consents.verdicts(group, CHAT))[Purpose.TRAINING].rule == "no-person"
    assert (await log.history(CHAT))[0].questions[0].author == group


async def test_a_platforms_clock_that_runs_ahead_does_not_make_a_message_later(
    confirmed_log: ChatLog, clock: Clock
) -> None:
    log = confirmed_log
    row_id = await ask(log, 1, time=clock.time + timedelta(minutes=1))
    await decide(log)
    await answer(log, [row_id])
    assert (await log.training.counts()).refused == {"said-before-consent": 1}


async def test_an_edit_of_what_the_log_has_lost_removes_the_copy(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await log.edit(MessageEdited(CHAT, MessageId("10"), (Text("question 1"),), log.now()))  # is no news
    assert len(await trainable(log)) == 1
    await log.purge(log.now())
    await log.edit(MessageEdited(CHAT, MessageId("10"), (Text("my number removed"),), log.now()))
    assert await num_copies(log) == 0


async def test_a_copy_names_nobody(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    file = Attachment("a.txt", "text/plain", 3, "https://files/channel/7", "abc")
    sent = message(1, (Text("ask "), Mention("8", "Bert"), file), time=log.now())
    row_id = await log.receive(sent, QuestionState.WAITING, addressed=DIRECT)
    assert row_id is not None
    await answer(log, [row_id])
    (found,) = await trainable(log)
    assert found.messages[0].segments == (Text("ask "), Mention("", "someone"), replace(file, locator=""))


async def test_an_edit_changes_the_copy(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await log.edit(MessageEdited(CHAT, MessageId("10"), (Text("edited"),), log.now()))
    assert spoken(await trainable(log)) == [[("user", "edited"), ("bot", "answer 1")]]
    assert await num_copies(log) == 2


@pytest.mark.parametrize("id", ["10", "11"])
async def test_a_deletion_removes_the_copy_of_the_turn(confirmed_log: ChatLog, id: str) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await talk_now(log, 2)
    await log.delete(MessagesDeleted(CHAT, (MessageId(id),), log.now()))
    assert spoken(await trainable(log)) == [turn(2)]
    assert await num_copies(log) == 2


async def test_a_retry_takes_the_old_answer_out_until_there_is_a_new_one(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    retry = await log.begin_answer(CHAT, [row_id])
    assert await num_copies(log) == 0
    await log.end_answer(retry, AnswerState.FAILED)
    assert spoken(await trainable(log)) == [turn(1)]  # the old one is back
    await answer(log, [row_id], "better")
    assert spoken(await trainable(log)) == [[("user", "question 1"), ("bot", "better"), ("rejected", "answer 1")]]


async def test_turns_that_are_answered_anew_as_one_are_copied_as_one(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    zero = await ask(log, 5, "zero", time=log.now())
    first, second = await ask(log, 1, "one", time=log.now()), await ask(log, 2, "two", time=log.now())
    await answer(log, [first, second], "both")
    assert len(await trainable(log)) == 1
    await answer(log, [zero, second], "others")
    assert spoken(await trainable(log)) == [[("user", "zero"), ("user", "two"), ("bot", "others")]]
    assert await num_copies(log) == 3


async def test_the_tap_closes_at_once_when_the_operator_takes_the_word_back(
    log_settings: DatabaseSettings, clock: Clock
) -> None:
    async with ChatLog.open(log_settings, policy=CONFIRMED, now=clock) as log:
        await decide(log)
        await talk_now(log, 1)
    async with ChatLog.open(log_settings, policy=CLOSED, now=clock) as log:
        assert await trainable(log) == []
        assert await num_copies(log) == 2
        await talk_now(log, 2)
        assert await num_copies(log) == 2
    async with ChatLog.open(log_settings, policy=CONFIRMED, now=clock) as log:
        assert spoken(await trainable(log)) == [turn(1)]


async def test_discord_is_closed_whoever_agrees(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    anna, chat = User("discord", "7", "Anna"), ChatRef("discord", "bot1", "1")
    await decide(log, user=anna, chat=chat)
    await talk_now(log, 1, chat, author=anna)
    assert await num_copies(log) == 0
    assert (await log.training.counts()).refused == {"discord-not-permitted": 1}


async def test_turns_come_oldest_first_and_in_many_bites(
    confirmed_log: ChatLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = confirmed_log
    monkeypatch.setattr(traininglog_module, "BATCH", 3)
    for user in (ANNA, BERT):
        await decide(log, user=user)
    for number in range(1, 9):
        await talk_now(log, number, author=BERT if number in {3, 4, 5} else ANNA)
    assert spoken(await trainable(log)) == [turn(number) for number in range(1, 9)]
    async with log._database.write() as connection:  # a bite that yields nothing is not the end
        from bots.chatlog import ledger
        from bots.chatlog.records import ConsentSource

        pseudonym = await log.consents.pseudonym("telegram", "8")
        (entry,) = await ledger.history(connection, str(pseudonym))
        await ledger.append(
            connection,
            str(pseudonym),
            "telegram",
            entry.chat_uuid,
            Purpose.TRAINING,
            is_granted=False,
            source=ConsentSource.OPERATOR,
            now=log.now(),
        )
    assert spoken(await trainable(log)) == [turn(number) for number in (1, 2, 6, 7, 8)]


async def test_operators_are_told_how_much_passes_and_what_refuses_the_rest(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await talk_now(log, 1)
    await decide(log)
    await talk_now(log, 2)
    await talk_now(log, 3, author=BERT)
    await talk_now(log, 4)
    await log.delete(MessagesDeleted(CHAT, (MessageId("40"),), log.now()))
    counts = await log.training.counts()
    assert counts.passing == {"telegram-consent": 1}
    assert counts.refused == {"said-before-consent": 1, "no-consent": 1, "deleted": 1}


async def test_corrections_are_copied_with_the_turn_if_who_gave_them_agreed(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    row_id = await talk_now(log, 1)
    for user, said in ((ANNA, "mine"), (BERT, "his")):
        assert await log.corrections.give(CHAT, MessageId("11"), user, (Text(said),))
    (found,) = await trainable(log)
    assert spoken([found]) == [[*turn(1), ("correction", "mine")]]
    assert found.messages[1].message_id == found.messages[2].message_id != row_id
    await log.corrections.give(CHAT, MessageId("11"), ANNA, (Text("mine, changed"),))
    await decide(log, user=BERT)
    await log.corrections.give(CHAT, MessageId("11"), BERT, (Text("his, later"),))
    corrected = [m for m in (await trainable(log))[0].messages if m.role is TrainingRole.CORRECTION]
    assert sorted(words(m.segments) for m in corrected) == ["his, later", "mine, changed"]
    await decide(log, False, user=BERT)
    assert spoken(await trainable(log)) == [[*turn(1), ("correction", "mine, changed")]]
    await decide(log, False)
    assert await num_copies(log) == 0


async def test_a_moved_chat_takes_its_copies_along(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for chat in (CHAT, OTHER):
        await decide(log, chat=chat)
        await talk_now(log, 1, chat)
        await log.corrections.give(chat, MessageId("11"), ANNA, (Text("corrected"),))
    await log.move_chat(CHAT, OTHER)  # which has rows already
    turns = await trainable(log)
    assert spoken(turns) == [[*turn(1), ("correction", "corrected")]] * 2
    assert len({each.chat_uuid for each in turns}) == 1
    await decide(log, False, chat=OTHER)
    assert await num_copies(log) == 0


@pytest.mark.parametrize("is_source", [True, False])
async def test_who_withdrew_in_one_of_two_chats_that_become_one_is_in_no_copy(
    confirmed_log: ChatLog, is_source: bool
) -> None:
    log = confirmed_log
    for number, chat in enumerate((CHAT, OTHER), start=1):
        await decide(log, chat=chat)
        await talk_now(log, number, chat)
    await decide(log, False, chat=CHAT if is_source else OTHER)
    await log.move_chat(CHAT, OTHER)
    assert await num_copies(log) == 0


async def test_a_model_is_known_by_whose_words_it_saw(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
        await talk_now(log, int(user.id), author=user)
    turns = await trainable(log)
    ids = [m.message_id for t in turns for m in t.messages]
    assert await log.training.note_model("m1", ids) == frozenset()
    assert await log.training.note_model("m1", ids) == frozenset()
    await decide(log, False, user=BERT)
    gone = {m.message_id for m in turns[1].messages} | {turns[0].messages[-1].message_id}  # it has Bert in mind, maybe
    assert await log.training.note_model("m2", ids) == gone
    anna, bert = [str(await log.consents.pseudonym("telegram", id)) for id in "78"]
    assert await log.training.models_that_saw(anna) == ("m1", "m2")
    assert await log.training.models_that_saw(bert) == ("m1",)
    assert (await log.forget("telegram", "8")).model_versions == ("m1",)


async def seen_by(log: ChatLog, model: str) -> None:
    """Let a model see all that may be trained on."""
    await log.training.note_model(model, [m.message_id for t in await trainable(log) for m in t.messages])


async def test_a_model_is_tainted_from_the_moment_that_somebody_it_saw_is_forgotten(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
        await talk_now(log, int(user.id), author=user)
    await seen_by(log, "m1")
    assert await log.training.tainted_since() == {}
    before = log.now()
    await log.forget("telegram", BERT.id)
    after = log.now()
    await seen_by(log, "m2")
    tainted = await log.training.tainted_since()
    assert set(tainted) == {"m1"}, "who is made without the person is not"
    assert before < tainted["m1"] < after
    await log.forget("telegram", ANNA.id)
    since = await log.training.tainted_since()
    assert since["m1"] == tainted["m1"], "the first moment counts"
    assert since["m2"] > after


async def test_a_model_that_is_begun_anew_without_somebody_has_not_seen_them(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
        await talk_now(log, int(user.id), author=user)
    await seen_by(log, "m1")
    await seen_by(log, "m2")
    await log.forget("telegram", BERT.id)
    await seen_by(log, "m1")
    assert set(await log.training.tainted_since()) == {"m2"}
    assert await log.training.models_that_saw(str(await log.consents.pseudonym("telegram", "7"))) == ("m2", "m1")


@pytest.mark.parametrize("purpose", [Purpose.TRAINING, Purpose.MEMORY])
async def test_who_ends_a_consent_taints_models_and_agreeing_again_does_not_change_that(
    confirmed_log: ChatLog, purpose: Purpose
) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    await talk_now(log, 1)
    await seen_by(log, "m1")
    await decide(log, False, user=BERT)
    assert await log.training.tainted_since() == {}, "it has seen no word of his"
    before = log.now()
    await decide(log, False, purpose=purpose)
    tainted = await log.training.tainted_since()
    assert set(tainted) == {"m1"}
    assert before < tainted["m1"] < log.now()
    await decide(log, purpose=Purpose.MEMORY)
    await decide(log)
    await talk_now(log, 2)
    await seen_by(log, "m2")
    assert await log.training.tainted_since() == tainted
    await decide(log, False)
    assert (await log.training.tainted_since())["m1"] == tainted["m1"]
    assert set(await log.training.tainted_since()) == {"m1", "m2"}


async def test_forgetting_one_chat_taints_models_only_if_consent_was_given_there(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await talk_now(log, 2, OTHER)
    await seen_by(log, "m1")
    await log.forget_in("telegram", ANNA.id, OTHER)
    assert await log.training.tainted_since() == {}
    await log.forget_in("telegram", ANNA.id, CHAT)
    assert set(await log.training.tainted_since()) == {"m1"}


async def test_a_deleted_message_is_in_no_later_dataset_and_taints_nothing(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    await seen_by(log, "m1")
    await log.delete(MessagesDeleted(CHAT, (MessageId("10"),), log.now()))
    assert await trainable(log) == []
    assert await log.training.tainted_since() == {}


async def rate(log: ChatLog, post: str, score: int, user: User = ANNA) -> None:
    assert await log.give_feedback(CHAT, MessageId(post), user.id, score, FeedbackSource.BUTTON)


async def test_new_targets_are_answers_that_were_called_good_and_corrections_since(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for user in (ANNA, BERT):
        await decide(log, user=user)
    for number in range(1, 7):
        await talk_now(log, number)
    await rate(log, "11", 1)
    await log.corrections.give(CHAT, MessageId("21"), ANNA, (Text("better"),))
    before = log.now()
    assert await log.training.new_targets(before) == 0
    await rate(log, "11", 1, BERT)  # good already
    await rate(log, "31", 1)
    await rate(log, "41", 1)
    await rate(log, "41", -1, BERT)
    await rate(log, "51", -1)
    await log.corrections.give(CHAT, MessageId("51"), ANNA, (Text("better"),))
    await log.corrections.give(CHAT, MessageId("51"), BERT, (Text("still better"),))
    await rate(log, "61", 1, User("telegram", "9", "Carl"))  # who has not agreed
    assert await log.training.new_targets(before) == 3  # the answer 31, and two corrections
    assert await log.training.new_targets(before - timedelta(days=1)) == 5
    await rate(log, "61", 1)
    assert await log.training.new_targets(before) == 4
    await decide(log, False)
    assert await log.training.new_targets(before) == 0, "all turns are hers"


async def test_new_targets_are_counted_over_more_turns_than_one_read_has(
    confirmed_log: ChatLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = confirmed_log
    monkeypatch.setattr(traininglog_module, "BATCH", 2)
    await decide(log)
    for number in range(1, 6):
        await talk_now(log, number)
        await rate(log, f"{number}1", 1)
    assert await log.training.new_targets(log.now() - timedelta(days=1)) == 5


async def test_copies_have_a_retention_of_their_own(confirmed_log: ChatLog, clock: Clock) -> None:
    log = confirmed_log
    await decide(log)
    await talk_now(log, 1)
    clock.time += timedelta(days=40)
    await talk_now(log, 2)
    await log.purge(clock.time - timedelta(days=30))
    assert spoken(await trainable(log)) == [turn(1), turn(2)]
    assert await log.purge_training(clock.time - timedelta(days=30)) == 2
    assert spoken(await trainable(log)) == [turn(2)]
    assert await log.purge_training(clock.time - timedelta(days=30)) == 0


async def test_a_message_that_is_deleted_late_goes_from_the_copies_though_the_log_has_lost_it(
    confirmed_log: ChatLog, clock: Clock
) -> None:
    log = confirmed_log
    await decide(log)
    for number in (1, 2, 3):
        await talk_now(log, number)
    await log.purge(log.now())
    await log.delete(MessagesDeleted(OTHER, (MessageId("10"),), log.now()))
    await log.delete(MessagesDeleted(CHAT, (MessageId("10"), MessageId("20")), log.now()))
    assert spoken(await trainable(log)) == [turn(3)]
    new = ChatRef("telegram", "bot1", "-100999")
    await log.move_chat(CHAT, new)
    await log.delete(MessagesDeleted(new, (MessageId("30"),), log.now()))  # another one, by the new count
    assert spoken(await trainable(log)) == [turn(3)]


async def test_people_who_decide_while_bots_are_at_work_lock_nobody_out(confirmed_log: ChatLog) -> None:
    log, rng = confirmed_log, random.Random(1)
    people = [User("telegram", str(number), f"P{number}") for number in range(4)]
    for user in people:
        await decide(log, user=user)
    for number in range(1, 9):
        await talk_now(log, number, author=people[number % 4])

    async def act(number: int) -> None:
        user, known = rng.choice(people), rng.randint(1, 8)
        match number % 7:
            case 0:
                await decide(log, rng.random() < 0.5, user=user, purpose=rng.choice([*Purpose]))
            case 1:
                await log.edit(MessageEdited(CHAT, MessageId(f"{known}0"), (Text(f"e{number}"),), log.now()))
            case 2:
                await log.corrections.give(CHAT, MessageId(f"{known}1"), user, (Text(f"c{number}"),))
            case 3:
                await log.delete(MessagesDeleted(CHAT, (MessageId(f"{known}{rng.choice('01')}"),), log.now()))
            case 4:
                await log.forget_in("telegram", user.id, CHAT)
            case 5:
                await log.give_feedback(
                    CHAT, MessageId(f"{known}1"), user.id, rng.choice([1, -1, 0]), rng.choice([*FeedbackSource])
                )
            case _:
                row_id = await ask(log, 1000 + number, "new", author=user, time=log.now())
                with contextlib.suppress(ValueError):  # forgotten meanwhile
                    await answer(log, [row_id], "new", post=5000 + number)

    await asyncio.gather(*(act(number) for number in range(120)))


async def rows_of(log: ChatLog) -> list[tuple[int, str, str, int]]:
    async with log._database.read() as connection:
        found = (await connection.execute(select(training_messages))).all()
        joined = select(training_ratings, training_messages.c.turn).join(training_messages)
        rated = (await connection.execute(joined)).all()
    copies = [(row.message_id, row.role, row.pseudonym, row.turn) for row in found]
    return sorted(copies + [(row.score, row.source, row.pseudonym, row.turn) for row in rated])


@pytest.mark.parametrize("seed", range(2))
async def test_after_any_history_the_copies_are_what_a_fresh_look_would_make(confirmed_log: ChatLog, seed: int) -> None:
    """The copies never lag behind: making all of them anew changes nothing, and who did not agree is in none."""
    log, rng = confirmed_log, random.Random(seed)
    rows: list[int] = []
    agreed = {ANNA.id: False, BERT.id: False}
    for step in range(120):
        user = rng.choice([ANNA, BERT])
        match rng.randrange(11):
            case 0 if step < 60 or not agreed[user.id]:
                agreed[user.id] = rng.random() < 0.85
                await decide(log, agreed[user.id], user=user)
            case 1 if rows:
                event = MessageEdited(CHAT, MessageId(f"q{rng.choice(rows)}"), (Text(f"edited {step}"),), log.now())
                await log.edit(event)
            case 2 if rows:
                id = f"{rng.choice('qp')}{rng.choice(rows)}"
                await log.delete(MessagesDeleted(CHAT, (MessageId(id),), log.now()))
            case 3 if rows:
                await retry(log, rng, rows)
            case 4 if rows:
                await log.corrections.give(CHAT, MessageId(f"p{rng.choice(rows)}"), user, (Text(f"{step}"),))
            case 5 | 6 if rows:
                id, source = MessageId(f"p{rng.choice(rows)}"), rng.choice([*FeedbackSource])
                await log.give_feedback(CHAT, id, user.id, rng.choice([1, -1, 0]), source)
            case _:
                rows.append(step)
                row_id = await ask(log, f"q{step}", f"asked {step}", author=user, time=log.now())
                await answer(log, [row_id], f"answered {step}", post=f"p{step}")
    before, kept = await read(log), await rows_of(log)
    pseudonyms = {await log.consents.pseudonym("telegram", id) for id, is_in in agreed.items() if is_in}
    assert {name for _, _, name, _ in kept} <= pseudonyms | {""}
    async with log._database.read() as connection:
        from bots.chatlog.schema import messages

        ids: Sequence[int] = (await connection.execute(select(messages.c.id))).scalars().all()
    async with log._database.write() as connection:
        await log.training.refresh(connection, ids)
    assert await rows_of(log) == kept
    assert await read(log) == before
    assert len(kept) > 6


async def read(log: ChatLog) -> list[tuple[list[list[tuple[str, str]]], set[TrainableRating]]]:
    return [(spoken([turn]), set(turn.ratings)) for turn in await trainable(log)]


async def retry(log: ChatLog, rng: random.Random, rows: list[int]) -> None:
    found = await log.answer_at(CHAT, MessageId(f"p{rng.choice(rows)}"))
    if found is not None and found.question_ids:
        state = rng.choice([AnswerState.DELIVERED, AnswerState.FAILED])
        await answer(log, found.question_ids, "again", state=state)


async def test_a_person_with_the_same_id_elsewhere_has_agreed_to_nothing(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    await decide(log)
    console = ChatRef("console", "bot1", "100")
    await talk(log, 1, console, author=User("console", "7", "Anna"), time=log.now())
    assert await trainable(log) == []
