"""What people agree to: written down for good, in force for one chat, and followed at once."""

from datetime import timedelta

import pytest
from chatlog_samples import ANNA, BERT, CHAT, CONFIRMED, Clock, ask, decide, said, talk_now, trainable, words
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from test_migration import connected

from bots.chatlog import ChatLog, ConsentSource, DatabaseSettings
from bots.chatlog.schema import consents, people
from bots.message import ChatRef, User
from bots.policy import WORDINGS, Policy, Purpose

THREAD = ChatRef("telegram", "bot1", "100", "5")
OTHER = ChatRef("telegram", "bot1", "200")


async def ledger(log: ChatLog) -> list[tuple[str, bool, str]]:
    async with log._database.read() as connection:
        rows = (await connection.execute(select(consents).order_by(consents.c.id))).all()
    return [(row.purpose, row.is_granted, row.source) for row in rows]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consents SET is_granted = is_granted",
        "UPDATE consents SET pseudonym = 'x' WHERE id = 1",
        "DELETE FROM consents",
        "DELETE FROM consents WHERE id = 1",
        "",
    ],
)
async def test_the_ledger_refuses_to_be_changed_by_anyone(
    log: ChatLog, log_settings: DatabaseSettings, statement: str
) -> None:
    by_the_back_door = "REPLACE INTO consents SELECT * FROM consents"
    if not log_settings.url.startswith("sqlite"):
        by_the_back_door = "TRUNCATE consents"
    await decide(log)
    with pytest.raises(DBAPIError, match="only ever added to"):
        async with connected(log_settings.url) as connection:
            await connection.execute(text(statement or by_the_back_door))
    assert await ledger(log) == [("training", True, "command")]


async def test_what_is_decided_is_in_force_until_something_else_is(log: ChatLog, clock: Clock) -> None:
    assert await log.consents.standing(ANNA, CHAT) == {Purpose.MEMORY: None, Purpose.TRAINING: None}
    await decide(log)
    entry = (await log.consents.standing(ANNA, CHAT))[Purpose.TRAINING]
    assert entry is not None
    assert (entry.is_granted, entry.wording_id, entry.source) == (True, "training-2", ConsentSource.COMMAND)
    assert clock.time - timedelta(seconds=5) < entry.at <= clock.time
    await decide(log, source=ConsentSource.BUTTON)  # again, which is no news: it stays as old as it was
    assert (await log.consents.standing(ANNA, CHAT))[Purpose.TRAINING] == entry
    await decide(log, False, source=ConsentSource.CONSOLE)
    await decide(log, False)
    await decide(log)
    assert await ledger(log) == [
        ("training", True, "command"),
        ("training", False, "console"),
        ("training", True, "command"),
    ]
    history = await log.consents.history("telegram", "7")
    assert [e.is_granted for e in history] == [True, False, True]
    assert history[-1].at > entry.at


async def test_a_no_is_written_down_though_nothing_was_agreed_to(log: ChatLog) -> None:
    await decide(log, False)
    entry = (await log.consents.standing(ANNA, CHAT))[Purpose.TRAINING]
    assert entry is not None
    assert not entry.is_granted


async def test_the_text_that_was_agreed_to_is_in_the_ledger(log: ChatLog) -> None:
    for purpose in Purpose:
        await decide(log, purpose=purpose)
    async with log._database.read() as connection:
        rows = (await connection.execute(select(consents))).all()
    assert {(r.purpose, r.wording_id, r.wording_sha256) for r in rows} == {
        (p, w.id, w.sha256) for p, w in WORDINGS.items()
    }
    assert all(r.pseudonym != "7" and "100" not in r.chat_uuid.split("-") for r in rows)
    assert all(len(r.pseudonym) == 64 for r in rows)


async def test_a_consent_is_for_a_chat_and_its_threads_and_for_no_other_and_nobody_else(log: ChatLog) -> None:
    await decide(log, chat=THREAD)
    for user, chat, is_granted in (
        (ANNA, CHAT, True),
        (ANNA, THREAD, True),
        (ANNA, ChatRef("telegram", "bot1", "100", "6"), True),
        (ANNA, OTHER, False),
        (ANNA, ChatRef("telegram", "bot2", "100"), False),
        (BERT, CHAT, False),
    ):
        assert ((await log.consents.standing(user, chat))[Purpose.TRAINING] is not None) is is_granted
    someone = User("discord", "7", "Anna")
    assert (await log.consents.standing(someone, ChatRef("discord", "bot1", "100")))[Purpose.TRAINING] is None


async def test_people_are_told_what_may_become_of_their_words(log_settings: DatabaseSettings, clock: Clock) -> None:
    async def rules(log: ChatLog) -> tuple[str, str]:
        verdicts = await log.consents.verdicts(ANNA, CHAT)
        return verdicts[Purpose.MEMORY].rule, verdicts[Purpose.TRAINING].rule

    async with ChatLog.open(log_settings, now=clock) as log:
        assert await rules(log) == ("conversation", "telegram-not-confirmed")
        await decide(log)
        assert await rules(log) == ("conversation", "telegram-not-confirmed")
        assert log.policy == Policy()
    async with ChatLog.open(log_settings, policy=CONFIRMED, now=clock) as log:
        assert await rules(log) == ("conversation", "telegram-consent")
        await decide(log, False)
        assert await rules(log) == ("conversation", "no-consent")
        await decide(log)
        await decide(log, False, purpose=Purpose.MEMORY)
        assert await rules(log) == ("refuses-memory", "refuses-memory")


