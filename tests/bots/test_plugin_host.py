"""Plugins come, go and fail, and everything else goes on."""

import asyncio
import contextlib
import gc
import importlib
import sys
import weakref
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Literal

import pytest
from pydantic import BaseModel

from bots import Caps, ChatRef, Mention, Text
from bots.bot import BotRules, open_bot
from bots.errors import PluginError
from bots.plugins import Message, Permission, Plugin, PluginRules, User, Veto
from bots.plugins.discovery import MODULE_PREFIX, _installed
from bots.plugins.guard import FaultLimit
from bots.testing import ANN, BOB, CHAT, FakePlatform, ScriptedEngine, VirtualClock

GREETER = '''
from bots.plugins import Plugin

class Greeter(Plugin):
    name = "greeter"
    summary = "greets"

    async def setup(self, ctx):
        self.ctx = ctx
        ctx.command("greet", self.greet)
        ctx.on_message(self.look)
        ctx.before_log(self.pass_on)
        ctx.before_generate(self.pass_on)
        ctx.on_chunk(self.chunk)
        ctx.after_generate(self.pass_on)
        ctx.before_send(self.chunk)
        ctx.answer_button("wave", "Wave", self.wave)
        ctx.every(self.tick, interval_s=0.01)
        ctx.spawn(self.wait(), "waiting")

    async def wait(self):
        import asyncio
        await asyncio.Event().wait()

    async def greet(self) -> str:
        """Say hello."""
        return "WORDS"

    async def look(self):
        """See a message."""

    async def pass_on(self, value):
        """Change nothing."""

    async def chunk(self, chat, text):
        """Change nothing."""

    async def wave(self) -> str:
        """Wave back."""
        return "waving"

    async def tick(self):
        """Do nothing."""
'''


def write(folder, name="greeter", text=GREETER, words="Hello!"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text.replace("WORDS", words))


class Stage:
    def __init__(self, bot, platform, dispatcher):
        self.bot, self.platform, self.dispatcher = bot, platform, dispatcher
        self.host, self.say = bot.plugins, platform.say

    async def told(self, text, chat=CHAT, author=ANN, **fields):
        """What the bot says to one message."""
        settled, shown = len(self.platform.settled_messages), len(self.platform.shown)
        self.say(text, chat, author=author, **fields)
        await self.platform.until_settled(settled + 1)
        return "\n".join(said for kind, _, said in self.platform.shown[shown:] if kind in ("send", "notice"))


OPERATOR = frozenset({("memory", ANN.id)})


@contextlib.asynccontextmanager
async def serving(chat_log, *plugins, named=(), folder=None, faults=None, scripts=(), clock=None, **rules):
    plugin_rules = PluginRules(named, folder or PluginRules().folder, faults or FaultLimit())
    rules = BotRules("Be kind.", plugins=plugin_rules, operator_ids=OPERATOR, **rules)
    times = {} if clock is None else {"clock": clock.clock, "sleep": clock.sleep}
    platform = FakePlatform(Caps(draft_interval_s=0.0, has_buttons=True))
    async with (
        ScriptedEngine(scripts) as engine,
        open_bot(engine, chat_log, rules) as bot,
    ):
        for plugin in plugins:
            await bot.plugins._begin(plugin, None, lambda: None)
        async with platform, asyncio.TaskGroup() as group:
            dispatcher = replace(bot, **times).dispatcher(platform)
            running = group.create_task(dispatcher.run())
            yield Stage(bot, platform, dispatcher)
            dispatcher.close()
            await running


def plugin_of(setup_, plugin_name="sample", **attributes):
    """A plugin whose setup is a function."""

    async def setup(self, ctx):
        await setup_(ctx)

    return type("Sample", (Plugin,), {"name": plugin_name, "setup": setup, **attributes})()


# Coming and going


async def test_a_plugin_of_the_folder_is_loaded_once_it_is_named(chat_log, tmp_path):
    write(tmp_path)
    async with serving(chat_log, folder=tmp_path) as stage:
        assert "There is no command /greet" in await stage.told("/greet")
        assert "Done" in await stage.told("/plugins load greeter")
        assert await stage.told("/greet") == "Hello!"
        assert "/greet: Say hello" in await stage.told("/help")


