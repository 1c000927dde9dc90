"""What people get from the plugin wordfilter."""

from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

FOLDER = Path(__file__).parent.parent

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def stage(bot_with):
    stage = await bot_with("wordfilter", folder=FOLDER, config={"most_words": 2})
    await stage.say("/filter add heck")
    return stage


async def test_neither_the_model_nor_the_database_sees_a_word(stage):
    assert await stage.say("What the Heck is a heckler?") == "You said: What the ★★★★ is a heckler?"
    assert stage.engine.requests[0].messages[-1].content == "What the ★★★★ is a heckler?"
    (turn,) = await stage.log.history(stage.platform.chat)
    assert "Heck" not in str(turn)


async def test_nobody_sees_one_while_an_answer_grows_nor_afterwards(stage):
    seen_in_draft = partial(stage.platform.until_shown, "draft", "What the ★★★★")
    stage.model_says("What ", "the he", "ck", seen_in_draft, "! I said heck.")
    assert await stage.say("Well?") == "What the ★★★★! I said ★★★★."
    shown = [text for _, _, text in stage.platform.shown]
    assert not any("heck" in text for text in shown)
    await stage.say("And?")
    assert not any("heck" in message.content for message in stage.engine.requests[-1].messages)


async def test_each_chat_has_a_list_of_its_own_that_holds_in_its_threads(stage):
    group = stage.platform.group()
    assert "heck" in await stage.say("heck", group)
    stage.platform.moderators.add(stage.platform.ann)
    await stage.say("/filter add darn", group)
    assert "★★★★" in await stage.say("darn", stage.platform.group(thread="7"))
    assert await stage.say("darn") == "You said: darn"


async def test_only_those_who_look_after_a_chat_change_its_list(stage):
    group, bob = stage.platform.group(), stage.platform.bob
    assert "Only those who look after" in await stage.say("/filter add darn", group, bob)
    assert await stage.say("/filter", group, bob) == "Words that are not said here: none"
    stage.platform.moderators.add(bob)
    assert "Noted" in await stage.say("/filter add darn", group, bob)


async def test_the_list_changes_and_is_kept(stage):
    assert await stage.say("/filter add darn") == "Noted. Words that are not said here: 2"
    assert "more is not possible" in await stage.say("/filter add drat")
    assert await stage.say("/filter remove HECK") == "Noted. Words that are not said here: 1"
    assert "Which word?" in await stage.say("/filter add")
    await stage.restart()
    assert await stage.say("/filter") == "Words that are not said here: darn"
    assert await stage.say("heck, darn") == "You said: heck, ★★★★"


async def test_words_are_words_and_no_patterns(stage):
    await stage.say("/filter add .*")
    assert await stage.say("a.*b .* c") == "You said: a.*b ★★ c"


async def test_operators_see_how_much_was_hidden_also_after_a_restart(stage):
    stage.model_says("heck")
    await stage.say("heck heck")
    await stage.say("heck")
    await stage.restart()
    told = await stage.say("/filterstats", author=stage.operator)
    assert told == "Hidden words in 2 messages and 1 answers."
    assert "Only those who run this bot" in await stage.say("/filterstats")
