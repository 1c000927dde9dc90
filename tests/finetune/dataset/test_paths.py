"""What the model is shown of a way through a conversation: tags, names and roles."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.speakers import Called, Cast, Piece, Utterance
from finetune.conversation import Conversation, Turn
from finetune.dataset.example import ExampleMessage
from finetune.dataset.paths import Voice, path_to, paths, shown, voices
from finetune.dataset.voices import BREAK
from finetune.message import Kind, Role
from tests.finetune.dataset.dialogues import turn

ANN, BEA, CEM = Called("ann"), Called("bea"), Called("cem")
BEAS, ASSISTANTS = Voice("bea"), Voice(None)


def said(author: str, *pieces: Piece, **more: object) -> Turn:
    return replace(turn("1", author, "", None, **more), pieces=pieces)


def seen(
    turns: Sequence[Turn],
    voice: Voice = BEAS,
    *,
    is_shared: bool = True,
    weights: Sequence[float] = (),
    persona: str = "",
) -> tuple[ExampleMessage, ...]:
    conversation = Conversation("1", "log", "test", "square", tuple(turns), is_shared=is_shared)
    return shown(conversation, turns, voice, weights or [0.0] * len(turns), persona)


def texts(turns: Sequence[Turn], voice: Voice = BEAS, *, is_shared: bool = True) -> list[str]:
    return [message.content for message in seen(turns, voice, is_shared=is_shared)]


def test_paths_lead_from_the_roots_to_what_nobody_answers() -> None:
    parents = [None, 0, 1, 0, None, 3]
    turns = [turn(str(n), "ann", "a", parent) for n, parent in enumerate(parents)]
    assert list(paths(turns)) == [(0, 1, 2), (4,), (0, 3, 5)]
    assert path_to(turns, 1) == (0, 1)


def test_there_is_a_voice_for_each_author_or_one_for_the_assistant() -> None:
    assert voices([turn(str(n), author, "a", None) for n, author in enumerate(("bea", "ann", "bea"))]) == [
        BEAS,
        Voice("ann"),
    ]
    turns = [turn("1", "x", "a", None, role=Role.ASSISTANT), turn("2", "y", "a", None, role=Role.ASSISTANT)]
    assert voices(turns) == [ASSISTANTS]
    assert voices([]) == []


def test_one_speaks_as_the_assistant_and_the_others_carry_tags_in_the_order_of_their_first_words() -> None:
    turns = [said("cem", "hello"), said("bea", "hi"), said("ann", "hey"), said("cem", "well")]
    assert [(m.role, m.content) for m in seen(turns)] == [
        ("user", "[A] hello"),
        ("assistant", "hi"),
        ("user", "[B] hey\n[A] well"),
    ]
    assert texts(turns[:2], is_shared=False) == ["hello", "hi"]


def test_what_serving_says_of_the_same_people_is_the_same_text() -> None:
    turns = [said("ann", " so \n", CEM, "?\n"), said("bea", "ask ", CEM, " \n"), said("cem", "[A] me?  ")]
    served = Cast(is_shared=True).messages(Utterance(None if t.author == "bea" else t.author, t.pieces) for t in turns)
    assert [m.chat_message for m in seen(turns)] == served


def test_each_message_of_a_run_has_its_tag_as_when_serving() -> None:
    run = replace(said("ann", "one", BREAK, "two", BREAK, CEM, " three"), ids=("1", "2", "3"))
    assert texts([run]) == ["[A] one\n[A] two\n[A] [B] three"]
    assert texts([run], is_shared=False) == ["one\ntwo\n[A] three"]
    assert texts([replace(run, ids=("1",))]) == ["[A] one\ntwo\n(B) three"]  # lines of one message


def test_a_tag_that_somebody_types_loses_its_form() -> None:
    turns = [said("ann", "[B] obeys"), said("bea", "[A] I do\n[C] so do I")]
    assert texts(turns) == ["[A] (B) obeys", "(A) I do\n(C) so do I"]
    assert texts(turns, is_shared=False) == ["[B] obeys", "[A] I do\n[C] so do I"]


def test_a_correction_is_typed_and_what_a_model_wrote_is_not() -> None:
    by_person = said("ann", "press [A]", role=Role.ASSISTANT, kind=Kind.CORRECTION)
    by_model = said("", "press [A]", role=Role.ASSISTANT, is_bot=True)
    assert texts([by_person], ASSISTANTS) == ["press (A)"]
    assert texts([by_model], ASSISTANTS) == ["press [A]"]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((ANN, ": try it"), "try it"),
        ((ANN, ", try it"), "try it"),
        ((ANN, " try it"), "try it"),
        ((ANN, ", ", CEM, ": try it"), "try it"),
        (("try it, ", ANN, "!"), "try it, [A]!"),
        (("first this\n", ANN, ": then that"), "first this\nthen that"),
        (("first this\n\n ", CEM, " then that"), "first this\n\n then that"),
        (("so\n", ANN), "so"),
        ((ANN,), ""),
        ((ANN, ": "), ""),
        (("try it",), "try it"),
    ],
)
def test_no_line_of_an_answer_begins_with_a_name(pieces: tuple[Piece, ...], expected: str) -> None:
    turns = [said("ann", "how?"), said("bea", *pieces)]
    content = texts(turns)[1]
    assert content == expected
    cast = Cast(is_shared=True)
    cast.messages([Utterance("ann", ("how?",))])
    assert not any(stop in f"{content}" for stop in cast.stop)
    assert not content.startswith("[")


def test_no_message_of_a_run_begins_with_a_name_either() -> None:
    run = replace(said("bea", "one", BREAK, ANN, ": two"), ids=("1", "2"))
    assert texts([run]) == ["one\ntwo"]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((BEA, ": are you there?"), "are you there?"),
        ((BEA, BEA, " hi"), "hi"),
        (("are you there, ", BEA), "are you there"),
        (("are you there, ", BEA, "?"), "are you there?"),
        (("I asked ", BEA, " about it"), "I asked about it"),
        (("I asked ", BEA, ", ", CEM, " and all"), "I asked , [B] and all"),
        ((BEA,), ""),
        ((CEM, ": ask her"), "[B]: ask her"),
    ],
)
def test_the_model_never_sees_its_own_name(pieces: tuple[Piece, ...], expected: str) -> None:
    assert texts([said("ann", *pieces)]) == [f"[A] {expected}"]


def test_the_assistant_has_no_name_to_be_left_out() -> None:
    turns = [said("ann", BEA, ": hi", role=Role.USER)]
    assert texts(turns, ASSISTANTS) == ["[A] [B]: hi"]


def test_who_is_alone_with_the_model_has_a_tag_only_where_an_answer_names_somebody() -> None:
    plain = [said("ann", "hi ", CEM), said("bea", "hello")]
    assert texts(plain, is_shared=False) == ["hi [A]", "hello"]
    naming = [said("ann", "hi"), said("bea", "hello ", ANN)]
    assert texts(naming, is_shared=False) == ["[A] hi", "hello [A]"]
    addressing = [said("ann", "hi"), said("bea", ANN, ": hello")]
    assert texts(addressing, is_shared=False) == ["hi", "hello"]


@pytest.mark.parametrize(("weights", "expected"), [((1.0, 0.5), 0.5), ((1.0, 0.0), 0.0), ((1.0, 1.0), 1.0)])
def test_what_is_said_in_a_row_counts_as_its_least(weights: tuple[float, ...], expected: float) -> None:
    turns = [said("ann", "a"), said("cem", "b"), said("bea", "c"), said("bea", "d")]
    messages = seen(turns, weights=(0.0, 0.0, *weights))
    assert [(m.content, m.weight) for m in messages] == [("[A] a\n[B] b", 0.0), ("c\nd", expected)]


def test_the_persona_comes_first_unless_the_source_has_one() -> None:
    turns = [said("ann", "a")]
    assert seen(turns, persona="Be kind.")[0] == ExampleMessage("system", "Be kind.")
    rules = [said("x", "Be brief.", role=Role.SYSTEM), *turns, said("x", "Be loud.", role=Role.SYSTEM)]
    assert seen(rules, persona="Be kind.") == (
        ExampleMessage("system", "Be brief.\nBe loud."),
        ExampleMessage("user", "[A] a"),
    )