async def test_a_package_in_the_folder_may_have_modules_of_its_own(chat_log, tmp_path):
    package = tmp_path / "greeter"
    package.mkdir()
    (package / "words.py").write_text("WORDS = 'From a module'\n")
    (package / "__init__.py").write_text(
        GREETER.replace("from bots", "from .words import WORDS\nfrom bots", 1).replace('"WORDS"', "WORDS")
    )
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        assert await stage.told("/greet") == "From a module"
        (package / "words.py").write_text("WORDS = 'Now another one'\n")
        await stage.host.reload("greeter")
        assert await stage.told("/greet") == "Now another one"


async def test_reloading_gets_what_the_file_says_now_even_within_the_same_second(chat_log, tmp_path):
    write(tmp_path, words="one")
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        for words in ("two", "six", "ten"):
            write(tmp_path, words=words)
            assert "Done" in await stage.told("/plugins reload greeter")
            assert await stage.told("/greet") == words


async def test_a_plugin_that_is_reloaded_a_hundred_times_under_traffic_leaves_nothing_behind(chat_log, tmp_path):
    write(tmp_path)
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        host, traffic = stage.host, asyncio.create_task(keep_talking(stage))
        tasks, classes = None, []
        for number in range(100):
            classes.append(weakref.ref(type(host._loaded["greeter"].plugin)))
            await host.reload("greeter")
            await asyncio.sleep(0.005)
            if number == 0:
                commands, hooks = list(host.commands), registered(host)
                tasks = names_of_tasks()
        traffic.cancel()
        await asyncio.wait([traffic])
        await stage.platform.until(lambda: len(stage.platform.settled_messages) == stage.platform.num_said)
        assert list(host.commands) == commands
        assert registered(host) == hooks
        assert names_of_tasks() == tasks
        assert [name for name in sys.modules if name.startswith(f"{MODULE_PREFIX}greeter")] == [
            type(host._loaded["greeter"].plugin).__module__
        ]
        answers = [text for kind, _, text in stage.platform.shown if kind == "send"]
        assert len(answers) > 20
        assert all(text.startswith("You said: ") for text in answers)
    gc.collect()
    assert [each() for each in classes if each() is not None] == []


async def keep_talking(stage):
    stage.platform.num_said = 0
    for number in range(10_000):
        chat = ChatRef("memory", "bot", f"chat {number % 7}")
        stage.say("/greet" if number % 3 == 0 else f"message {number}", chat)
        stage.platform.num_said += 1
        await asyncio.sleep(0.004)


def registered(host):
    """How much there is of everything that plugins register."""
    hooks = {name: len(hook._handlers) for name, hook in vars(host.hooks).items() if name != "guard"}
    registrations = {name: len(each) for name, each in vars(host._registrations).items()}
    return hooks | registrations | {"scopes": len(host._loaded), "faults": len(host._guard._faults)}


def names_of_tasks():
    """What runs for plugins, but for calls that are under way."""
    names = (task.get_name() for task in asyncio.all_tasks())
    return sorted(name for name in names if name.startswith("greeter: ") and ("schedule" in name or "waiting" in name))


async def test_a_plugin_that_cannot_be_imported_or_set_up_is_reported_and_the_bot_goes_on(chat_log, tmp_path, caplog):
    write(tmp_path, "broken", "1 / 0")
    write(tmp_path, "empty", "")
    failing = GREETER.replace("self.ctx = ctx", 'ctx.command("help", self.greet)').replace('"greeter"', '"taken"')
    write(tmp_path, "taken", failing)
    async with serving(chat_log, named=["broken", "empty", "taken", "missing"], folder=tmp_path) as stage:
        listing = await stage.told("/plugins")
        assert "broken (cannot be imported: ZeroDivisionError: division by zero)" in listing
        assert "it defines none" in listing
        assert "the command /help is taken by the plugin chat" in listing
        assert "there is no plugin missing in the folder" in listing
        assert registered(stage.host)["listeners"] == 1  # feedback's: nothing of what failed half way
        assert await stage.told("Hi") == "You said: Hi"


