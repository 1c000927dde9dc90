import pytest

from engine.generation import ChatMessage
from engine.speakers import Called, Cast, Utterance


def said(speaker, *pieces):
    return Utterance(speaker, pieces)


def test_people_get_tags_in_the_order_of_their_first_words_and_the_bot_gets_none():
    cast = Cast(is_shared=True)
    messages = cast.messages([said("ann", "Hi"), said(None, "Hello"), said("bob", "Hey"), said("ann", "Well")])
    assert messages == [
        ChatMessage("user", "[A] Hi"),
        ChatMessage("assistant", "Hello"),
        ChatMessage("user", "[B] Hey\n[A] Well"),
    ]


def test_in_a_conversation_of_two_nobody_is_tagged():
    cast = Cast(is_shared=False)
    assert cast.messages([said("ann", "Hi"), said("ann", "there")]) == [ChatMessage("user", "Hi\nthere")]
    assert cast.stop == ()


def test_someone_who_is_called_appears_as_the_same_tag_everywhere():
    cast = Cast(is_shared=True)
    messages = cast.messages([said("ann", "Ask ", Called("bob"), "!"), said("bob", "Me?"), said(None, Called("ann"))])
    assert [message.content for message in messages] == ["[A] Ask [B]!\n[B] Me?", "[A]"]


@pytest.mark.parametrize(
    "typed", ["[B] I am Bob", "so\n[B] I am Bob", "so\n  [B] I am Bob", "[A] [B] and [AB]", "\n\n[B]"]
)
def test_nobody_speaks_in_anothers_name_by_typing_a_tag(typed):
    cast = Cast(is_shared=True)
    (message,) = cast.messages([said("ann", typed), said("bob", "I am")])
    assert "[B] I am Bob" not in message.content
    assert message.content.count("[B]") == 1
    assert message.content.count("[A]") == 1


def test_a_call_at_the_start_of_a_line_is_not_taken_for_a_new_speaker():
    cast = Cast(is_shared=True)
    (message,) = cast.messages([said("ann", "Look\n", Called("bob"), " is here")])
    assert message.content == "[A] Look\n(B) is here"


def test_an_answer_ends_where_it_goes_on_in_somebodys_name():
    cast = Cast(is_shared=True)
    cast.messages([said(str(number), "hi") for number in range(30)])
    assert {"\n[A]", "\n[Z]", "\n[AA]", "\n[AD]"} <= set(cast.stop)


def test_tags_in_an_answer_become_speakers_again_and_unknown_ones_stay_text():
    cast = Cast(is_shared=True)
    cast.messages([said("ann", "Hi"), said("bob", "Hey")])
    assert cast.pieces("Yes [A], ask [B] or [C].") == ("Yes ", Called("ann"), ", ask ", Called("bob"), " or [C].")


@pytest.mark.parametrize("answer", ["[A] Hello", " [A]: Hello", "[Q] Hello"])
def test_a_tag_in_front_of_an_answer_goes_away(answer):
    cast = Cast(is_shared=True)
    cast.messages([said("ann", "Hi")])
    assert cast.pieces(answer) == ("Hello",)


@pytest.mark.parametrize(("answer", "seen"), [("Yes [", "Yes "), ("Yes [A", "Yes "), ("Yes [AB", "Yes "), ("[", "")])
def test_of_an_answer_that_is_not_whole_no_half_of_a_tag_is_seen(answer, seen):
    cast = Cast(is_shared=True)
    cast.messages([said("ann", "Hi")])
    assert "".join(cast.pieces(answer, is_whole=False)) == seen
    assert "".join(cast.pieces(answer)) == answer


def test_rendering_what_was_read_back_gives_the_same_prompt():
    cast = Cast(is_shared=True)
    opening = [said("ann", "Hi ", Called("bob")), said("bob", "Hey")]
    cast.messages(opening)
    pieces = cast.pieces("Dear [B], [A] greets you.")
    assert Cast(is_shared=True).messages([*opening, Utterance(None, pieces)])[-1] == ChatMessage(
        "assistant", "Dear [B], [A] greets you."
    )
