import asyncio
import contextlib
from dataclasses import replace

import pytest

from bots import Button, Caps, ForbiddenError, MessageTooLongError, RateLimitedError, ReplyStream, UnreachableError
from bots.buttons import RETRY, STOP
from bots.errors import BotError, MessageGoneError, UnsupportedError
from bots.outlet import GIVE_UP_AFTER_S, Outlet
from bots.posts import Post
from bots.replystream import REFUSED_PAUSE_S
from bots.testing import CHAT, FakePlatform, VirtualClock, settle, unlimited

EDITS = Caps(can_edit=True, max_length=100, has_buttons=True)
AFTER = (RETRY, Button("good", "Good"))


class Journal:
    """What the log would hold: by part, the nonce and the message's id."""

    def __init__(self, posts=()):
        self.posts = {part: (post.nonce, post.id) for part, post in enumerate(posts)}

    async def posting(self, part, nonce):
        self.posts[part] = (nonce, None)

    async def posted(self, part, message_id):
        self.posts[part] = (self.posts[part][0], message_id)

    async def unposted(self, part):
        del self.posts[part]

    async def knows(self, message_id):
        return message_id in [known for _, known in self.posts.values()]


@pytest.fixture
def time():
    return VirtualClock()


@contextlib.asynccontextmanager
async def open_stream(adapter, time, journal=None, **options):
    outlet = Outlet(adapter, clock=time.clock, sleep=time.sleep)
    journal = journal or Journal(options.get("posts", ()))
    async with ReplyStream.open(outlet, CHAT, journal, **options) as reply:
        await settle()
        yield reply


def shown(adapter):
    return [(kind, text) for kind, _, text in adapter.shown]


async def test_the_first_words_are_drafted_at_once_and_the_rest_at_the_interval(time):
    adapter = FakePlatform(Caps(draft_interval_s=2.0))
    async with open_stream(adapter, time) as reply:
        reply.push("One")
        await settle()
        assert adapter.texts("draft") == ["One"]
        reply.push(" two")
        await time.advance(1.9)
        assert adapter.texts("draft") == ["One"]
        reply.push(" three")
        await time.advance(0.1)
        assert adapter.texts("draft") == ["One", "One two three"]


async def test_only_one_draft_is_under_way_and_the_newest_text_wins(time):
    adapter = FakePlatform()
    adapter.draft_gate.clear()
    async with open_stream(adapter, time) as reply:
        for piece in ("a", "b", "c", "d"):
            reply.push(piece)
            await settle()
        adapter.draft_gate.set()
        await settle()
        assert adapter.texts("draft") == ["a", "abcd"]


async def test_a_text_that_looks_the_same_is_not_drafted_again(time):
    adapter = FakePlatform()
    async with open_stream(adapter, time) as reply:
        for piece in ("word", " ", "\n"):
            reply.push(piece)
            await settle()
        assert adapter.texts("draft") == ["word"]


async def test_a_chat_without_drafts_gets_the_reply_alone(time):
    adapter = FakePlatform(Caps(draft_interval_s=None))
    async with open_stream(adapter, time) as reply:
        reply.push("words")
        await settle()
        await reply.finish()
    assert [(kind, text) for kind, _, text in adapter.shown] == [("send", "words")]


async def test_finish_waits_for_the_draft_under_way_and_nothing_is_drafted_after_it(time):
    adapter = FakePlatform()
    adapter.draft_gate.clear()
    async with open_stream(adapter, time) as reply, asyncio.TaskGroup() as group:
        reply.push("half")
        await settle()
        finishing = group.create_task(reply.finish())
        reply.push(" whole")
        await settle()
        assert not finishing.done()
        adapter.draft_gate.set()
    assert [(kind, text) for kind, _, text in adapter.shown] == [("draft", "half"), ("send", "half whole")]


async def test_the_final_text_is_sent_until_it_is_accepted(time):
    adapter = FakePlatform()
    adapter.faults["send"].extend([RateLimitedError(3.0), RateLimitedError(7.0)])
    async with open_stream(adapter, time) as reply, asyncio.TaskGroup() as group:
        reply.push("precious")
        finishing = group.create_task(reply.finish())
        await settle()
        await time.advance(3.0)
        await settle()
        await time.advance(6.9)
        assert adapter.texts("send") == []
        await time.advance(0.1)
        assert len(finishing.result()) == 1
    assert adapter.texts("send") == ["precious"]