async def test_a_new_version_that_cannot_be_imported_leaves_the_old_one_in_place(chat_log, tmp_path):
    write(tmp_path)
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        write(tmp_path, text="import nothing_of_that_name")
        assert "No module named" in await stage.told("/plugins reload greeter")
        assert await stage.told("/greet") == "Hello!"


async def test_built_in_plugins_are_not_unloaded(chat_log):
    async with serving(chat_log) as stage:
        with pytest.raises(PluginError, match="built in"):
            await stage.host.unload("privacy")
        assert "cannot be switched off" in await stage.told("/plugins off privacy")


async def test_a_call_under_way_comes_to_its_end_when_the_plugin_is_unloaded(chat_log, tmp_path):
    write(
        tmp_path,
        text=GREETER.replace(
            'return "WORDS"', "import asyncio\n        await asyncio.sleep(0.2)\n        return 'done'"
        ),
    )
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        asking = asyncio.create_task(stage.told("/greet"))
        await asyncio.sleep(0.1)
        await stage.host.unload("greeter")
        assert await asking == "done"
        assert "There is no command" in await stage.told("/greet")


# Failing


class BrokenError(RuntimeError):
    pass


async def test_a_hook_that_raises_is_skipped_and_after_repeated_faults_its_plugin_is_switched_off(chat_log, tmp_path):
    text = GREETER.replace('"""Change nothing."""', "raise ValueError('no')")
    write(tmp_path, text=text)
    faults = FaultLimit(number=3, within_s=60)
    async with serving(chat_log, named=["greeter"], folder=tmp_path, faults=faults) as stage:
        await stage.told("/notices here")
        for number in range(3):
            assert f"You said: message {number}" in await stage.told(f"message {number}")
        await stage.platform.until(lambda: any("was switched off" in text for _, _, text in stage.platform.shown))
        assert "greeter (switched off after repeated faults" in await stage.told("/plugins")
        assert "There is no command" in await stage.told("/greet")


async def test_a_hook_that_hangs_and_does_not_even_listen_when_cancelled_holds_up_nobody_for_long(
    chat_log, monkeypatch
):
    released = asyncio.Event()

    async def deaf(turn):
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    async def setup(ctx):
        ctx.hooks.before_generate._within_s = 0.05
        ctx.before_generate(deaf)

    monkeypatch.setattr("bots.plugins.scope.END_WITHIN_S", 0.1)
    monkeypatch.setattr("bots.plugins.scope.FINISH_WITHIN_S", 0.1)
    async with serving(chat_log, plugin_of(setup)) as stage:
        assert await stage.told("Hi") == "You said: Hi"
        released.set()


@pytest.mark.parametrize("block", ["time.sleep(60)", "while True: pass"])
async def test_a_handler_that_blocks_the_whole_process_is_ended_and_replies_go_on(
    chat_log, tmp_path, monkeypatch, block
):
    monkeypatch.setattr("bots.plugins.watchdog.BLOCKED_FOR_S", 0.3)
    swallowing = f"""import time
        try:
            {block}
        except Exception:
            pass"""
    write(tmp_path, text=GREETER.replace('return "WORDS"', swallowing))
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        asking = asyncio.create_task(stage.told("/greet"))
        assert "Something went wrong" in await asking
        assert await stage.told("Hi") == "You said: Hi"


async def test_code_that_blocks_while_it_is_imported_is_ended(chat_log, tmp_path, monkeypatch):
    monkeypatch.setattr("bots.plugins.watchdog.BLOCKED_FOR_S", 0.3)
    write(tmp_path, "stuck", "while True: pass")
    async with serving(chat_log, named=["stuck"], folder=tmp_path) as stage:
        assert "held up everything for more than 0.3 s" in await stage.told("/plugins")
        assert await stage.told("Hi") == "You said: Hi"


