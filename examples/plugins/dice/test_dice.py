"""What people get from the plugin dice."""

import asyncio
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def every_die_shows_its_highest_number(monkeypatch):
    monkeypatch.setattr("secrets.randbelow", lambda sides: sides - 1)


async def test_dice_are_rolled_as_asked_for(bot_with):
    stage = await bot_with("dice", folder=FOLDER, config={"cooldown_s": 0})
    assert await stage.say("/roll") == "Ann rolls 1d6: 6"
    assert await stage.say("/roll 20 3") == "Ann rolls 3d20: 20 + 20 + 20 = 60"
    assert await stage.say("/roll number:2") == "Ann rolls 2d6: 6 + 6 = 12"


async def test_what_cannot_be_rolled_is_said_so(bot_with):
    stage = await bot_with("dice", folder=FOLDER, config={"cooldown_s": 0, "most": 5})
    assert await stage.say("/roll 7") == "'7' is nothing I know. Please take one of: 4, 6, 8, 10, 12, 20."
    assert "a whole number" in await stage.say("/roll 6 many")
    assert await stage.say("/roll 6 6") == "I have 5 dice. How many of them shall I roll?"
    assert await stage.say("/rolls") == "You have rolled nothing yet. /roll does."


async def test_a_person_has_to_wait_between_two_rolls(bot_with):
    stage = await bot_with("dice", folder=FOLDER)
    await stage.say("/roll")
    assert "Not so fast" in await stage.say("/roll")
    assert await stage.say("/roll", author=stage.platform.bob) == "Bob rolls 1d6: 6"
    await stage.advance(2)
    assert await stage.say("/roll") == "Ann rolls 1d6: 6"


async def test_whoever_presses_the_button_rolls_the_same_dice(bot_with):
    stage = await bot_with("dice", folder=FOLDER)
    await stage.say("/roll 20 2")
    await stage.press(stage.last_post(), "Roll again", stage.platform.bob)
    assert stage.last_post().text == "Bob rolls 2d20: 20 + 20 = 40"
    await stage.restart()
    await stage.press(stage.last_post(), "Roll again")
    assert stage.last_post().text == "Ann rolls 2d20: 20 + 20 = 40"


async def test_what_each_person_has_rolled_is_counted_even_if_all_press_at_once(bot_with):
    stage = await bot_with("dice", folder=FOLDER)
    await stage.say("/roll 20")
    await stage.advance(2)
    await stage.say("/roll 6 2")
    post = stage.last_post()
    await asyncio.gather(*(stage.press(post, "Roll again") for _ in range(10)))
    assert await stage.say("/rolls") == (
        "d6: 22 rolled, 6.00 on average (fair: 3.50)\nd20: 1 rolled, 20.00 on average (fair: 10.50)"
    )
    assert "nothing yet" in await stage.say("/rolls", author=stage.platform.bob)
