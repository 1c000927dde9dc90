"""`python -m bots...` as an operator starts it, with a model behind it and both platforms in front of it."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest
from discord_server import DiscordServer
from telegram_server import TelegramServer

ROOT = Path(__file__).parents[2]
AFTERWARDS = ["mynah:retry", "mynah:feedback:good", "mynah:feedback:bad", "mynah:feedback:better"]


class Operator:
    """Somebody with a bot on each platform, and a folder of their own."""

    def __init__(self, discord, telegram, folder):
        self.discord, self.telegram, self.folder = discord, telegram, folder
        self.discord_bot = discord.add_bot("discord-token", "mynah")
        self.telegram_bot = telegram.add_bot("100:telegram-token", "mynah_bot")
        self.settings = {
            "DISCORD_TOKEN": "discord-token",
            "DISCORD_API_URL": discord.api_url,
            "TELEGRAM_TOKEN": "100:telegram-token",
            "TELEGRAM_API_URL": telegram.api_url,
            "BOTS_TEMPERATURE": "0",
            "BOTS_MAX_TOKENS": "40",
        }

    async def start(self, program, *arguments, **settings):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("BOTS_", "ENGINE_"))}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", program, *arguments),
            cwd=self.folder,
            env={**environment, "PYTHONPATH": str(ROOT), **self.settings, **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, program, *arguments, **settings):
        process = await self.start(program, *arguments, **settings)
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()

    @contextlib.asynccontextmanager
    async def running(self, program, *arguments, **settings):
        process = await self.start(program, *arguments, **settings)
        reading = asyncio.ensure_future(process.communicate())
        yield process
        process.send_signal(signal.SIGTERM)
        _, errors = await reading
        assert process.returncode == 0, errors.decode()
        assert "Traceback" not in errors.decode()


@pytest.fixture
async def operator(tmp_path):
    async with DiscordServer() as discord, TelegramServer() as telegram:
        yield Operator(discord, telegram, tmp_path)


async def test_the_default_model_answers_on_both_platforms(operator, real_model):
    discord, telegram = operator.discord, operator.telegram
    ann, user = discord.add_user("ann"), telegram.add_user("Ann")
    guild = discord.add_guild(members=[operator.discord_bot, ann])
    channel, chat = discord.add_channel(guild), telegram.private_chat(user, operator.telegram_bot)
    group = telegram.add_supergroup("Birds", user, operator.telegram_bot)
    async with operator.running("bots", "--bundle", str(real_model[1])):
        await discord.until(lambda: discord.is_connected(operator.discord_bot), timeout_s=60)
        question = "What is the capital of France?"
        discord.say(ann, channel, f"{operator.discord_bot.mention} {question}", mentions=[operator.discord_bot])
        telegram.say(user, chat, question)
        telegram.say(user, group, f"/ask@mynah_bot {question}")
        await telegram.until(
            lambda: all(
                messages and messages[-1].buttons == AFTERWARDS
                for messages in (
                    telegram.messages(chat, operator.telegram_bot.user),
                    telegram.messages(group, operator.telegram_bot.user),
                )
            ),
            timeout_s=60,
        )
        await discord.until(lambda: said(discord, channel, operator) == AFTERWARDS, timeout_s=60)
    assert "Paris" in telegram.messages(chat, operator.telegram_bot.user)[-1].text
    assert telegram.drafts(chat)
    assert discord.messages(channel, operator.discord_bot)[-1].content.strip()
    assert discord.violations == telegram.violations == []
    assert discord.pings == telegram.pings == []


def said(discord, channel, operator):
    messages = discord.messages(channel, operator.discord_bot)
    return messages[-1].custom_ids() if messages else []


@pytest.mark.parametrize(
    ("program", "subjects"),
    [
        ("bots.discord", ["discord: token", "discord: identity", "discord: intents", "discord: commands"]),
        ("bots.telegram", ["telegram: token", "telegram: identity", "telegram: privacy mode", "telegram: commands"]),
        ("bots", ["discord: token", "telegram: token"]),
    ],
)
async def test_check_says_a_line_for_each_thing_and_ends_with_0_if_the_bot_could_start(
    operator, bundles, program, subjects
):
    code, output, errors = await operator.run(program, "--check", "--bundle", str(bundles()))
    assert code == 0, output + errors
    lines = output.splitlines()
    for subject in [*subjects, "database", "encryption", "bundle", "policy"]:
        assert any(line.startswith(f"ok      {subject}: ") for line in lines), (subject, output)
    assert "discord-token" not in output + errors
    assert "telegram-token" not in output + errors


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"DISCORD_TOKEN": "wrong-token"}, "FAILED  discord: token: "),
        ({"TELEGRAM_TOKEN": "100:wrong-token"}, "FAILED  telegram: token: "),
        ({"DISCORD_MESSAGE_CONTENT": "true"}, "FAILED  discord: intents: "),
        ({"DISCORD_API_URL": "http://127.0.0.1:9"}, "FAILED  discord: token: "),
        ({"DATABASE_URL": "sqlite:////proc/nowhere/chat.db"}, "FAILED  database: "),
        ({"DATABASE_URL": "mysql://localhost/chat"}, "FAILED  database: "),
    ],
)
async def test_check_names_what_is_wrong_and_looks_at_the_rest_all_the_same(operator, bundles, settings, line):
    code, output, errors = await operator.run("bots", "--check", "--bundle", str(bundles()), **settings)
    assert code == 2
    assert any(said.startswith(line) for said in output.splitlines()), output + errors
    assert "ok      bundle: " in output
    assert "wrong-token" not in output + errors


async def test_check_without_a_bundle_says_how_to_get_one(operator):
    code, output, _ = await operator.run("bots", "--check")
    assert code == 2
    assert "FAILED  bundle: " in output
    assert "make model" in output or "exporters" in output


async def test_check_without_a_token_says_so_and_looks_at_the_rest(operator, bundles):
    code, output, errors = await operator.run("bots.telegram", "--check", "--bundle", str(bundles()), TELEGRAM_TOKEN="")
    assert code == 2
    assert output.startswith("FAILED  token: no token is set; put TELEGRAM_TOKEN into .env")
    assert "ok      bundle: " in output
    assert errors == ""


async def test_without_a_token_it_says_where_to_put_one(operator):
    code, _, errors = await operator.run("bots", DISCORD_TOKEN="", TELEGRAM_TOKEN="")
    assert code == 2
    assert "DISCORD_TOKEN" in errors
    assert "Traceback" not in errors


async def test_an_account_that_is_refused_ends_a_process_that_has_no_other(operator, bundles):
    code, _, errors = await operator.run(
        "bots.discord", "--bundle", str(bundles()), DISCORD_TOKEN="wrong-token", TELEGRAM_TOKEN=""
    )
    assert code == 2
    assert "DISCORD_TOKEN" in errors
    assert "wrong-token" not in errors


async def test_two_accounts_on_a_platform_hold_two_conversations_in_one_process(operator, bundles):
    discord = operator.discord
    second = discord.add_bot("second-token", "parrot")
    ann = discord.add_user("ann")
    guild = discord.add_guild(members=[operator.discord_bot, second, ann])
    channel = discord.add_channel(guild)
    tokens = {"DISCORD_TOKEN": "discord-token, second-token", "TELEGRAM_TOKEN": ""}
    async with operator.running("bots.discord", "--bundle", str(bundles()), **tokens):
        await discord.until(lambda: all(map(discord.is_connected, (operator.discord_bot, second))), timeout_s=60)
        for bot in (operator.discord_bot, second):
            discord.say(ann, channel, f"{bot.mention} hello", mentions=[bot])
            await discord.until(lambda bot=bot: discord.messages(channel, bot), timeout_s=60)


async def test_a_misspelt_setting_is_named(operator):
    code, _, errors = await operator.run("bots.telegram", TELEGRAM_TOKN="100:x")
    assert code == 2
    assert "TELEGRAM_TOKEN" in errors
