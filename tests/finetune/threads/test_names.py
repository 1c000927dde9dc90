"""Who is called by name, and which names are words."""

import time

import pytest

from engine.speakers import Called, Piece
from finetune.message import SourceMessage
from finetune.threads.names import call_names
from tests.finetune.threads.chats import said

IDLE = "nothing of note here"


def called(text: str, *people: tuple[str, str], before: tuple[SourceMessage, ...] = ()) -> tuple[Piece, ...]:
    """What becomes of a text in a chat where each of `people` (id, name) has said something."""
    present = [said(author, IDLE, name=name) for author, name in people]
    return list(call_names([*present, *before, said("writer", text)]))[-1].pieces


@pytest.mark.parametrize("text", ["bob: try sudo", "Bob: try sudo", "BOB: try sudo"])
def test_a_name_at_the_start_is_found_in_any_case(text):
    assert called(text, ("1", "bob")) == (Called("1"), ": try sudo")


def test_several_names_at_the_start_are_all_found():
    assert called("bob, ann: both of you", ("1", "bob"), ("2", "ann")) == (
        Called("1"),
        ", ",
        Called("2"),
        ": both of you",
    )


def test_a_name_of_two_words_is_found_with_its_at_sign():
    assert called("thanks @Alice Smith", ("7", "Alice Smith")) == ("thanks ", Called("7"))


def test_one_word_of_a_longer_name_is_found_if_it_has_its_capital():
    assert called("ask Alice, not alice", ("7", "Alice Smith")) == ("ask ", Called("7"), ", not alice")


@pytest.mark.parametrize("name", ["|trey|", "Matt|", "[x]^", "c++fan", "Ana 🦊", "(.*)a"])
def test_special_characters_in_a_name_are_taken_as_they_are(name):
    assert called(f"{name}: hello there", ("1", name)) == (Called("1"), ": hello there")


def test_the_longest_name_is_meant():
    people = ("1", "bob"), ("2", "bob the builder")
    assert called("bob the builder: hi", *people) == (Called("2"), ": hi")


def test_a_name_in_the_middle_is_found():
    assert called("I asked zelda99 about it", ("1", "zelda99")) == ("I asked ", Called("1"), " about it")


@pytest.mark.parametrize("text", ["see /home/zelda99/x", "zelda99.example", "zelda99-tools", "me@zelda99x"])
def test_a_name_in_a_path_or_longer_word_is_left(text):
    assert called(text, ("1", "zelda99")) == (text,)


@pytest.mark.parametrize("text", ["carol: are you there?", "note: no such name", "http://bob"])
def test_what_nobody_is_called_is_left(text):
    assert called(text, ("1", "bob")) == (text,)


def test_a_nick_that_is_an_ordinary_word_counts_only_where_somebody_is_spoken_to():
    talk = tuple(said(f"p{number % 7}", "I need help with the thing") for number in range(40))
    assert called("I need help now", ("1", "help"), before=talk) == ("I need help now",)
    assert called("help: try again", ("1", "help"), before=talk) == (Called("1"), ": try again")
    assert called("ask @help about it", ("1", "help"), before=talk) == ("ask ", Called("1"), " about it")


def test_a_name_that_is_said_often_while_its_bearer_is_away_is_a_word():
    away = [said(f"p{number % 7}", "the flannel is soft" if number % 20 == 0 else IDLE) for number in range(600)]
    messages = [said("1", IDLE, name="flannel"), *away, said("w", "soft flannel")]
    assert list(call_names(messages))[-1].pieces == ("soft flannel",)


def test_the_start_of_a_name_stands_for_it_only_if_one_person_around_is_meant():
    assert called("billy: look", ("1", "billytwowilly")) == (Called("1"), ": look")
    assert called("billy: look", ("1", "billytwowilly"), ("2", "billyjoe")) == ("billy: look",)
    assert called("bil: look", ("1", "billytwowilly")) == ("bil: look",)
    assert called("I said billy", ("1", "billytwowilly")) == ("I said billy",)


def test_of_two_people_with_one_name_the_one_who_spoke_last_is_meant():
    assert called("sam: hi", ("1", "sam"), ("2", "sam"))[0] == Called("2")


def test_whom_the_source_knows_to_be_named_stays():
    messages = [said("1", IDLE, name="bob"), said("2", Called("9"), " bob: hi")]
    assert list(call_names(messages))[-1].pieces == (Called("9"), " ", Called("1"), ": hi")


def test_a_message_without_names_is_the_same_object():
    messages = [said("1", IDLE), said("2", IDLE)]
    assert [after is before for after, before in zip(call_names(messages), messages, strict=True)] == [True, True]


def test_an_author_without_a_name_is_never_found():
    assert called("who is there", ("1", "")) == ("who is there",)


def test_many_people_cost_no_more_than_few():
    def seconds(num_people: int) -> float:
        messages = [said(f"nick{n % num_people}x", "some words that name nick5x in passing") for n in range(4000)]
        started = time.perf_counter()
        assert sum(1 for _ in call_names(messages)) == 4000
        return time.perf_counter() - started

    assert seconds(2000) < 20 * seconds(20)  # one expression for each name would take 100 times as long


def called_absent(text: str, name: str, *before: str) -> tuple[Piece, ...]:
    """What becomes of a text in a chat where nobody called `name` speaks, though there is such a person."""
    messages = [said(f"p{number}", other) for number, other in enumerate(before)]
    return list(call_names([*messages, said("writer", text)], {"7": [name]}))[-1].pieces


@pytest.mark.parametrize(
    ("text", "name", "pieces"),
    [
        ("Hazel: try sudo", "Hazel", (Called("7"), ": try sudo")),
        ("I mean Hazel by that", "Hazel", ("I mean ", Called("7"), " by that")),
        ("I mean Hazel by that", "Hazel Grove", ("I mean ", Called("7"), " by that")),
        ("I mean hazel grove by that", "Hazel Grove", ("I mean ", Called("7"), " by that")),
        ("I mean hazel99 by that", "hazel99", ("I mean ", Called("7"), " by that")),
        ("ask @help about it", "help", ("ask ", Called("7"), " about it")),
        ("help: look at this", "help", (Called("7"), ": look at this")),
    ],
)
def test_who_never_speaks_here_is_found_too(text, name, pieces):
    assert called_absent(text, name) == pieces


@pytest.mark.parametrize("name", ["help", "Help", "Help Yourself"])
def test_a_word_is_no_name_of_somebody_who_never_speaks_here(name):
    assert called_absent("I need help now", name, "who can help me", "Help is near") == ("I need help now",)
    assert called_absent("Help is what I need", name, "who can help me") == ("Help is what I need",)


def test_of_two_people_with_one_name_the_one_who_speaks_here_is_meant():
    messages = [said("1", IDLE, name="Sam"), said("w", "Sam: hi")]
    assert list(call_names(messages, {"2": ["Sam"]}))[-1].pieces == (Called("1"), ": hi")


def test_a_person_who_speaks_here_under_another_name_is_found_under_both():
    messages = [said("1", IDLE, name="Hazel"), said("w", "Hazel, or Rowan as you were")]
    assert list(call_names(messages, {"1": ["Hazel", "Rowan"]}))[-1].pieces == (
        Called("1"),
        ", or ",
        Called("1"),
        " as you were",
    )
