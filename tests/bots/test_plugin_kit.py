"""The kit for the tests of plugins: the fixture `bot_with` and the stage that it gives."""

import asyncio

import pytest
from pydantic import BaseModel

from bots.errors import PluginError
from bots.plugins import ButtonPressed, ChatRef, Message, Permission, Plugin, User
from bots.testing import discord, open_stage, telegram
from engine.errors import SettingsError
from tests.bots.outside_pytest import run_pytest


class Counter(Plugin):
    """Does a little of everything."""

    class Config(BaseModel):
        """Settings."""

        step: int = 1

    name = "counter"

    async def setup(self, ctx):
        """Register everything."""
        self.ctx = ctx
        self.more = ctx.button("more", "More", self.press_more)
        ctx.command("count", self.count, cooldown_s=30)
        ctx.command("offer", self.offer)
        ctx.command("slow", self.slow)
        ctx.command("fail", self.fail)
        ctx.command("operate", self.count, permission=Permission.OPERATOR)
        ctx.command("away", self.away)
        ctx.on_message(self.overhear, when=lambda message: not message.addressed)
        ctx.every(self.tick, interval_s=60)
        ctx.on_reaction(self.reacted)
        ctx.on_model_swap(self.swapped)

    async def count(self, user: User) -> str:
        """Count."""
        return str(await self.add(user))

    async def add(self, user: User) -> int:
        """Count."""
        drawer = self.ctx.store.user(user)
        number = await drawer.get("number", 0) + self.ctx.config.step
        await drawer.set("number", number)
        return number

    async def offer(self, chat: ChatRef) -> None:
        """Offer a button."""
        await self.ctx.say(chat, "More?", [self.more("1")])

    async def press_more(self, press: ButtonPressed, user: User) -> str:
        """Count on."""
        return f"{await self.add(user)} at {self.ctx.now():%H:%M}"

    async def slow(self) -> str:
        """Take ten minutes."""
        await self.ctx.sleep(600)
        return "done"

    async def fail(self) -> str:
        """Fail."""
        raise ZeroDivisionError("inside")

    async def away(self, chat: ChatRef) -> None:
        """Say something elsewhere."""
        await self.ctx.say(ChatRef(chat.platform, chat.account, "elsewhere"), "over here")

    async def overhear(self, message: Message) -> None:
        """See what was not said to the bot."""
        await self.ctx.store.plugin.set("overheard", message.text)

    async def tick(self) -> None:
        """Count the minutes."""
        minutes = await self.ctx.store.plugin.get("minutes", 0) + 1
        await self.ctx.store.plugin.set("minutes", minutes)
        if minutes == 3:
            await self.ctx.say(ChatRef("memory", "bot", "room"), "three minutes")

    async def reacted(self, event) -> None:
        """Keep it."""
        await self.ctx.store.plugin.set("score", event.score)

    async def swapped(self, old: str, new: str) -> None:
        """Keep it."""
        await self.ctx.store.plugin.set("model", new)


async def test_what_the_bot_says_to_a_message_is_returned_once_it_has_said_all(bot_with):
    stage = await bot_with(Counter)
    assert await stage.say("Hello") == "You said: Hello"
    assert await stage.say("/count") == "1"
    assert "There is no command /nonsense" in await stage.say("/nonsense")
    assert len(stage.platform.settled_messages) == 3


async def test_the_model_says_what_the_test_wants(bot_with):
    stage = await bot_with(Counter, scripts=[["one"]])
    stage.model_says("t", "wo")
    assert [await stage.say(text) for text in ("a", "b", "c")] == ["one", "two", "You said: c"]
    assert [request.messages[-1].content for request in stage.engine.requests] == ["a", "b", "c"]


async def test_an_answer_that_is_given_anew_is_news(bot_with):
    stage = await bot_with(Counter, scripts=[["first"], ["second"]], profile=discord())
    assert await stage.say("Well?") == "first"
    assert await stage.say("/retry") == "second"
    assert [post.text for post in stage.platform.standing()] == ["second"]


async def test_time_stands_still_while_people_talk_so_that_a_cooldown_is_exact(bot_with):
    stage = await bot_with(Counter)
    assert await stage.say("/count") == "1"
    assert await stage.say("/count") == "Not so fast: /count is yours again in 30 s."
    assert await stage.say("/count", author=stage.platform.bob) == "1"
    assert await stage.advance(29.5) == ""
    assert "Not so fast" in await stage.say("/count")
    await stage.advance(0.5)
    assert await stage.say("/count") == "2"


