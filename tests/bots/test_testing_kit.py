"""The parts that plugin authors test with are as strict as they say."""

import asyncio
import contextlib
import subprocess
import sys
from dataclasses import replace

import pytest

from bots import (
    AdapterClosedError,
    Addressed,
    Button,
    ButtonPressed,
    Caps,
    MessageEdited,
    MessageGoneError,
    MessagesDeleted,
    MessageTooLongError,
    Pace,
    RateLimitedError,
    Reacted,
    ReplyStream,
    UnsupportedError,
)
from bots.outlet import Outlet
from bots.testing import CHAT, FakePlatform, VirtualClock, discord, settle, telegram, unlimited

GO = Button("go", "Go")
QUESTION = "1"


class Journal:
    """Keeps nothing: these replies are not taken up again."""

    async def posting(self, part, nonce): ...
    async def posted(self, part, message_id): ...
    async def unposted(self, part): ...
    async def knows(self, message_id): ...


async def events_of(platform):
    platform.end_input()
    return [event async for event in platform.events()]


async def refused_after(call):
    """For how long a call is refused, and whether everywhere."""
    with pytest.raises(RateLimitedError) as caught:
        await call()
    return caught.value.retry_after_s, caught.value.is_account_wide


# The limits.


async def test_thirty_messages_at_once_to_a_telegram_group_are_twenty_and_a_wait_of_what_is_left_of_the_minute():
    platform = FakePlatform(telegram())
    group = platform.group()
    await platform.send(group, "0")
    await platform.clock.advance(12.5)
    results = await asyncio.gather(*(post_alone(platform, group, str(n)) for n in range(1, 30)))
    waits_s = [result.retry_after_s for result in results if isinstance(result, RateLimitedError)]
    assert len(platform.standing(group)) == 20
    assert waits_s == [pytest.approx(47.5)] * 10
    assert platform.num_refused == 10
    assert platform.refused[0] == ("send", group, pytest.approx(47.5))
    await platform.clock.advance(47.4)
    assert await refused_after(lambda: platform.send(group, "too early")) == (pytest.approx(0.1), False)
    await platform.clock.advance(0.1)
    await platform.send(group, "in time")
    assert (await refused_after(lambda: platform.send(group, "one more")))[0] == pytest.approx(12.5)


async def post_alone(platform, chat, text):
    try:
        return await platform.send(chat, text)
    except RateLimitedError as exc:
        return exc


async def test_who_waits_as_long_as_they_were_told_is_never_refused_again():
    platform = FakePlatform(telegram())
    chat = platform.private_chat(platform.ann)
    await platform.clock.advance(0.1234567)
    for number in range(50):
        await platform.send(chat, str(number))
        wait_s, _ = await refused_after(lambda: platform.send(chat, "too early"))
        await platform.clock.advance(wait_s)


async def test_a_telegram_group_counts_edits_typing_and_notices_in_all_its_threads_and_a_private_chat_no_typing():
    platform = FakePlatform(telegram())
    one, two = platform.group("g", "1"), platform.group("g", "2")
    message = await platform.send(one, "x")
    for _ in range(9):
        await platform.typing(two)
        await platform.edit(one, message, "y")
    await platform.notice(two, "z")
    for call in (lambda: platform.typing(one), lambda: platform.send(two, "no")):
        assert await refused_after(call) == (60.0, False)
    await platform.send(platform.group("another"), "yes")
    private = platform.private_chat(platform.bob)
    for _ in range(5):
        await platform.typing(private)
    await platform.send(private, "yes")


async def test_a_discord_channel_takes_five_calls_in_five_seconds_and_each_of_its_threads_as_many():
    platform = FakePlatform(discord())
    for chat in (platform.group("c"), platform.group("c", "thread"), platform.private_chat(platform.ann)):
        for number in range(5):
            await platform.send(chat, str(number))
        assert await refused_after(lambda chat=chat: platform.send(chat, "6")) == (5.0, False)


async def test_an_account_has_a_limit_over_all_its_chats():
    platform = FakePlatform(discord())
    for number in range(50):
        await platform.send(platform.group(f"{number}"), "x")
    assert await refused_after(lambda: platform.typing(platform.group("another"))) == (1.0, True)


async def test_drafts_have_a_limit_of_their_own():
    platform = FakePlatform(telegram())
    chat = platform.private_chat(platform.ann)
    await platform.draft(chat, "a")
    await platform.draft(chat, "ab")
    assert (await refused_after(lambda: platform.draft(chat, "abc")))[0] == 1.0
    await platform.send(chat, "abc")


