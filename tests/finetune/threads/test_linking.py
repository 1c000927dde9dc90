"""Who answers whom."""

from dataclasses import replace

import pytest

from finetune.conversation import LinkKind
from finetune.threads.linking import Link, link
from tests.finetune.threads.chats import chat, said, to


def busy(timed=True):
    """Two conversations at once, from message 10 on, among people who name whom they answer."""
    crowd = ((0, said(f"guest{number}", f"topic{number} is on my mind")) for number in range(10))
    return chat(
        *crowd,
        (1, said("ann", "how do I mount a disk?")),
        (1, said("bob", "which player shows these films?")),
        (1, said("cem", to("ann"), ": which disk is it")),
        (1, said("dan", to("bob"), ": the usual one does")),
        (2, said("ann", to("cem"), ": the second")),
        (2, said("cem", to("ann"), ": then name it in the table")),
        (2, said("bob", to("dan"), ": thanks")),
        timed=timed,
    )


@pytest.mark.parametrize("timed", [True, False])
def test_who_is_named_at_the_start_is_answered(timed):
    links = link(busy(timed))
    assert [found.parent for found in links[10:]] == [None, None, "m10", "m11", "m12", "m14", "m13"]
    assert links[12].kind is LinkKind.ADDRESSED
    assert links[10].kind is LinkKind.ROOT


def test_seconds_make_no_difference():
    messages = busy()
    later = [replace(m, sent_at_ms=m.sent_at_ms + 40_000) for m in messages if m.sent_at_ms is not None]
    assert link(later) == link(messages)


def test_a_reply_is_followed_whatever_the_scorer_thinks():
    messages = busy()
    messages[16] = replace(messages[16], reply_to="m10")
    assert link(messages)[16] == Link("m10", LinkKind.REPLY)


@pytest.mark.parametrize("target", ["elsewhere", "m16", "m15"])
def test_a_reply_to_what_is_not_there_before_it_answers_nothing(target):
    messages = busy()
    messages[15] = replace(messages[15], reply_to=target)
    assert link(messages)[15] == Link(None, LinkKind.ROOT)


def test_a_reply_speaks_to_the_author_of_its_target():
    messages = chat(
        (0, said("ann", "does anybody have a ladder?")),
        (0, said("bob", "the bus is late again")),
        (0, said("cem", "is it the red one?")),
        (0, said("dan", "I have one")),
        (1, said("ann", "how tall is it")),
    )
    messages[3] = replace(messages[3], reply_to="m0")
    assert link(messages)[4].parent == "m3"


def test_two_people_answer_what_was_said_before_until_a_long_pause():
    messages = chat(
        (0, said("ann", "hi")), (50, said("bob", "hello")), (55, said("bob", "you?")), (300, said("ann", "hi"))
    )
    assert link(messages) == [
        Link(None, LinkKind.ROOT),
        Link("m0", LinkKind.INFERRED),
        Link("m1", LinkKind.INFERRED),
        Link(None, LinkKind.ROOT),
    ]


def test_two_people_without_times_never_pause():
    messages = chat(*((n * 500, said("ab"[n % 2], "yes")) for n in range(5)), timed=False)
    assert [found.parent for found in link(messages)] == [None, "m0", "m1", "m2", "m3"]


def test_in_a_quiet_chat_of_few_what_follows_soon_starts_nothing_new():
    pauses = [0, 2, 4, 6, 600, 603, 605]
    messages = chat(*((minute, said("abc"[n % 3], "so it is")) for n, minute in enumerate(pauses)))
    assert [found.parent is None for found in link(messages)] == [True, False, False, False, True, False, False]


def test_an_empty_chat_has_no_links():
    assert link([]) == []


@pytest.mark.parametrize("count", [1, 2, 60])
def test_every_parent_comes_before_its_answer(count):
    messages = chat(*((n / 3, said(f"p{n * n % 7}", f"word{n % 5} and word{n % 3}?")) for n in range(count)))
    for number, found in enumerate(link(messages)):
        assert (found.parent is None) == (found.kind is LinkKind.ROOT)
        assert found.parent is None or int(found.parent[1:]) < number


def test_what_is_said_later_changes_no_link():
    messages = chat(*((n / 3, said(f"p{n * n % 7}", f"word{n % 5}")) for n in range(80)))
    # Words are as rare as the whole chat says; here they are all too common to count.
    assert link(messages)[:40] == link(messages[:40])