@pytest.mark.parametrize("moment", ["setup", "teardown"])
async def test_a_plugin_that_does_not_come_to_its_beginning_or_end_holds_up_nobody_for_long(
    chat_log, monkeypatch, moment
):
    released = asyncio.Event()

    async def deaf(self, *_):
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    class Deaf(Plugin):
        name = "deaf"

        async def setup(self, ctx):
            pass

    setattr(Deaf, moment, deaf)
    monkeypatch.setattr("bots.plugins.host.SETUP_WITHIN_S", 0.05)
    monkeypatch.setattr("bots.plugins.host.TEARDOWN_WITHIN_S", 0.05)
    async with serving(chat_log) as stage:
        with contextlib.suppress(PluginError):
            await stage.host.add(Deaf)
            await stage.host.unload("deaf")
        assert await stage.told("Hi") == "You said: Hi"
        released.set()


async def test_a_handler_that_ends_the_process_ends_nothing(chat_log):
    async def leave():
        """Leave."""
        sys.exit(3)

    async def setup(ctx):
        ctx.command("leave", leave)

    async with serving(chat_log, plugin_of(setup)) as stage:
        assert "Something went wrong" in await stage.told("/leave")
        assert await stage.told("Hi") == "You said: Hi"


async def test_a_command_that_fails_says_so_and_the_next_one_works(chat_log, caplog):
    async def fail():
        """Fail."""
        raise BrokenError("inside")

    async def setup(ctx):
        ctx.command("fail", fail)

    async with serving(chat_log, plugin_of(setup)) as stage:
        assert "Something went wrong" in await stage.told("/fail")
        assert await stage.told("Hi") == "You said: Hi"
    assert "BrokenError: inside" in caplog.text


@pytest.mark.parametrize("mistake", ["sync", "untyped", "strange"])
async def test_a_handler_that_cannot_be_called_is_refused_when_it_is_registered(chat_log, mistake):
    def sync() -> str: ...
    async def untyped(what) -> str: ...
    async def strange(what: dict[str, int]) -> str: ...

    async def setup(ctx):
        ctx.command("odd", {"sync": sync, "untyped": untyped, "strange": strange}[mistake])

    with pytest.raises(PluginError, match=r"async def|the parameter what"):
        async with serving(chat_log, plugin_of(setup)):
            pass


# Commands


async def test_parameters_are_filled_in_by_their_types(chat_log):
    async def roll(sides: int, who: Mention, loud: bool = False, how: Literal["well", "badly"] = "well") -> str:
        """Roll a die."""
        return f"{sides!r} {who.user_id} {loud!r} {how}"

    async def setup(ctx):
        ctx.command("roll", roll)

    async with serving(chat_log, plugin_of(setup)) as stage:
        segments = (Text("/roll 6 "), Mention("7", "Bob Ross"), Text(" yes badly"))
        assert await stage.told("", segments=segments) == "6 7 True badly"
        assert "a whole number" in await stage.told("/roll six")
        assert "mention somebody" in await stage.told("/roll 6 bob")
        assert "Please say more: /roll <sides> <who> [loud] [how]" in await stage.told("/roll")


async def test_permissions_are_kept(chat_log):
    async def do() -> str:
        """Do."""
        return "done"

    async def setup(ctx):
        ctx.command("run", do, permission=Permission.OPERATOR)
        ctx.command("change", do, permission=Permission.CHAT_ADMIN)

    group = ChatRef("memory", "bot", "group")
    mentioned = {"addressed": frozenset({"command"})}
    async with serving(chat_log, plugin_of(setup)) as stage:
        assert await stage.told("/run", author=ANN) == "done"
        assert "Only those who run this bot" in await stage.told("/run", author=BOB)
        assert await stage.told("/change", author=BOB) == "done"  # in private
        assert "Only those who look after" in await stage.told("/change", group, BOB, **mentioned)
        stage.platform.moderators.add(BOB)
        assert await stage.told("/change", group, BOB, **mentioned) == "done"
        assert "Only those who run this bot" in await stage.told("/run", group, BOB, **mentioned)


