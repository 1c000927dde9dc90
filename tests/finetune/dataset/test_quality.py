"""Which answers are worth learning."""

import pytest

from finetune.dataset.quality import MAX_CHARS, check
from finetune.fate import Fate, Outcome
from tests.finetune.dataset.dialogues import dialogue

QUESTION = "so what did you do at the weekend then"
FINE = "we went up the hill and it rained"


def reasons(answer: str, question: str = QUESTION) -> list[str]:
    """Why an answer is not learnt, beside one that is."""
    _, fates = check(dialogue("k", [question, answer, "and then?", FINE]))
    assert {fate.id for fate in fates} <= {"k.1"}
    return [fate.reason for fate in fates]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "no words"),
        ("?!... --", "no words"),
        ("<URL>", "no words"),
        ("https://example.org/a/b?c=d", "no words"),
        ("<EMAIL_ADDRESS>, <URL>", "no words"),
        ("\U0001f602\U0001f602", "no words"),
        ("ok", "too short"),
        ("don't", "too short"),
        ("thanks <URL>", "too short"),
        ("a long story " * 200, "too long"),
        ("it rained\ufffd all day", "broken characters"),
        ("it\u00e2\u20ac\u2122s raining here", "broken characters"),
        ("So what  did you do at the weekend THEN", "echo"),
        ("see:\n```\nfor x in y:\n    print(x)\n```", "code"),
        ("see:\n```\nfor x in y:\n    print(x)", "code"),
        (f"my key is {'Ab3' * 30} you see", "code"),
        ("==== |--> [::] {} ## a b", "few letters"),
        ("nooooooooooooooooooooooooooooo way", "repetitive"),
        ("buy one get one " * 5, "repetitive"),
        ("well I must say buy it now please buy it now please buy it now please", "repetitive"),
    ],
)
def test_an_answer_is_not_learnt(answer: str, reason: str) -> None:
    assert reasons(answer) == [reason]


@pytest.mark.parametrize(
    "answer",
    [
        "hahahahaha good one",
        "I DO NOT KNOW",
        "no no no no",
        "nooooo way",
        "42 of them, 7 at 3.50",
        "see <URL> for that",
        "run `make test` first",
        "yay for us \U0001f389\U0001f389\U0001f389 :-)",
        "今天天气很好",
        "मुझे नहीं पता",
        "ไม่เป็นไร ขอบคุณ",
        "не знаю, но спрошу",
        "لا أعرف بعد",
    ],
)
def test_an_answer_is_learnt(answer: str) -> None:
    assert reasons(answer) == []


def test_one_word_is_enough_for_a_question() -> None:
    assert reasons("yes", "are you there?") == []
    assert reasons("是", "\u4f60\u5728\u5417\uff1f") == []
    assert reasons("yes", "you are there") == ["too short"]


def test_the_limit_of_length_itself_is_not_too_long() -> None:
    words = "the river goes by and takes the old boats down to where the sea is "
    text = (words * 100)[:MAX_CHARS]
    assert "too long" not in reasons(text)
    assert reasons(f"{text}x") == ["too long"]


def test_what_is_not_learnt_stays_as_context() -> None:
    checked, fates = check(dialogue("k", [QUESTION, "ok", "and then?", FINE]))
    assert checked is not None
    assert [turn.text for turn in checked.turns] == [QUESTION, "ok", "and then?", FINE]
    assert [turn.is_target for turn in checked.turns] == [False, False, False, True]
    assert fates == (Fate("k.1", Outcome.CHANGED, "too short", fates[0].detail),)


def test_what_people_say_to_the_bot_is_not_judged() -> None:
    conversation = dialogue("k", ["ok", FINE, "<URL>", FINE])
    assert check(conversation) == (conversation, ())


def test_a_conversation_without_any_answer_left_is_dropped_and_each_message_says_so() -> None:
    checked, fates = check(dialogue("k", [QUESTION, "ok", "hm"]))
    assert checked is None
    dropped = [fate.id for fate in fates if fate.outcome is Outcome.DROPPED]
    assert dropped == ["k", "k.1", "k.2"]
    assert {fate.reason for fate in fates if fate.outcome is Outcome.DROPPED} == {"no answer to learn"}


def test_a_conversation_that_never_had_an_answer_is_dropped() -> None:
    checked, fates = check(dialogue("k", [QUESTION, FINE], targets=()))
    assert checked is None
    assert [fate.reason for fate in fates] == ["no answer to learn"] * 2


def test_fates_never_quote_what_was_said() -> None:
    _, fates = check(dialogue("k", [QUESTION, "ok", "thingamajig", FINE]))
    assert not any("ok" in fate.detail.split() or "thingamajig" in fate.detail for fate in fates)