async def test_a_platform_without_limits_and_one_that_is_not_strict_take_everything():
    for profile in (unlimited(Caps(pace=Pace(1, 60.0))), replace(telegram(), is_strict=False)):
        platform = FakePlatform(profile)
        for number in range(200):
            await platform.send(platform.chat, str(number))
        assert platform.num_refused == 0


@pytest.mark.parametrize(("profile", "limit"), [(discord(), 2000), (telegram(), 4096)])
async def test_a_text_that_is_too_long_is_refused_and_not_shown(profile, limit):
    platform = FakePlatform(replace(profile, is_strict=False))
    message = await platform.send(platform.chat, "x" * limit)
    for call in (
        lambda text: platform.send(platform.chat, text),
        lambda text: platform.notice(platform.chat, text),
        lambda text: platform.edit(platform.chat, message, text),
    ):
        with pytest.raises(MessageTooLongError) as caught:
            await call("y" * (limit + 1))
        assert (caught.value.length, caught.value.limit) == (limit + 1, limit)
    assert platform.seen() == ["x" * limit]


async def test_telegram_counts_in_utf16_units():
    platform = FakePlatform(telegram())
    await platform.send(platform.group("a"), "🙂" * 2048)
    with pytest.raises(MessageTooLongError):
        await platform.send(platform.group("b"), "🙂" * 2048 + "x")


# What is still there.


async def test_what_is_gone_or_too_old_or_was_never_there_cannot_be_changed():
    platform = FakePlatform(discord())
    room = platform.group()
    deleted, old = await platform.send(room, "deleted"), await platform.send(room, "old")
    await platform.delete(room, deleted)
    await platform.clock.advance(3600.0)
    await platform.edit(room, old, "an hour old")
    platform.delete_message(platform.standing(room)[0])
    last = await platform.send(room, "last")
    await platform.clock.advance(3600.1)
    for message in (deleted, old, last, "999999999"):
        with pytest.raises(MessageGoneError):
            await platform.edit(room, message, "new")
    await platform.delete(room, deleted)
    assert platform.seen(room) == ["last"]


async def test_a_chat_whose_messages_cannot_be_changed_says_so():
    platform = FakePlatform()
    with pytest.raises(MessageGoneError):
        await platform.edit(CHAT, await platform.send(CHAT, "a"), "b")


async def test_a_nonce_makes_no_second_message_for_as_long_as_it_lives():
    platform = FakePlatform(discord())
    first = await platform.send(platform.chat, "a", nonce="n")
    await platform.clock.advance(180.0)
    assert await platform.send(platform.chat, "a", nonce="n") == first
    await platform.clock.advance(0.1)
    assert await platform.send(platform.chat, "a", nonce="n") != first
    assert await platform.send(platform.chat, "a", nonce="other") != first
    assert platform.seen() == ["a", "a", "a"]


async def test_telegram_knows_no_nonces_and_shows_bots_no_history_and_discord_does():
    for profile, num_messages in ((telegram(), 2), (discord(), 1)):
        platform = FakePlatform(profile)
        for _ in range(2):
            message = await platform.send(platform.chat, "a", nonce="n")
            await platform.clock.advance(1.0)
        assert len(platform.seen()) == num_messages
        found = await platform.answers_after(platform.chat, "0", "a")
        assert found == ([message] if profile.shows_history else [])


async def test_a_draft_is_seen_until_it_is_replaced_or_dismissed_or_fades():
    platform = FakePlatform(telegram())
    chat = platform.private_chat(platform.ann)
    await platform.draft(chat, "one")
    await platform.draft(chat, "one two")
    assert platform.seen(chat) == ["one two"]
    await platform.clock.advance(29.9)
    assert platform.draft_in(chat) == "one two"
    await platform.clock.advance(0.1)
    assert platform.draft_in(chat) is None
    await platform.draft(chat, "again")
    await platform.send(chat, "whole")
    assert platform.seen(chat) == ["whole"]
    await platform.draft(chat, "next")
    await platform.clock.advance(1.0)
    await platform.notice(chat, "By the way")
    assert platform.seen(chat) == ["whole", "By the way"]


async def test_a_chat_without_drafts_shows_none():
    platform = FakePlatform(discord())
    await platform.draft(platform.chat, "a")
    assert platform.seen() == platform.shown == []


# What a bot must never do.


async def test_two_calls_of_an_answer_to_one_chat_at_once_fail_the_test_even_if_the_bot_catches_that():
    platform = FakePlatform(Caps(can_edit=True))
    platform.latency_s = 0.5
    with pytest.raises(AssertionError, match="a call of send while send was under way in memory/bot/room"):
        async with platform:
            calls = [asyncio.ensure_future(platform.send(chat, "x")) for chat in (CHAT, CHAT, platform.group())]
            await settle()
            await platform.clock.advance(0.5)
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [isinstance(result, AssertionError) for result in results] == [False, True, False]


