import asyncio
import contextlib
import logging

import pytest

from bots import AccountError, ChatRef, UnreachableError
from bots.accounts import Account
from bots.bot import BotRules, open_bot
from bots.chatlog import ChatLog
from bots.service import Service
from bots.testing import CHAT, FakePlatform, ScriptedEngine


class Platform:
    """Hands out adapters, or fails as told: an exception stands for an opening that fails."""

    def __init__(self, *plan, name="memory"):
        self.plan, self.name = list(plan), name
        self.opened = []
        self.account = Account(name, self.open, self.check)

    def open(self, commands):
        step = self.plan.pop(0) if self.plan else FakePlatform()
        if isinstance(step, Exception):
            return Failing(step)
        step.account = self.name
        self.opened.append(step)
        return step

    async def check(self, commands):
        return []


class Failing(FakePlatform):
    def __init__(self, error):
        super().__init__()
        self.error = error

    async def __aenter__(self):
        raise self.error


class Breaking(FakePlatform):
    """Loses its platform after the first event."""

    async def events(self):
        async for event in super().events():
            yield event
            raise UnreachableError("the gateway is gone")


@contextlib.asynccontextmanager
async def served(chat_log, *platforms):
    async with (
        ScriptedEngine() as engine,
        open_bot(engine, chat_log, BotRules("")) as bot,
        asyncio.TaskGroup() as group,
    ):
        service = Service(
            [platform.account for platform in platforms],
            chat_log,
            bot.dispatcher,
            bot.plugins.commands,
        )
        running = group.create_task(service.run())
        yield running
        service.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("bots.service.FIRST_PAUSE_S", 0.01)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def answer(platform):
    await until(lambda: platform.opened)
    adapter = platform.opened[-1]
    adapter.say("Hi", ChatRef("memory", "bot", platform.name))
    await adapter.until_shown("send", "You said: Hi")


async def test_all_accounts_are_served_until_the_service_is_closed(chat_log):
    one, two = Platform(name="one"), Platform(name="two")
    async with served(chat_log, one, two) as running:
        await answer(one)
        await answer(two)
    assert running.result() == 0


async def test_an_account_that_is_refused_is_given_up_and_the_others_go_on(chat_log, caplog):
    bad, good = Platform(AccountError("get a new token"), name="bad"), Platform(name="good")
    async with served(chat_log, bad, good) as running:
        await answer(good)
    assert running.result() == 1
    assert "bad cannot be used: get a new token" in caplog.text
    assert not bad.opened


async def test_a_platform_that_cannot_be_reached_is_tried_again(chat_log):
    platform = Platform(UnreachableError("down"), UnreachableError("still down"), ValueError("a bug"))
    async with served(chat_log, platform) as running:
        await answer(platform)
    assert running.result() == 0


async def test_an_adapter_that_loses_its_platform_is_opened_anew(chat_log, caplog):
    caplog.set_level(logging.WARNING)
    platform = Platform(Breaking())
    async with served(chat_log, platform):
        await until(lambda: platform.opened)
        platform.opened[0].say("Hi", CHAT)
        await until(lambda: len(platform.opened) == 2)
        await answer(platform)
    assert "the gateway is gone" in caplog.text


async def test_a_second_process_waits_until_the_first_has_ended(chat_log, database, caplog):
    first, second = Platform(), Platform()
    async with ChatLog.open(database) as other_log, served(chat_log, first) as running:
        await answer(first)
        async with served(other_log, second):
            await until(lambda: "another process serves memory" in caplog.text)
            assert all(not adapter.shown for adapter in second.opened)
            first.opened[-1].end_input()
            first.plan = [UnreachableError("gone")] * 1000
            await until(lambda: is_idle(second))
            await answer(second)
    assert running.result() == 0


def is_idle(platform):
    """Whether the newest adapter is being read: nothing that is said to it goes nowhere."""
    return platform.opened and platform.opened[-1].num_readers


async def test_a_service_that_is_closed_while_it_opens_ends_at_once(chat_log):
    class Slow(FakePlatform):
        async def __aenter__(self):
            opening.set()
            await asyncio.Event().wait()

    opening = asyncio.Event()
    async with served(chat_log, Platform(Slow())) as running:
        await opening.wait()
    assert running.result() == 0