async def test_a_cooldown_holds_for_each_person_alone(chat_log):
    async def do() -> str:
        """Do."""
        return "done"

    async def setup(ctx):
        ctx.command("slow", do, cooldown_s=30)

    clock = VirtualClock()
    async with serving(chat_log, plugin_of(setup), clock=clock) as stage:
        assert await stage.told("/slow") == "done"
        assert await stage.told("/slow") == "Not so fast: /slow is yours again in 30 s."
        assert await stage.told("/slow", author=BOB) == "done"
        clock.now_s += 31
        assert await stage.told("/slow") == "done"


async def test_a_plugin_is_switched_off_in_one_chat_alone(chat_log, tmp_path):
    write(tmp_path)
    other = ChatRef("memory", "bot", "another room")
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        assert "is off in this chat" in await stage.told("/plugins off greeter")
        assert await stage.told("/greet") == "/greet is switched off in this chat."
        assert "/greet" not in await stage.told("/help")
        assert await stage.told("/greet", other) == "Hello!"
        assert "is on in this chat" in await stage.told("/plugins on greeter")
        assert await stage.told("/greet") == "Hello!"


# Hooks


async def test_hooks_change_what_is_asked_seen_kept_and_sent(chat_log):
    async def setup(ctx):
        async def before_log(message):
            return replace(message, segments=(Text(message.text.upper()),))

        async def before_generate(turn):
            first, *rest = turn.request.messages
            return replace(turn.request, messages=(replace(first, content="Be brief."), *rest))

        async def on_chunk(chat, text):
            return text.replace("bad", "***")

        async def after_generate(answer):
            return f"{answer.text} kept"

        async def before_send(chat, text):
            return f"{text} and sent"

        for hook in (before_log, before_generate, on_chunk, after_generate, before_send):
            getattr(ctx, hook.__name__)(hook)

    async with serving(chat_log, plugin_of(setup), scripts=[["a bad ", "word"]]) as stage:
        assert await stage.told("hello") == "a bad word kept and sent"
        (request,) = stage.bot.engine.requests
        assert [message.content for message in request.messages] == ["Be brief.", "HELLO"]
        assert all("bad" not in text for kind, _, text in stage.platform.shown if kind == "draft")
        (turn,) = await chat_log.history(CHAT)
        assert turn.answer == (Text("a bad word kept"),)


@pytest.mark.parametrize("hook", ["before_log", "before_generate", "after_generate", "before_send"])
async def test_a_veto_ends_it_and_is_told(chat_log, hook):
    async def veto(*_):
        return Veto("Not today.")

    async def setup(ctx):
        getattr(ctx, hook)(veto)

    async with serving(chat_log, plugin_of(setup), scripts=[["secret"]]) as stage:
        assert "secret" not in await stage.told("Hi")
        await stage.platform.until_shown(
            "send" if hook in ("after_generate", "before_send") else "notice", "Not today."
        )
        assert await chat_log.history(CHAT) == []


async def test_a_plugin_may_answer_in_place_of_the_model(chat_log):
    async def answer(message: Message) -> str | None:
        """Answer greetings."""
        return "Hello to you" if "hello" in message.text else None

    async def setup(ctx):
        ctx.on_message(answer)

    async with serving(chat_log, plugin_of(setup)) as stage:
        assert await stage.told("hello") == "Hello to you"
        assert await stage.told("other") == "You said: other"
        assert len(stage.bot.engine.requests) == 1


async def test_what_was_not_said_to_the_bot_is_seen_if_asked_for_and_never_kept(chat_log):
    seen = []

    async def look(message: Message) -> str:
        """See all."""
        seen.append(message.text)
        return "never said"

    async def setup(ctx):
        ctx.on_message(look, when=lambda message: not message.addressed)

    async with serving(chat_log, plugin_of(setup)) as stage:
        assert await stage.told("ambient", addressed=frozenset()) == ""
        async with asyncio.timeout(10):
            while not seen:
                await asyncio.sleep(0.01)
        assert seen == ["ambient"]
        assert (await chat_log.stats()).questions == {}


