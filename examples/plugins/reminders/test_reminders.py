"""What people get from the plugin reminders."""

from pathlib import Path

import pytest
import pytest_asyncio

FOLDER = Path(__file__).parent.parent

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def stage(bot_with):
    return await bot_with(
        "reminders", folder=FOLDER, config={"most_per_person": 3, "most_characters": 30, "look_every_s": 30}
    )


async def test_a_reminder_comes_when_it_is_due_and_once(stage):
    told = await stage.say("/remind 10m tea is ready")
    assert told == "I will remind you on 2030-01-01 at 12:10:00 UTC; /unremind 1 cancels it."
    assert await stage.advance(9 * 60) == ""
    assert await stage.advance(60) == "Ann, I was to remind you: tea is ready"
    assert await stage.advance(3600) == ""
    assert await stage.say("/reminders") == "There is nothing that I am to remind you of in this chat."


async def test_arguments_may_come_by_name_as_from_a_slash_command(stage):
    assert "13:30:00" in await stage.say('/remind in:"1h30m" text:"tea"')


@pytest.mark.parametrize("when", ["soon", "10", "0s", "m", "-5m", "m10"])
async def test_a_time_that_is_none_is_explained(stage, when):
    assert "30s, 10m, 1h30m or 2d" in await stage.say(f"/remind {when} tea")


async def test_a_reminder_survives_a_restart_and_comes_late_if_need_be(stage):
    await stage.say("/remind 2m tea")
    await stage.say("/remind 3h dinner")
    await stage.restart(off_s=3600)
    assert await stage.advance(30) == "Ann, I was to remind you: tea"
    assert await stage.advance(2 * 3600) == "Ann, I was to remind you: dinner"


async def test_each_chat_and_each_person_has_a_list_of_their_own(stage):
    group, bob = stage.platform.group(), stage.platform.bob
    await stage.say("/remind 1h tea")
    await stage.say("/remind 2h coffee", group)
    await stage.say("/remind 3h cake", group, bob)
    assert await stage.say("/reminders") == "1: 2030-01-01 13:00:00, tea"
    assert await stage.say("/reminders", group) == "2: 2030-01-01 14:00:00, coffee"
    assert await stage.say("/reminders", group, bob) == "1: 2030-01-01 15:00:00, cake"
    assert await stage.advance(3 * 3600) == (
        "Ann, I was to remind you: tea\nAnn, I was to remind you: coffee\nBob, I was to remind you: cake"
    )
    assert [post.text for post in stage.platform.standing()] == ["Ann, I was to remind you: tea"]


async def test_what_was_cancelled_does_not_come_and_its_number_is_free_again(stage):
    await stage.say("/remind 1m tea")
    await stage.say("/remind 2m coffee")
    assert "no reminder 1" in await stage.say("/unremind 1", stage.platform.group())
    assert "no reminder 1" in await stage.say("/unremind 1", author=stage.platform.bob)
    assert await stage.say("/unremind 1") == "I will not remind you of this: tea"
    assert "/unremind 1" in await stage.say("/remind 3m cake")
    assert await stage.advance(600) == "Ann, I was to remind you: coffee\nAnn, I was to remind you: cake"


async def test_there_are_limits(stage):
    assert "too far away" in await stage.say("/remind 400d tea")
    assert "too long" in await stage.say(f"/remind 1h {'tea ' * 10}")
    for _ in range(3):
        await stage.say("/remind 1h tea")
    assert "You have 3 reminders already" in await stage.say("/remind 1h tea")
    assert "I will remind you" in await stage.say("/remind 1h tea", author=stage.platform.bob)


async def test_nothing_is_left_of_somebody_who_wants_to_be_forgotten(stage):
    await stage.say("/remind 1h tea")
    assert "tea" in await stage.say("/export") or b"tea" in stage.platform.handed[-1].data
    await stage.say("/forget everywhere")
    assert await stage.store.user(stage.platform.ann).items() == {}
    assert await stage.store.plugin.items() == {}
    assert await stage.advance(3600) == ""


async def test_what_cannot_be_said_is_tried_again_for_a_day(stage):
    from bots import ForbiddenError  # noqa: PLC0415  # what the platform raises

    await stage.say("/remind 1m tea")
    stage.platform.faults["send"].extend(ForbiddenError("removed") for _ in range(3))
    assert await stage.advance(60 + 2 * 30) == ""
    assert await stage.advance(30) == "Ann, I was to remind you: tea"