async def test_a_refused_draft_is_tried_again_when_the_platform_allows_it(time):
    adapter = FakePlatform(Caps(draft_interval_s=1.0))
    adapter.faults["draft"].append(RateLimitedError(5.0))
    async with open_stream(adapter, time) as reply:
        reply.push("words")
        await settle()
        await time.advance(4.9)
        assert adapter.texts("draft") == []
        await time.advance(0.1)
        assert adapter.texts("draft") == ["words"]


async def test_a_draft_that_fails_costs_nothing_but_itself(time):
    adapter = FakePlatform()
    adapter.faults["draft"].append(BotError("not today"))
    async with open_stream(adapter, time) as reply:
        reply.push("one")
        await settle()
        reply.push(" two")
        await time.advance(REFUSED_PAUSE_S)
        await reply.finish()
    assert [(kind, text) for kind, _, text in adapter.shown] == [("draft", "one two"), ("send", "one two")]


async def test_a_hint_is_shown_until_there_is_text_and_is_no_part_of_the_reply(time):
    adapter = FakePlatform()
    async with open_stream(adapter, time) as reply:
        reply.hint("number 2")
        await settle()
        reply.push("Hello")
        await settle()
        reply.hint("number 1")
        await settle()
        await reply.finish()
    assert [(kind, text) for kind, _, text in adapter.shown] == [
        ("draft", "number 2"),
        ("draft", "Hello"),
        ("send", "Hello"),
    ]


async def test_an_empty_reply_is_not_posted(time):
    adapter = FakePlatform()
    async with open_stream(adapter, time) as reply:
        reply.push(" \n")
        assert await reply.finish() == ()
    assert adapter.shown == []


async def test_leaving_without_finish_gives_the_reply_up_and_lets_the_error_through(time):
    adapter = FakePlatform()
    adapter.draft_gate.clear()
    with pytest.raises(ZeroDivisionError):
        async with open_stream(adapter, time) as reply:
            reply.push("half")
            await settle()
            raise ZeroDivisionError
    adapter.draft_gate.set()
    await settle()
    assert adapter.shown == []
    assert adapter.num_drafts_under_way == 0
    assert await reply.finish() == ()


async def test_a_refusal_for_good_reaches_the_caller(time):
    adapter = FakePlatform(EDITS)
    adapter.faults["send"].append(ForbiddenError("blocked"))
    async with open_stream(adapter, time) as reply:
        reply.push("words")
        with pytest.raises(ForbiddenError):
            await reply.finish()


async def test_a_short_reply_is_posted_once_and_whole(time):
    adapter = FakePlatform(EDITS)
    async with open_stream(adapter, time, question="7") as reply:
        for piece in ("Hello", " you"):
            reply.push(piece)
            await time.advance(0.4)
        await reply.finish(AFTER)
    (post,) = adapter.standing()
    assert shown(adapter) == [("send", "Hello you")]
    assert (post.reply_to, post.buttons) == ("7", AFTER)


async def test_a_long_one_grows_in_its_message_with_a_button_to_stop_it(time):
    adapter = FakePlatform(EDITS)
    async with open_stream(adapter, time) as reply:
        reply.push("Once")
        await time.advance(1.0)
        (post,) = adapter.posted
        assert post.buttons == (STOP,)
        reply.push(" upon")
        await settle()
        reply.push(" a time")
        await reply.finish(AFTER)
        assert post.buttons == AFTER
    assert shown(adapter) == [("send", "Once"), ("edit", "Once upon"), ("edit", "Once upon a time")]