async def test_a_button_of_a_plugin_brings_back_what_it_was_made_with(chat_log):
    pressed = []

    async def choose(user: User, argument: str) -> str:
        """Choose."""
        pressed.append((user.id, argument))
        return "chosen"

    async def setup(ctx):
        button = ctx.button("choose", "Choose", choose)

        async def offer(chat: ChatRef) -> None:
            """Offer."""
            await ctx.say(chat, "Which?", [button("red"), button("blue")])

        ctx.command("offer", offer)

    async with serving(chat_log, plugin_of(setup)) as stage:
        await stage.told("/offer")
        (post,) = stage.platform.standing()
        stage.platform.press(post, post.buttons[1], BOB)
        await stage.platform.until(lambda: stage.platform.told == [(BOB, "chosen")])
        assert pressed == [(BOB.id, "blue")]


async def test_a_schedule_runs_by_the_clock_and_ends_with_its_plugin(chat_log, tmp_path):
    text = GREETER.replace(
        '"""Do nothing."""',
        '"""Count."""\n        await self.ctx.store.plugin.set("n", 1 + await self.ctx.store.plugin.get("n", 0))',
    )
    write(tmp_path, text=text)
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        async with asyncio.timeout(10):
            while await chat_log.data.get("greeter", None, "n") is None:
                await asyncio.sleep(0.01)
        await stage.host.unload("greeter")
        counted = await chat_log.data.get("greeter", None, "n")
        await asyncio.sleep(0.05)
        assert await chat_log.data.get("greeter", None, "n") == counted


# Settings


class Configured(Plugin):
    class Config(BaseModel):
        words: str = "Hello"
        number: int = 1

    name = "configured"

    async def setup(self, ctx):
        self.ctx = ctx
        ctx.command("show", self.show)

    async def show(self) -> str:
        """Show."""
        return f"{self.ctx.config.words} {self.ctx.config.number}"


async def test_a_plugin_has_typed_settings_from_the_environment(chat_log, monkeypatch):
    monkeypatch.setenv("PLUGIN_CONFIGURED__NUMBER", "7")
    async with serving(chat_log, Configured()) as stage:
        assert await stage.told("/show") == "Hello 7"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("PLUGIN_CONFIGURED__NUMBER", "seven", "PLUGIN_CONFIGURED__NUMBER='seven'"),
        ("PLUGIN_CONFIGURED__NUMBR", "7", "did you mean PLUGIN_CONFIGURED__NUMBER"),
    ],
)
async def test_a_setting_that_is_not_good_is_named(chat_log, monkeypatch, key, value, says):
    monkeypatch.setenv(key, value)
    with pytest.raises(PluginError, match=says):
        async with serving(chat_log, Configured()):
            pass


async def test_plugins_are_told_when_another_model_answers(chat_log, monkeypatch):
    told = []

    async def swapped(old, new):
        told.append((old, new))

    async def setup(ctx):
        ctx.on_model_swap(swapped)

    monkeypatch.setattr("bots.plugins.host.LOOK_AT_MODEL_S", 0.01)
    async with serving(chat_log, plugin_of(setup)) as stage:
        await asyncio.sleep(0.05)
        stage.bot.engine._version = "newer"
        async with asyncio.timeout(10):
            while not told:
                await asyncio.sleep(0.01)
        assert told == [("scripted", "newer")]


# What an attack has found


class BadStrError(Exception):
    def __str__(self):
        raise RuntimeError("not even that")


def raising(error):
    async def handler(*_):
        raise error

    return handler


