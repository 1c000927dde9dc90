"""What shows only when somebody's messages are read together. Every number and name here is invented."""

from dataclasses import replace

import pytest

from engine.speakers import Called
from finetune.cleaning.turns import REMOVED, cleaned
from finetune.conversation import Conversation, LinkKind, Turn
from finetune.dataset.voices import BREAK, voiced
from finetune.fate import Outcome
from finetune.message import Rating
from tests.finetune.dataset.dialogues import turn


def talk(*turns: Turn) -> Conversation:
    return Conversation(turns[0].ids[0], "log", "test", "square", turns, is_shared=False)


def in_a_row(*texts: str, author: str = "ann") -> Conversation:
    """A question, and what somebody answers to it in so many messages."""
    answers = [
        replace(turn(f"a{n}", author, text, n, sent_at_ms=n * 1000), link=LinkKind.INFERRED)
        for n, text in enumerate(texts)
    ]
    conversation, _ = voiced(talk(turn("q", "bea", "well?", None, sent_at_ms=0), *answers))
    return conversation


@pytest.mark.parametrize(
    "texts",
    [
        ("my password is", "hunter2!xY9"),
        ("my pw", "hunter2xY9"),
        ("the wifi password:", "Tr0ub4dor&3"),
        ("it is for the door", "the pin is", "4821", "bye"),
        ("npm_abcdefghijkmnpqr", "stuvwxyzABCDEFGHJKLM"),
        ("npm_abcdefghi", "jkmnpqrstuvwx", "yzABCDEFGHJKLM"),
    ],
)
def test_a_secret_in_several_messages_removes_the_turn_and_it_is_not_learnt(texts: tuple[str, ...]) -> None:
    conversation, fates = cleaned(in_a_row(*texts))
    assert conversation is not None
    question, answer = conversation.turns
    assert question.text == "well?"
    assert answer.pieces == (REMOVED,)
    assert not answer.is_target
    assert [fate.id for fate in fates] == [f"a{n}" for n in range(len(texts))]
    assert {(fate.outcome, fate.reason) for fate in fates} == {(Outcome.CHANGED, "secret")}
    assert all("several messages" in fate.detail for fate in fates)
    assert not any(text in fate.detail for fate in fates for text in texts)


def test_nobody_s_liking_of_a_removed_turn_counts() -> None:
    question, answer = in_a_row("my password is", "hunter2!xY9").turns
    liked = replace(answer, ratings=(Rating("bea", 1, "button"),))
    conversation, _ = cleaned(talk(question, liked))
    assert conversation is not None
    assert conversation.turns[1].ratings == ()


@pytest.mark.parametrize(
    ("texts", "clean"),
    [
        (("call me at 0171", "2345 6789"), ("call me at <PHONE>", "<PHONE>")),
        (("mail me: anna.lee", "@example.org please"), ("mail me: <EMAIL>", "<EMAIL> please")),
        (("mail ann@", "<URL>"), ("mail <EMAIL>", "<EMAIL>")),
        (("it is 4111 1111", "1111", "1111, ok?"), ("it is <CARD>", "<CARD>", "<CARD>, ok?")),
        (("my phone number is", "867 5309"), ("my phone number is", "<PHONE>")),
        (
            ("+49 171 23", "45 678", "and my ip is 203.0.", "113.77"),
            ("<PHONE>", "<PHONE>", "and my ip is <IP>", "<IP>"),
        ),
    ],
)
def test_personal_data_in_several_messages_is_a_placeholder_in_each(
    texts: tuple[str, ...], clean: tuple[str, ...]
) -> None:
    conversation, fates = cleaned(in_a_row(*texts))
    assert conversation is not None
    answer = conversation.turns[1]
    assert answer.text.split(BREAK) == list(clean)
    assert answer.is_target
    assert [fate.id for fate in fates] == list(answer.ids)
    assert {(fate.outcome, fate.reason) for fate in fates} == {(Outcome.CHANGED, "personal data")}
    assert cleaned(conversation) == (conversation, ())


@pytest.mark.parametrize(
    "texts",
    [
        ("the password", "is wrong"),
        ("ok.", "be there at 5"),
        ("it is 10", "30 on 2004-11-15"),
        ("see <URL>", "de rien"),
        ("hello", "how are you?"),
        ("at 7:30", "or 8", "in 2004"),
    ],
)
def test_what_several_messages_only_seem_to_say_stays(texts: tuple[str, ...]) -> None:
    conversation = in_a_row(*texts)
    clean, fates = cleaned(conversation)
    assert clean is conversation
    assert fates == ()


def test_two_turns_of_one_person_are_read_together_where_one_goes_on_from_the_other() -> None:
    first, then = turn("1", "ann", "my password is", None), turn("2", "ann", "hunter2!xY9", 0, is_target=True)
    conversation, fates = cleaned(talk(first, then, turn("3", "bea", "ok then", 1, is_target=True)))
    assert conversation is not None
    assert [each.text for each in conversation.turns] == [REMOVED, REMOVED, "ok then"]
    assert [each.is_target for each in conversation.turns] == [False, False, True]
    assert [fate.id for fate in fates] == ["1", "2"]


def test_what_two_people_say_is_not_read_together() -> None:
    conversation = talk(turn("1", "ann", "my password is", None), turn("2", "bea", "hunter2!xY9", 0))
    assert cleaned(conversation) == (conversation, ())


def test_who_is_called_by_name_in_a_turn_with_personal_data_is_called_still() -> None:
    answer = replace(in_a_row("a", "b").turns[1], pieces=("hi ", Called("bea"), ", call 0171", BREAK, "2345 6789"))
    conversation, _ = cleaned(talk(turn("q", "bea", "well?", None), answer))
    assert conversation is not None
    assert conversation.turns[1].pieces == ("hi ", Called("bea"), ", call <PHONE>", BREAK, "<PHONE>")
