"""The bots as an operator runs them, killed in the middle of twenty streams, and started again."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest
from discord_server import DiscordServer
from scripted_service import answer
from telegram_server import TelegramServer

from bots.chatlog import ChatLog, DatabaseSettings

HERE = Path(__file__).parent
STREAMS = 10  # on each platform


class Town:
    """Both platforms, with ten chats each, and the process that serves them."""

    def __init__(self, discord, telegram, folder):
        self.discord, self.telegram, self.folder = discord, telegram, folder
        self.discord_bot = discord.add_bot("discord-token", "mynah")
        self.people = [discord.add_user(f"person {number}") for number in range(STREAMS)]
        guild = discord.add_guild(members=[self.discord_bot, *self.people])
        self.channels = [
            discord.add_channel(guild, f"channel {number}") if number % 2 else discord.open_dm(person, self.discord_bot)
            for number, person in enumerate(self.people)
        ]
        self.telegram_bot = telegram.add_bot("100:telegram-token", "mynah_bot")
        self.users = [telegram.add_user(f"person {number}") for number in range(STREAMS)]
        self.chats = [
            telegram.add_supergroup("group", user, self.telegram_bot)
            if number % 5 == 0
            else telegram.private_chat(user, self.telegram_bot)
            for number, user in enumerate(self.users)
        ]

    @contextlib.asynccontextmanager
    async def process(self):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{HERE.parents[1]}:{HERE}",
            "DISCORD_TOKEN": "discord-token",
            "DISCORD_API_URL": self.discord.api_url,
            "TELEGRAM_TOKEN": "100:telegram-token",
            "TELEGRAM_API_URL": self.telegram.api_url,
            "DATABASE_URL": f"sqlite:///{self.folder}/chat.db",
            "DATABASE_KEY_FILE": f"{self.folder}/keys",
            "BOTS_GATHER_S": "0.1",
            "BOTS_DRAIN_S": "0.2",
        }
        with (self.folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(HERE / "scripted_service.py"), env=environment, cwd=self.folder, stderr=log
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def until_connected(self):
        await self.discord.until(lambda: self.discord.is_connected(self.discord_bot), timeout_s=60)

    def ask(self):
        for number in range(STREAMS):
            private = number % 2 == 0
            mentions = () if private else [self.discord_bot]
            self.discord.say(self.people[number], self.channels[number], f"d{number} count", mentions=mentions)
            mention = "@mynah_bot " if number % 5 == 0 else ""
            self.telegram.say(self.users[number], self.chats[number], f"{mention}t{number} count")

    def num_begun(self):
        """Streams of which something can be seen."""
        shown = sum(bool(self.discord.messages(channel, self.discord_bot)) for channel in self.channels)
        drafts = sum(bool(self.telegram.drafts(chat)) for chat in self.chats)
        return shown + drafts + sum(bool(self.telegram.messages(chat, self.telegram_bot.user)) for chat in self.chats)

    def standing(self):
        """What people see of the bot in the end, chat by chat."""
        return {
            **{
                f"d{number}": [m.content for m in self.discord.messages(channel, self.discord_bot) if not m.is_deleted]
                for number, channel in enumerate(self.channels)
            },
            **{
                f"t{number}": [m.text for m in self.telegram.messages(chat, self.telegram_bot.user) if not m.is_deleted]
                for number, chat in enumerate(self.chats)
            },
        }

    def is_all_logged(self):
        """Discord does not say anything twice: what was not taken before a kill is gone."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/chat.db?mode=ro", uri=True)) as database:
            (count,) = database.execute("SELECT count(*) FROM messages WHERE role = 'user'").fetchone()
        return count == 2 * STREAMS

    def num_requests(self):
        return len(self.discord.requests) + len(self.telegram.requests)

    async def in_doubt(self):
        """Telegram chats with a message of which the log does not know whether it has arrived."""
        settings = DatabaseSettings(url=f"sqlite:///{self.folder}/chat.db", key_file=self.folder / "keys")
        async with ChatLog.open(settings) as log:
            left = await log.unfinished("telegram", str(self.telegram_bot.id))
        chats = {each.chat.chat for each in left if any(post.platform_id is None for post in each.posts)}
        return Counter(f"t{number}" for number, chat in enumerate(self.chats) if str(chat.id) in chats)

    def is_right(self, in_doubt):
        """Everyone has one answer; only where there was doubt, half of it may stand there once more."""
        return all(
            texts[-1] == answer(name) and len(texts) <= 1 + in_doubt[name] for name, texts in self.standing().items()
        )

    def is_all_there(self):
        return all(answer(name) in texts for name, texts in self.standing().items())


@pytest.fixture
async def town(tmp_path):
    async with DiscordServer() as discord, TelegramServer() as telegram:
        yield Town(discord, telegram, tmp_path)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_after_an_end_in_the_middle_of_twenty_streams_each_is_finished_once(town, how):
    async with town.process() as process:
        await town.until_connected()
        town.ask()
        await town.telegram.until(lambda: town.num_begun() >= STREAMS and town.is_all_logged(), timeout_s=60)
        process.send_signal(how)
        assert await process.wait() == (0 if how is signal.SIGTERM else -how)
    assert not town.is_all_there()
    in_doubt = await town.in_doubt()
    async with town.process() as process:
        await town.telegram.until(town.is_all_there, timeout_s=90)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert town.is_right(in_doubt), town.standing()
    assert len(in_doubt) < STREAMS / 2
    assert town.discord.pings == town.telegram.pings == []
    before = town.standing()
    async with town.process() as process:  # nothing is left to do
        await town.until_connected()
        process.send_signal(signal.SIGTERM)
        await process.wait()
    assert town.standing() == before


async def test_killed_again_and_again_it_still_answers_everyone_once(town):
    in_doubt = Counter()
    for number in range(4):
        async with town.process() as process:
            await town.until_connected()
            if number == 0:
                town.ask()
                await town.telegram.until(town.is_all_logged, timeout_s=60)
            before = town.num_requests()
            await town.telegram.until(
                lambda before=before: town.num_requests() > before + 25 or town.is_all_there(),
                timeout_s=60,
            )
            process.kill()
            await process.wait()
        in_doubt += await town.in_doubt()
    async with town.process() as process:
        await town.telegram.until(town.is_all_there, timeout_s=90)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert town.is_right(in_doubt), town.standing()