async def test_buttons_are_pressed_by_label_and_tell_the_person_alone(bot_with):
    stage = await bot_with(Counter, config={"step": 5})
    assert await stage.say("/offer") == "More?"
    post = stage.last_post()
    assert await stage.press(post, "More") == "5 at 12:00"
    assert await stage.press(post, post.buttons[0], stage.platform.bob) == "5 at 12:00"
    await stage.advance(3600)
    assert await stage.press(post, "counter:more:1") == "10 at 13:00"
    assert await stage.store.user(stage.platform.ann).get("number") == 10
    with pytest.raises(AssertionError, match="there is: More"):
        await stage.press(post, "Less")


async def test_schedules_run_each_time_that_they_are_due(bot_with):
    stage = await bot_with(Counter)
    await stage.advance(59)
    assert await stage.store.plugin.get("minutes") is None
    assert await stage.advance(1) == ""
    assert await stage.store.plugin.get("minutes") == 1
    assert await stage.advance(120) == "three minutes"
    await stage.advance(3600)
    assert await stage.store.plugin.get("minutes") == 63


async def test_a_handler_that_waits_gets_its_time(bot_with):
    stage = await bot_with(Counter)
    assert await stage.say("/slow") == "three minutes\ndone"
    assert await stage.store.plugin.get("minutes") in (9, 10)


@pytest.mark.parametrize("profile", [discord, telegram])
async def test_platforms_with_limits_are_talked_to_within_them(bot_with, profile):
    stage = await bot_with(Counter, profile=profile())
    for number in range(8):
        assert await stage.say(f"message {number}") == f"You said: message {number}"
    assert stage.platform.num_refused == 0


async def test_what_is_said_elsewhere_or_was_not_said_to_the_bot_is_waited_for_too(bot_with):
    stage = await bot_with(Counter)
    elsewhere = stage.platform.group("elsewhere")
    assert await stage.say("/away") == ""
    assert stage.platform.seen(elsewhere) == ["over here"]
    assert await stage.say("psst", elsewhere, addressed=()) == ""
    assert await stage.store.plugin.get("overheard") == "psst"
    await stage.react(stage.last_post(elsewhere), -1)
    assert await stage.store.plugin.get("score") == -1


async def test_a_restart_finds_what_was_kept_and_time_passes_meanwhile(bot_with):
    stage = await bot_with(Counter)
    await stage.say("/count")
    await stage.say("/offer")
    await stage.restart(off_s=7200)
    assert await stage.say("/count") == "2"
    assert await stage.press(stage.last_post(), "More") == "3 at 14:00"


async def test_permissions_hold_and_there_is_an_operator(bot_with):
    stage = await bot_with(Counter)
    assert "Only those who run this bot" in await stage.say("/operate")
    assert await stage.say("/operate", author=stage.operator) == "1"


async def test_plugins_hear_of_another_model(bot_with):
    stage = await bot_with(Counter)
    stage.engine.version = "newer"
    await stage.advance(1)
    assert await stage.store.plugin.get("model") == "newer"


async def test_settings_come_from_the_test_alone(bot_with, monkeypatch):
    monkeypatch.setenv("PLUGIN_COUNTER__STEP", "7")
    monkeypatch.setenv("PLUGIN_COUNTER__MISSPELT", "7")
    stage = await bot_with(Counter)
    assert await stage.say("/count") == "1"
    with pytest.raises(SettingsError, match="no setting stop; it has: step"):
        await bot_with(Counter, config={"stop": 2})


async def test_a_plugin_of_a_folder_is_loaded_by_name_beside_a_class(bot_with, tmp_path):
    (tmp_path / "hello.py").write_text(
        "from bots.plugins import Plugin\n\nclass Hello(Plugin):\n    name = 'hello'\n\n"
        "    async def setup(self, ctx):\n        ctx.command('hello', self.hello)\n\n"
        "    async def hello(self) -> str:\n        return 'Hello!'\n"
    )
    stage = await bot_with(Counter, "hello", folder=tmp_path, config={"counter": {"step": 3}})
    assert await stage.say("/hello") == "Hello!"
    assert await stage.say("/count") == "3"
    assert "hello" in await stage.say("/plugins", author=stage.operator)


async def test_a_plugin_that_cannot_be_set_up_fails_the_test_with_its_own_error(bot_with, tmp_path):
    class Broken(Plugin):
        name = "broken"

        async def setup(self, ctx):
            raise LookupError("no such thing")

    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(LookupError, match="no such thing"):
        await bot_with(Broken)
    with pytest.raises(ZeroDivisionError):
        await bot_with("broken", folder=tmp_path)
    with pytest.raises(PluginError, match="there is no plugin missing"):
        await bot_with("missing", folder=tmp_path)


async def test_a_fault_of_a_handler_fails_the_test_at_its_end(tmp_path):
    with pytest.raises(AssertionError, match="/fail failed with ZeroDivisionError: inside") as raised:
        async with open_stage(tmp_path, Counter) as stage:
            assert "Something went wrong" in await stage.say("/fail")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


