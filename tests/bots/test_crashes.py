"""A process that dies at any moment of an answer's life, and what people see after the next start.

Every call to the log, the platform and the engine is a moment: the process dies right before or right after it.
"""

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from bots import Caps, ChatRef, ServingRules
from bots.bot import BotRules, open_bot
from bots.testing import FakePlatform, ScriptedEngine, unlimited

RULES = ServingRules(resume_within=timedelta(hours=1))
EDITS = Caps(can_edit=True, max_length=100, has_buttons=True)
ANSWER = " ".join(f"Sentence number {number} is here." for number in range(10))
PIECES = [ANSWER[start : start + 40] for start in range(0, len(ANSWER), 40)]


class Life:
    """Counts moments; at the last one everything that is called hangs, as if the process were gone."""

    def __init__(self, num_moments=None):
        self.num_moments, self.moments = num_moments, []
        self.death = asyncio.Event()

    async def pass_moment(self, name):
        if self.death.is_set() or len(self.moments) == self.num_moments:
            self.death.set()
            await asyncio.Event().wait()
        self.moments.append(name)

    def wrap(self, thing, *names):
        return Mortal(self, thing, names)


class Mortal:
    """Something whose calls are moments; `names` are those that matter, all if there are none."""

    def __init__(self, life, thing, names):
        self._life, self._thing, self._names = life, thing, names

    def __getattr__(self, name):
        value = getattr(self._thing, name)
        if not asyncio.iscoroutinefunction(value) or (self._names and name not in self._names):
            return value

        async def call(*arguments, **options):
            await self._life.pass_moment(f"before {name}")
            result = await value(*arguments, **options)
            await self._life.pass_moment(f"after {name}")
            return result

        return call


async def live(life, adapter, log, message):
    """One run of the process; `message` comes if the run before has not taken it."""
    taken = []

    class Source(Mortal):
        async def events(self):
            if message is not None:
                yield message
                taken.append(message)
            await asyncio.Event().wait()

    source = Source(life, adapter, ("send", "edit", "delete", "notice"))
    rules = BotRules("", serving=RULES)
    async with ScriptedEngine(otherwise=lambda _: PIECES) as engine, open_bot(engine, log, rules) as bot:
        dispatcher = replace(bot, engine=life.wrap(engine, "submit"), log=life.wrap(log), sleep=short_sleep).dispatcher(
            source
        )
        running = asyncio.ensure_future(dispatcher.run())
        dying = asyncio.ensure_future(life.death.wait())
        done = asyncio.ensure_future(all_is_done(adapter, log, taken, message))
        await asyncio.wait([running, dying, done], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, dying, done):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return None if taken else message


async def short_sleep(duration_s):
    await asyncio.sleep(min(duration_s, 0.005))


async def all_is_done(adapter, log, taken, message):
    while not (taken or message is None) or await log.unfinished("memory", "bot"):
        await asyncio.sleep(0.002)


async def unknown_to_the_log(adapter, log):
    """Messages that the platform has, and of which the log cannot tell whether it has them."""
    tried = {
        post.nonce for left in await log.unfinished("memory", "bot") for post in left.posts if not post.platform_id
    }
    return [post for post in adapter.posted if post.nonce in tried]


async def answer_with_a_death(log, caps, knows_nonces, num_moments):
    """What stands in the chat after a death and a new start, what the log could not know, and the life before."""
    adapter = FakePlatform(unlimited(caps, knows_nonces=knows_nonces))
    chat = ChatRef("memory", "bot", f"room {num_moments}")
    message = adapter.say("question", chat)
    life = Life(num_moments)
    async with asyncio.timeout(20):
        left = await live(life, adapter, log, message)
        unknown = await unknown_to_the_log(adapter, log)
        if life.death.is_set():
            await live(Life(), adapter, log, left)
    return [post.text for post in adapter.standing(chat)], unknown, life


DRAFTS = Caps(draft_interval_s=0.0, can_edit=True, max_length=100, has_buttons=True)


@pytest.mark.parametrize(
    ("caps", "platform"),
    [
        (EDITS, "knows nonces"),
        (DRAFTS, "knows nonces"),
        (replace(EDITS, nonce_lifetime_s=1e-9), "shows what was said"),
        (EDITS, "does neither"),
        (DRAFTS, "does neither"),
    ],
)
async def test_whenever_the_process_dies_the_answer_is_there_once_and_whole_after_the_next_start(
    log_on_each_database, caps, platform
):
    chat_log = log_on_each_database
    num_doubled = 0
    for num_moments in range(1000):
        texts, unknown, life = await answer_with_a_death(chat_log, caps, platform == "knows nonces", num_moments)
        if unknown and platform == "does neither":
            # The one case in which a message may stand there twice: it was accepted, and nobody was told.
            assert len(unknown) == 1
            assert " ".join(dict.fromkeys(texts)) == ANSWER or " ".join(texts[1:]) == ANSWER
            num_doubled += 1
        else:
            assert " ".join(texts) == ANSWER
        if not life.death.is_set():
            break
    assert num_moments > 20
    assert bool(num_doubled) is (platform == "does neither")