async def test_a_reply_that_outgrows_a_message_goes_on_in_the_next_one(time):
    adapter, journal = FakePlatform(EDITS), Journal()
    text = " ".join(f"Sentence number {number} is here." for number in range(10))
    async with open_stream(adapter, time, journal, question="7") as reply:
        for start in range(0, len(text), 20):
            reply.push(text[start : start + 20])
            await time.advance(1.0)
        await reply.finish(AFTER)
    posts = adapter.standing()
    assert " ".join(post.text for post in posts) == text
    assert all(len(post.text) <= 100 for post in posts)
    assert [post.buttons for post in posts] == [()] * (len(posts) - 1) + [AFTER]
    assert [post.reply_to for post in posts] == ["7"] + [None] * (len(posts) - 1)
    assert journal.posts == {part: (post.nonce, post.id) for part, post in enumerate(posts)}


async def test_full_parts_of_a_drafted_reply_become_messages_before_it_ends(time):
    adapter = FakePlatform(Caps(draft_interval_s=0.0, can_edit=True, max_length=100))
    text = "A word. " * 20
    async with open_stream(adapter, time) as reply:
        reply.push(text)
        await settle()
        assert len(adapter.posted) == 1
        assert adapter.texts("draft")
        await reply.finish()
    assert " ".join(post.text for post in adapter.standing()) == text.strip()


async def test_a_chat_that_takes_no_drafts_after_all_gets_edits(time):
    adapter = FakePlatform(Caps(draft_interval_s=0.5, can_edit=True))
    adapter.faults["draft"].append(UnsupportedError("no drafts here"))
    async with open_stream(adapter, time) as reply:
        reply.push("One")
        await time.advance(1.0)
        reply.push(" two")
        await settle()
        await reply.finish()
    assert shown(adapter) == [("send", "One"), ("edit", "One two")]


async def test_typing_is_shown_until_there_is_text(time):
    adapter = FakePlatform(Caps(draft_interval_s=0.0, typing_s=5.0))
    async with open_stream(adapter, time) as reply:
        await settle()
        await time.advance(4.0)
        await time.advance(4.0)
        assert len(adapter.texts("typing")) == 3
        reply.push(" ")
        await settle()
        reply.push("words")
        await settle()
        num_typed = len(adapter.texts("typing"))
        await time.advance(20.0)
        assert len(adapter.texts("typing")) == num_typed
        await reply.finish()


async def test_a_lost_acknowledgement_does_not_double_a_message_where_nonces_are_known(time):
    adapter = FakePlatform(replace(EDITS, edit_lifetime_s=3000.0))
    adapter.faults["lost"].append(UnreachableError("reset"))
    async with open_stream(adapter, time) as reply, asyncio.TaskGroup() as group:
        reply.push("Once")
        await time.advance(1.0)
        reply.push(" upon a time")
        finishing = group.create_task(reply.finish())
        while not finishing.done():
            await time.advance(1.0)
    assert [post.text for post in adapter.standing()] == ["Once upon a time"]


async def test_a_message_that_was_deleted_meanwhile_is_sent_anew_with_those_after_it(time):
    adapter, journal = FakePlatform(EDITS), Journal()
    async with open_stream(adapter, time, journal) as reply:
        reply.push("A word. " * 20)
        await time.advance(1.0)
        await settle()
        assert len(adapter.posted) == 2
        adapter.posted[1].is_deleted = True
        await reply.finish(AFTER)
    assert " ".join(post.text for post in adapter.standing()) == ("A word. " * 20).strip()
    assert [post.id for post in adapter.standing()] == [post_id for _, post_id in journal.posts.values()]


async def test_a_message_too_old_to_be_edited_makes_way_for_a_new_one(time):
    adapter = FakePlatform(Caps(can_edit=True, edit_lifetime_s=3000.0))
    async with open_stream(adapter, time) as reply:
        reply.push("Slow")
        await time.advance(1.0)
        await time.advance(3001.0)
        reply.push(" and steady")
        await settle()
        await reply.finish()
    assert [post.text for post in adapter.standing()] == ["Slow and steady"]
    assert len(adapter.posted) == 2


