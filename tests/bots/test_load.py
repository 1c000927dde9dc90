"""Two hundred chats on each platform at once, against the limits that the platforms enforce."""

import asyncio
import contextlib

from discord_server import DiscordServer
from telegram_server import TelegramServer

from bots import ServingRules
from bots.bot import BotRules, open_bot
from bots.discord import DiscordAdapter
from bots.telegram import TelegramAdapter
from bots.testing import ScriptedEngine

CHATS = 200
ROUNDS = 2
WORDS = 12


def script(request):
    name = request.messages[-1].content.removeprefix("[A] ")

    async def pause():
        await asyncio.sleep(0.1)

    steps = [f"Answer to {name}:"]
    for number in range(WORDS):
        steps += [f" word{number}", pause]
    return [*steps, f" end of {name}."]


def answer(name):
    return f"Answer to {name}:" + "".join(f" word{number}" for number in range(WORDS)) + f" end of {name}."


class DiscordCrowd:
    """Half of the chats are channels of a guild, half are private."""

    def __init__(self, server):
        self.server = server
        self.bot = server.add_bot("discord-token", "mynah")
        self.people = [server.add_user(f"person {number}") for number in range(CHATS)]
        guild = server.add_guild(members=[self.bot, *self.people])
        self.chats = [
            server.add_channel(guild, f"channel {number}") if number % 2 else server.open_dm(person, self.bot)
            for number, person in enumerate(self.people)
        ]

    def say(self, number, text):
        self.server.say(self.people[number], self.chats[number], text, mentions=[self.bot] if number % 2 else ())

    def answers(self, number):
        return [message.content for message in self.server.messages(self.chats[number], self.bot)]

    def refused(self):
        return [request for request in self.server.requests if request.status == 429]


class TelegramCrowd:
    """A quarter of the chats are groups, the others are private."""

    def __init__(self, server):
        self.server = server
        self.bot = server.add_bot("100:telegram-token", "mynah_bot")
        self.people = [server.add_user(f"person {number}") for number in range(CHATS)]
        self.chats = [
            server.private_chat(person, self.bot) if number % 4 else server.add_supergroup("group", person, self.bot)
            for number, person in enumerate(self.people)
        ]

    def say(self, number, text):
        said = text if number % 4 else f"@mynah_bot {text}"
        self.server.say(self.people[number], self.chats[number], said)

    def answers(self, number):
        return [message.text for message in self.server.messages(self.chats[number], self.bot.user)]

    def refused(self):
        return [request for request in self.server.requests if request.status == 429]


@contextlib.asynccontextmanager
async def served(bot, adapter):
    async with adapter, asyncio.TaskGroup() as group:
        dispatcher = bot.dispatcher(adapter)
        running = group.create_task(dispatcher.run())
        yield dispatcher
        dispatcher.close()
        await running


async def test_two_hundred_chats_on_each_platform_get_every_answer_once_in_order_and_within_all_limits(chat_log):
    async with contextlib.AsyncExitStack() as stack:
        discord = DiscordCrowd(await stack.enter_async_context(DiscordServer()))
        telegram = TelegramCrowd(await stack.enter_async_context(TelegramServer()))
        engine = await stack.enter_async_context(ScriptedEngine(otherwise=script))
        adapters = [
            DiscordAdapter("discord-token", api_url=discord.server.api_url),
            TelegramAdapter("100:telegram-token", api_url=telegram.server.api_url),
        ]
        rules = BotRules("Be kind.", serving=ServingRules(gather_s=0.2))
        bot = await stack.enter_async_context(open_bot(engine, chat_log, rules))
        dispatchers = [await stack.enter_async_context(served(bot, adapter)) for adapter in adapters]
        tasks = len(asyncio.all_tasks())
        for turn in range(ROUNDS):
            for crowd in (discord, telegram):
                for number in range(CHATS):
                    crowd.say(number, f"question {turn}.{number}")
            for crowd in (discord, telegram):
                await crowd.server.until(lambda crowd=crowd, turn=turn: all_answered(crowd, turn), timeout_s=150)
            async with asyncio.timeout(30):
                while any(dispatcher._lines for dispatcher in dispatchers):
                    await asyncio.sleep(0.05)
            # What is left over is the servers' own, a task for each connection that is kept open.
            assert len(asyncio.all_tasks()) < tasks + 100
        for crowd in (discord, telegram):
            for number in range(CHATS):
                expected = [answer(f"question {turn}.{number}") for turn in range(ROUNDS)]
                assert crowd.answers(number) == expected
            assert crowd.refused() == []
            assert crowd.server.pings == []
            assert crowd.server.violations == []


def all_answered(crowd, turn):
    return all(
        len(answers := crowd.answers(number)) == turn + 1 and answers[-1] == answer(f"question {turn}.{number}")
        for number in range(CHATS)
    )