async def test_empty_texts_and_messages_of_other_chats_fail_the_test():
    platform = FakePlatform(Caps(can_edit=True))
    message = await platform.send(CHAT, "x")
    calls = [
        lambda: platform.send(CHAT, " "),
        lambda: platform.notice(CHAT, ""),
        lambda: platform.edit(CHAT, message, "\n"),
        lambda: platform.edit(platform.group(), message, "y"),
        lambda: platform.delete(platform.group(), message),
    ]
    for call in calls:
        with pytest.raises(AssertionError):
            await call()
    assert len(platform.violations) == len(calls)
    assert platform.seen() == ["x"]


# What people do, and other things that happen.


async def test_people_do_in_private_and_in_groups_what_a_bot_hears_of():
    platform = FakePlatform(discord())
    cleo = platform.person("Cleo")
    assert cleo == platform.person("Cleo")
    assert cleo.id not in {platform.ann.id, platform.bob.id}
    private, group = platform.private_chat(cleo), platform.group("g", "thread")
    await platform.send(group, "a", buttons=[GO])
    (post,) = platform.posted
    said = [
        platform.say("in private", private),
        platform.say("in public", group, author=cleo),
        platform.say("/help", group),
        platform.say("not to the bot", group, frozenset()),
        platform.say("here", attachments=[platform.attach("a.txt", b"words")]),
    ]
    platform.edit_message(said[0], "changed")
    platform.delete_message(said[1])
    press = platform.press(post, GO, cleo)
    platform.react(post, -1)
    *messages, edited, deleted, pressed, reacted = await events_of(platform)
    assert messages == said
    assert [set(message.addressed) for message in messages] == [
        {Addressed.DIRECT},
        {Addressed.MENTION},
        {Addressed.COMMAND},
        set(),
        {Addressed.DIRECT},
    ]
    assert [message.is_private for message in messages] == [True, False, False, False, True]
    assert [message.author.name for message in messages] == ["Cleo", "Cleo", "Ann", "Ann", "Ann"]
    assert await platform.read(messages[-1].segments[-1], 3) == b"wor"
    assert isinstance(edited, MessageEdited)
    assert (edited.id, edited.segments[0].text) == (said[0].id, "changed")
    assert isinstance(deleted, MessagesDeleted)
    assert deleted.ids == (said[1].id,)
    assert isinstance(pressed, ButtonPressed)
    assert (pressed.button, pressed.user, pressed.id) == ("go", cleo, post.id)
    assert isinstance(reacted, Reacted)
    assert (reacted.score, reacted.user, reacted.chat) == (-1, platform.ann, group)
    assert platform.untold_presses == [press]
    await platform.tell(pressed, "Gone.")
    assert platform.untold_presses == []
    assert platform.told == [(cleo, "Gone.")]


async def test_telegram_tells_nobody_of_deletions_but_they_happen():
    platform = FakePlatform(telegram())
    message = await platform.send(platform.chat, "x")
    platform.delete_message(platform.posted[0])
    await platform.clock.advance(1.0)
    with pytest.raises(MessageGoneError):
        await platform.edit(platform.chat, message, "y")
    assert await events_of(platform) == []


async def test_people_decide_in_their_private_chat_and_moderators_in_groups():
    platform = FakePlatform(telegram())
    group = platform.group()
    platform.moderators.add(platform.bob)
    assert await platform.is_moderator(platform.private_chat(platform.ann), platform.ann)
    assert not await platform.is_moderator(group, platform.ann)
    assert await platform.is_moderator(group, platform.bob)


async def test_a_file_is_handed_over_where_nobody_else_sees_it():
    platform = FakePlatform(telegram())
    chat = platform.private_chat(platform.ann)
    await platform.hand_over(chat, "all.json", b"{}", reply_to=QUESTION)
    with pytest.raises(UnsupportedError):
        await platform.hand_over(platform.group(), "all.json", b"{}", reply_to=QUESTION)
    assert [(file.chat, file.name, file.data, file.reply_to) for file in platform.handed] == [
        (chat, "all.json", b"{}", QUESTION)
    ]


async def test_a_fault_befalls_one_call_of_its_kind():
    platform = FakePlatform()
    platform.faults["send"].append(RateLimitedError(3.0))
    platform.faults["lost"].append(RateLimitedError(4.0))
    assert (await refused_after(lambda: platform.send(CHAT, "a")))[0] == 3.0
    assert platform.seen() == []
    assert (await refused_after(lambda: platform.send(CHAT, "a", nonce="n")))[0] == 4.0
    await platform.send(CHAT, "a", nonce="n")
    assert platform.seen() == ["a"]
    assert platform.num_refused == 0