async def test_only_the_text_that_was_shown_can_be_agreed_to_and_any_refused(log: ChatLog) -> None:
    async def press(wording_id: str | None, *, is_granted: bool) -> bool:
        source = ConsentSource.BUTTON
        return await log.consents.record(
            ANNA, CHAT, Purpose.TRAINING, is_granted=is_granted, source=source, wording_id=wording_id
        )

    assert not await press("training-0", is_granted=True)
    assert (await log.consents.standing(ANNA, CHAT))[Purpose.TRAINING] is None
    assert await press(WORDINGS[Purpose.TRAINING].id, is_granted=True)
    assert await press("training-0", is_granted=False)
    entry = (await log.consents.standing(ANNA, CHAT))[Purpose.TRAINING]
    assert entry is not None
    assert not entry.is_granted


async def test_who_agreed_to_another_text_is_asked_anew(log: ChatLog, monkeypatch: pytest.MonkeyPatch) -> None:
    await decide(log)
    import bots.chatlog.consents
    import bots.chatlog.ledger
    from bots import policy
    from bots.policy import Wording

    newer = {**WORDINGS, Purpose.TRAINING: Wording("training-99", Purpose.TRAINING, "More of it?")}
    for module in (policy, bots.chatlog.consents, bots.chatlog.ledger):
        monkeypatch.setattr(module, "WORDINGS", newer)
    console = ChatRef("console", "bot1", "1")
    anna = User("console", "7", "Anna")
    assert (await log.consents.verdicts(anna, console))[Purpose.TRAINING].rule == "no-consent"
    await decide(log)
    entry = (await log.consents.standing(ANNA, CHAT))[Purpose.TRAINING]
    assert entry is not None
    assert entry.wording_id == "training-99"
    assert len(await ledger(log)) == 2


async def test_ended_consent_removes_the_turns_of_the_person_in_that_chat_alone(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    for chat in (CHAT, OTHER):
        for user in (ANNA, BERT):
            await decide(log, user=user, chat=chat)
    for number, (chat, user) in enumerate([(CHAT, ANNA), (THREAD, ANNA), (OTHER, ANNA), (CHAT, BERT)], start=1):
        await talk_now(log, number, chat, author=user)
    assert len(await trainable(log)) == 4
    await decide(log, False)
    left = [words(turn.messages[0].segments) for turn in await trainable(log)]
    assert left == ["question 3", "question 4"]
    assert (await log.stats()).others["training_messages"] == 3  # and they are not merely kept back
    assert len(said(await log.history(CHAT))) == 2  # the conversation is another matter
    await decide(log)
    assert len(await trainable(log)) == 2  # what was said before stays out
    await talk_now(log, 9)
    assert len(await trainable(log)) == 3


async def test_a_consent_counts_in_the_chat_that_a_chat_becomes(confirmed_log: ChatLog) -> None:
    log = confirmed_log
    new = ChatRef("telegram", "bot1", "-100999")
    await decide(log)
    await decide(log, user=BERT, chat=CHAT)
    await talk_now(log, 1)
    await talk_now(log, 1, new)
    await decide(log, False, user=BERT, chat=new)  # after the move, before we are told of it
    await decide(log, user=User("telegram", "9", "Cesar"), chat=new)
    await log.move_chat(CHAT, new)
    standing = {
        user: (await log.consents.standing(User("telegram", user, ""), new))[Purpose.TRAINING] for user in "789"
    }
    assert {user: entry and entry.is_granted for user, entry in standing.items()} == {"7": True, "8": False, "9": True}
    assert [words(turn.messages[0].segments) for turn in await trainable(log)] == ["question 1"]


async def test_a_pseudonym_is_one_persons_and_tells_nothing(log: ChatLog) -> None:
    assert await log.consents.pseudonym("telegram", "7") is None
    for user in (ANNA, BERT, User("discord", "7", "Anna")):
        await decide(log, user=user, chat=ChatRef(user.platform, "bot1", "1"))
    names = {await log.consents.pseudonym(*who) for who in (("telegram", "7"), ("telegram", "8"), ("discord", "7"))}
    assert len(names) == 3
    async with log._database.read() as connection:
        rows = (await connection.execute(select(people))).all()
    from bots.chatlog.people import pseudonym_of
    from bots.chatlog.places import PERSON_KEY, place

    for row in rows:
        key = log._cipher.open(place(PERSON_KEY, row.platform, row.user_id), row.key)
        assert len(key) == 32
        assert row.pseudonym == pseudonym_of(key, row.platform, row.user_id)


async def test_a_message_takes_one_look_at_the_ledger(log: ChatLog, clock: Clock) -> None:
    """The price of being able to refuse, paid for every message that is received."""
    from sqlalchemy import event

    await decide(log, purpose=Purpose.MEMORY)
    await ask(log, 1)
    statements: list[str] = []
    engine = log._database._writer.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    await ask(log, 2)
    kinds = [statement.split()[0] for statement in statements if statement.split()[0] in {"SELECT", "INSERT"}]
    assert kinds == ["SELECT", "INSERT"]