async def test_messages_of_an_earlier_run_are_edited_instead_of_new_ones_being_sent(time):
    adapter = FakePlatform(EDITS)
    first = await adapter.send(CHAT, "Half of", nonce="n1")
    second = await adapter.send(CHAT, "more than is needed", nonce="n2")
    async with open_stream(adapter, time, posts=[Post(first, "n1"), Post(second, "n2")]) as reply:
        reply.push("Half of what I had to say.")
        await reply.finish(AFTER)
    assert [post.text for post in adapter.standing()] == ["Half of what I had to say."]
    assert adapter.posted[0].id == adapter.standing()[0].id


async def test_a_message_of_which_nobody_knows_whether_it_arrived_is_sent_with_the_same_nonce(time):
    adapter = FakePlatform(EDITS)
    await adapter.send(CHAT, "Half of", nonce="n1")
    async with open_stream(adapter, time, posts=[Post(None, "n1")]) as reply:
        reply.push("Half of what I had to say.")
        await reply.finish()
    assert [post.text for post in adapter.standing()] == ["Half of what I had to say."]


async def test_a_platform_that_counts_otherwise_than_we_do_gets_smaller_parts(time):
    adapter = FakePlatform(Caps(can_edit=True, max_length=1000))
    adapter.faults["send"].extend([MessageTooLongError(900, 700), MessageTooLongError(700, 700)])
    text = "A word. " * 110
    async with open_stream(adapter, time) as reply:
        reply.push(text)
        await reply.finish()
    assert " ".join(post.text for post in adapter.standing()) == text.strip()
    assert len(adapter.standing()) == 2


async def test_a_platform_that_stays_silent_is_given_up_in_the_end(time):
    adapter = FakePlatform(EDITS)
    adapter.faults["send"].extend([UnreachableError("down", may_be_done=False)] * 10000)
    async with open_stream(adapter, time) as reply:
        reply.push("words")
        started_s = time.now_s
        finishing = asyncio.ensure_future(reply.finish())
        while not finishing.done():
            await time.advance(600.0)
        with pytest.raises(UnreachableError):
            await finishing
    assert GIVE_UP_AFTER_S < time.now_s - started_s < 2 * GIVE_UP_AFTER_S


async def test_what_may_fail_is_left_alone_for_a_while_after_it_failed(time):
    adapter = FakePlatform(EDITS)
    async with open_stream(adapter, time) as reply:
        reply.push("One")
        await time.advance(1.0)
        adapter.faults["edit"].append(UnreachableError("reset"))
        reply.push(" two")
        await settle()
        reply.push(" three")
        await time.advance(4.0)
        assert adapter.texts("edit") == []
        await time.advance(1.0)
        assert adapter.texts("edit") == ["One two three"]
        await reply.finish()


async def test_an_edit_of_a_message_that_is_gone_while_the_reply_grows_posts_it_anew(time):
    adapter = FakePlatform(EDITS)
    async with open_stream(adapter, time) as reply:
        reply.push("One")
        await time.advance(1.0)
        adapter.faults["edit"].append(MessageGoneError("gone"))
        reply.push(" two")
        await settle()
        await reply.finish()
    assert adapter.standing()[-1].text == "One two"
    assert len(adapter.standing()) == 1


async def test_a_draft_that_would_fade_is_shown_again(time):
    adapter = FakePlatform(Caps(draft_interval_s=0.5, draft_lifetime_s=20.0))
    async with open_stream(adapter, time) as reply:
        reply.hint("number 2 in the queue")
        await settle()
        await time.advance(0.5)
        await time.advance(19.0)
        assert len(adapter.texts("draft")) == 1
        await time.advance(1.0)
        assert adapter.texts("draft") == ["number 2 in the queue"] * 2


async def test_a_message_that_may_have_arrived_too_long_ago_for_its_nonce_is_looked_for(time):
    adapter = FakePlatform(unlimited(replace(EDITS, nonce_lifetime_s=60.0), knows_nonces=False))
    asked = adapter.say("question")
    await adapter.send(CHAT, "something else")
    await adapter.send(CHAT, "Half of", nonce="n1", buttons=[STOP])
    async with open_stream(adapter, time, posts=[Post(None, "n1")], question=asked.id) as reply:
        reply.push("Half of what I had to say.")
        await reply.finish(AFTER)
    assert [post.text for post in adapter.standing()] == ["something else", "Half of what I had to say."]