async def test_a_platform_is_as_it_was_when_a_bot_comes_back():
    platform = FakePlatform()
    async with platform:
        await platform.send(CHAT, "before")
        platform.say("first")
        reading = platform.events()
        await anext(reading)
    assert [event async for event in reading] == []
    with pytest.raises(AdapterClosedError):
        await platform.send(CHAT, "too late")
    platform.say("while nobody was there")
    async with platform:
        await platform.send(CHAT, "after")
        assert [event.text for event in await events_of(platform)] == ["while nobody was there"]
    assert platform.seen() == ["before", "after"]


# The clock.


async def test_time_goes_from_one_sleeper_to_the_next():
    clock, woken = VirtualClock(), []

    async def tick(interval_s):
        while True:
            await clock.sleep(interval_s)
            woken.append((interval_s, clock.clock() - start_s))

    start_s = clock.clock()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(tick(interval_s)) for interval_s in (2.0, 3.0)]
        await settle()
        await clock.advance(7.0)
        assert woken == [(2.0, 2.0), (3.0, 3.0), (2.0, 4.0), (3.0, 6.0), (2.0, 6.0)]
        assert clock.clock() == start_s + 7.0
        await clock.run_until(lambda: len(woken) == 6)
        assert woken[-1] == (2.0, 8.0)
        assert clock.clock() == start_s + 8.0
        for task in tasks:
            task.cancel()


async def test_time_waits_for_what_takes_real_time():
    clock, order = VirtualClock(), []

    async def work():
        for number in range(3):
            await asyncio.to_thread(take_a_moment)
            order.append(number)
            await clock.sleep(1.0)

    async def alarm():
        await clock.sleep(3600.0)
        order.append("alarm")

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(alarm())
        await clock.run_until(lambda: "alarm" in order, limit_s=4000.0)
    assert order == [0, 1, 2, "alarm"]


def take_a_moment():
    """Something that takes a moment outside the loop, as a database does."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", ""], check=True, timeout=0.002)


async def test_what_does_not_come_true_fails_with_who_waits():
    clock = VirtualClock()

    async def sleep_long():
        await clock.sleep(3600.0)

    start_s = clock.clock()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sleep_long(), name="sleeper")
        with pytest.raises(AssertionError, match=r"within 60 virtual .* 1 asleep, the next for 3600 s; .*sleep_long"):
            await clock.run_until(lambda: False, limit_s=60.0)
        task.cancel()
    assert clock.clock() == start_s


async def test_a_sleep_shorter_than_rounding_ends_all_the_same():
    clock = VirtualClock()
    await asyncio.gather(clock.sleep(1e-12), clock.advance(1e-9))


# Our own way out, which keeps to all of this.

WORDS = "Every word of this long answer is shown once and in order. "
ANSWER = "".join(f"{number}: {WORDS}" for number in range(200))


@pytest.mark.parametrize("latency_s", [0.0, 0.3])
@pytest.mark.parametrize("place", ["private", "group"])
@pytest.mark.parametrize("profile", [discord(), telegram()], ids=lambda profile: profile.platform)
async def test_long_streamed_answers_never_reach_a_limit(profile, place, latency_s):
    platform = FakePlatform(profile)
    platform.latency_s = latency_s
    if place == "private":
        chats = [platform.private_chat(platform.person(f"person {number}")) for number in range(3)]
    else:
        chats = [platform.group("a"), platform.group("b", "1"), platform.group("b", "2")]
    clock = platform.clock
    outlet = Outlet(platform, clock=clock.clock, sleep=clock.sleep)

    async def answer(chat):
        async with ReplyStream.open(outlet, chat, Journal(), question=QUESTION) as reply:
            await clock.sleep(8.0)  # for the typing
            for start in range(0, len(ANSWER), 40):
                reply.push(ANSWER[start : start + 40])
                await clock.sleep(0.15)
            await reply.finish([GO])

    async with platform, asyncio.TaskGroup() as group:
        tasks = [group.create_task(answer(chat)) for chat in chats]
        await settle()
        for _ in range(400):
            await clock.advance(1.0)
        assert all(task.done() for task in tasks)
        assert platform.num_refused == 0, platform.refused
        for chat in chats:
            assert " ".join(platform.seen(chat)).split() == ANSWER.split()
            assert [bool(post.buttons) for post in platform.standing(chat)][-2:] == [False, True]
            kind = "draft" if platform.caps(chat).draft_interval_s else "edit"
            assert len(platform.texts(kind, chat)) > 2
        assert "typing" in {kind for kind, _, _ in platform.shown}


def test_the_kit_loads_neither_pytest_nor_a_platform_s_library():
    code = "import sys, bots.testing; print(*{'pytest', 'discord', 'telegram', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split() == []