@pytest.mark.parametrize(
    "error",
    [BadStrError(), SystemExit(1), asyncio.CancelledError(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("hook", ["before_log", "before_generate", "on_chunk", "after_generate", "before_send"])
async def test_whatever_a_hook_raises_answers_go_on_and_it_counts(chat_log, hook, error):
    async def setup(ctx):
        getattr(ctx, hook)(raising(error))

    async with serving(chat_log, plugin_of(setup)) as stage:
        faults = []
        stage.host._guard.on_fault = faults.append
        assert await stage.told("Hi") == "You said: Hi"
        assert faults


async def test_a_message_that_a_hook_has_spoiled_is_skipped_and_the_next_one_is_answered(chat_log):
    async def spoil(message):
        return replace(message, segments=("no segment",)) if message.text == "spoil" else None

    async def setup(ctx):
        ctx.before_log(spoil)

    async with serving(chat_log, plugin_of(setup)) as stage:
        assert await stage.told("spoil") == ""
        assert await stage.told("Hi") == "You said: Hi"


async def test_a_request_that_a_hook_has_emptied_is_asked_as_it_was(chat_log):
    async def empty(turn):
        return replace(turn.request, messages=())

    async def setup(ctx):
        ctx.before_generate(empty)

    async with serving(chat_log, plugin_of(setup)) as stage:
        assert await stage.told("Hi") == "You said: Hi"


@pytest.mark.parametrize("text", ["__init__(self, needed): pass", "__init__(self): raise ValueError('no')"])
async def test_a_class_that_cannot_be_made_is_reported_and_the_bot_goes_on(chat_log, tmp_path, text):
    write(tmp_path, "odd", GREETER.replace('"greeter"', '"odd"') + f"\n    def {text}\n")
    write(tmp_path, "leaving", "import sys\nsys.exit()")
    async with serving(chat_log, named=["odd", "leaving"], folder=tmp_path) as stage:
        listing = await stage.told("/plugins")
        assert "odd (cannot be made: " in listing
        assert "leaving (cannot be imported: SystemExit" in listing


async def test_a_teardown_that_awaits_a_task_it_has_cancelled_breaks_nothing(chat_log, tmp_path):
    teardown = """
    async def teardown(self):
        import asyncio
        task = asyncio.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        task.cancel()
        await task
"""
    write(tmp_path, text=GREETER + teardown)
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        assert "Done" in await stage.told("/plugins reload greeter")
        assert await stage.told("/greet") == "Hello!"
    assert not [name for name in sys.modules if name.startswith(f"{MODULE_PREFIX}greeter")]


@pytest.mark.parametrize("where", ["when", "spawn"])
async def test_code_outside_of_handlers_that_blocks_or_leaves_is_ended_too(chat_log, monkeypatch, where):
    monkeypatch.setattr("bots.plugins.watchdog.BLOCKED_FOR_S", 0.3)

    def block(*_):
        while True:
            pass

    async def background():
        block()

    async def look() -> None:
        """Look."""

    async def setup(ctx):
        if where == "when":
            ctx.on_message(look, when=block)
        else:
            ctx.spawn(background(), "blocking")

    async with serving(chat_log, plugin_of(setup)) as stage:
        assert await stage.told("Hi") == "You said: Hi"


@pytest.mark.parametrize("kind", ["many", "positional"])
async def test_parameters_that_cannot_be_given_by_name_are_refused_when_they_are_registered(chat_log, kind):
    async def many(*words: str) -> str: ...
    async def positional(word: str, /) -> str: ...

    async def setup(ctx):
        ctx.command("odd", {"many": many, "positional": positional}[kind])

    with pytest.raises(PluginError, match="cannot be given by name"):
        async with serving(chat_log, plugin_of(setup)):
            pass


async def test_a_plugin_that_is_off_in_a_chat_is_off_in_its_threads(chat_log, tmp_path):
    write(tmp_path)
    async with serving(chat_log, named=["greeter"], folder=tmp_path) as stage:
        await stage.told("/plugins off greeter")
        assert "switched off" in await stage.told("/greet", replace(CHAT, thread="7"))
        assert "greets (off in this chat)" in await stage.told("/plugins", replace(CHAT, thread="7"))


async def test_an_installed_plugin_takes_along_only_what_was_imported_for_it(chat_log, tmp_path, monkeypatch):
    package = tmp_path / "corp"
    package.mkdir()
    (package / "lib.py").write_text("")
    (package / "plugin.py").write_text("from corp import extra\n" + GREETER)
    (package / "extra.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("corp.lib")
    source = _installed(EntryPoint("greeter", "corp.plugin:Greeter", "mynah.plugins"))
    kind, release = source.load()
    assert kind.name == "greeter"
    release()
    assert "corp.lib" in sys.modules
    assert not {"corp.plugin", "corp.extra"} & set(sys.modules)
    del sys.modules["corp.lib"], sys.modules["corp"]