async def test_faults_that_are_expected_do_not_fail_the_test(bot_with):
    stage = await bot_with(Counter)
    faults = stage.expect_faults()
    await stage.say("/fail")
    assert [(fault.plugin, fault.what) for fault in faults] == [("counter", "/fail")]


@pytest.mark.parametrize("where", ["spawn", "when"])
async def test_faults_outside_of_handlers_count_too(bot_with, where):
    class Broken(Plugin):
        name = "broken"

        async def setup(self, ctx):
            if where == "spawn":
                ctx.spawn(self.fail(), "failing")
            else:
                ctx.on_message(self.fail, when=lambda message: message.no_such_thing)

        async def fail(self) -> None:
            """Fail."""
            raise LookupError("in the background")

    stage = await bot_with(Broken)
    await stage.say("Hello")
    (fault, *_) = stage.expect_faults()
    assert isinstance(fault.error, LookupError if where == "spawn" else AttributeError)


@pytest.mark.parametrize("hook", ["before_log", "before_generate", "on_chunk", "after_generate", "before_send"])
async def test_a_hook_that_returns_what_it_may_not_is_skipped_and_named(bot_with, hook):
    class Wrong(Plugin):
        name = "wrong"

        async def setup(self, ctx):
            getattr(ctx, hook)(self.return_number)

        async def return_number(self, *_) -> int:
            """Return a number."""
            return 7

    stage = await bot_with(Wrong)
    assert await stage.say("Hello") == "You said: Hello"
    (fault, *_) = stage.expect_faults()
    assert (fault.what, "it has returned a int; it may return None, " in fault.reason) == (hook, True)


async def test_a_command_that_returns_no_text_is_named(bot_with):
    class Wrong(Plugin):
        name = "wrong"

        async def setup(self, ctx):
            ctx.command("wrong", self.return_number)

        async def return_number(self) -> int:
            """Return a number."""
            return 7

    stage = await bot_with(Wrong)
    faults = stage.expect_faults()
    assert "Something went wrong" in await stage.say("/wrong")
    assert "it may return a text" in faults[0].reason


async def test_a_hook_that_is_not_async_is_refused_when_it_is_registered(bot_with):
    class Wrong(Plugin):
        name = "wrong"

        async def setup(self, ctx):
            ctx.after_generate(lambda answer: answer.text)

    with pytest.raises(TypeError, match="is no async function"):
        await bot_with(Wrong)


async def test_several_bots_in_one_test_know_nothing_of_each_other(bot_with):
    one, other = await asyncio.gather(bot_with(Counter), bot_with(Counter))
    assert await one.say("/count") == "1"
    assert await other.say("/count") == "1"


# The pytest plugin


OUTSIDE = """
import {how}
from bots.plugins import Plugin

class Hello(Plugin):
    name = "hello"

    async def setup(self, ctx):
        ctx.command("hello", self.hello)
        ctx.command("fail", self.fail)

    async def hello(self) -> str:
        return "Hello!"

    async def fail(self) -> str:
        raise LookupError("inside")

{mark}
async def test_it_says_hello(bot_with):
    assert await (await bot_with(Hello)).say("/hello") == "Hello!"

{mark}
async def test_it_fails(bot_with):
    await (await bot_with(Hello)).say("/fail")
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_the_fixture_works_in_both_modes_and_a_fault_is_an_error_at_the_end_of_its_test(tmp_path, mode):
    mark = "@pytest.mark.asyncio" if mode == "strict" else ""
    (tmp_path / "test_hello.py").write_text(OUTSIDE.format(how="pytest", mark=mark))
    done = run_pytest(tmp_path, f"--asyncio-mode={mode}")
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "LookupError: inside" in done.stdout
    assert "ERROR at teardown of test_it_fails" in done.stdout


def test_pytest_runs_that_need_nothing_of_it_load_nothing_of_it(tmp_path):
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\ndef test_it():\n    ours = {'bots', 'engine', 'sqlalchemy', 'discord', 'numpy', 'pydantic'}\n"
        "    assert 'pytest_mynah' in sys.modules\n    assert ours & set(sys.modules) == set()\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_pytest_asyncio_other_tests_go_on_and_the_fixture_says_what_is_missing(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_one(): pass\n\ndef test_two(bot_with): pass\n")
    (tmp_path / "pytest_asyncio.py").write_text("raise ImportError('not installed')\n")
    done = run_pytest(tmp_path, "-p", "no:asyncio", f"--override-ini=pythonpath={tmp_path}", "-p", "no:anyio")
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert 'pip install "mynah[testing]"' in done.stdout
