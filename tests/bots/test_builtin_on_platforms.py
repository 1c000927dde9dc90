"""What the built-in plugins do for people on Discord and on Telegram, through the platforms' own libraries."""

import asyncio
import contextlib
import json
import sqlite3
from datetime import timedelta

import pytest
from platform_stages import APPS, GROUP, PRIVATE, served

from bots.chatlog import ChatLog, RequestState
from bots.chatlog.log import utc_now
from bots.plugins import PluginRules
from bots.policy import Policy, Purpose
from engine.registry import Registry

GOOD, BAD = "\N{THUMBS UP SIGN}", "\N{THUMBS DOWN SIGN}"
BETTER = "\N{PENCIL} Better"
ONLY_ADMINS, ONLY_OPERATORS = "Only those who look after this chat", "Only those who run this bot"

DICE = '''
from bots.plugins import Mention, Plugin


class Dice(Plugin):
    name = "dice"
    summary = "throws dice"

    async def setup(self, ctx):
        ctx.command("roll", self.roll)

    async def roll(self, sides: int, who: Mention | None = None) -> str:
        """Throw a die."""
        return f"A die with {sides} sides."
'''


@pytest.fixture(params=APPS)
async def app(request, monkeypatch):
    import discord
    from discord.gateway import DiscordWebSocket

    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    async with APPS[request.param]() as app:
        yield app


# Talking


async def test_help_lists_what_the_person_can_use_and_the_menu_has_it(app, chat_log):
    async with served(app, chat_log) as stage:
        for_operator, for_others = await stage.command("/help"), await stage.command("/help", stage.bob, GROUP)
        listed = [command for command in stage.bot.plugins.commands.values() if command.is_listed]
        assert app.menu() == [command.name for command in listed]
        for command in listed:
            assert f"/{command.name}" in for_operator
        assert "/rollback" in for_operator
        assert "/rollback" not in for_others
        assert "/persona [text]: Show who I am to be" in for_others


async def test_a_question_is_answered_with_ask_and_without(app, chat_log):
    async with served(app, chat_log) as stage:
        assert await stage.command("/ask why  so?", stage.bob, GROUP) == "You said: Bob why  so?"
        assert await stage.command("/ask why?", stage.bob) == "You said: why?"
        assert await stage.say("and so?", stage.bob, GROUP) == "You said: Bob and so?"
        assert stage.said_to(stage.carol, GROUP) == stage.said_to(stage.bob, GROUP)


@pytest.mark.parametrize("where", [PRIVATE, GROUP])
async def test_an_answer_is_stopped_as_it_stands(app, chat_log, where):
    async with served(app, chat_log, ("It began", asyncio.Event().wait)) as stage:
        app.say(stage.bob, where, "Tell me a story")
        await stage.until(lambda: stage.bot.engine.requests)
        app.give(stage.bob, where, "/stop")
        await stage.until(lambda: "Stopped." in stage.said_to(stage.bob, where))
        await stage.until(lambda: "It began" in stage.said_to(stage.bob, where))
        await stage.until_idle()
        assert "nothing to stop" in await stage.command("/stop", stage.bob, where)


async def test_the_last_answer_is_given_again_in_place(app, chat_log):
    async with served(app, chat_log, ("one",), ("two",)) as stage:
        await stage.say("A number?", stage.bob, GROUP)
        app.give(stage.bob, GROUP, "/retry")
        await stage.until(lambda: stage.said_to(stage.bob, GROUP) == "two")
        await stage.until(lambda: not app.is_thinking(stage.bob, GROUP))
        assert "nothing that I could answer again" in await stage.command("/retry", stage.bob)


async def test_a_reset_begins_a_new_conversation(app, chat_log):
    async with served(app, chat_log) as stage:
        await stage.say("Remember the number 7", stage.bob)
        assert "forgotten" in await stage.command("/reset", stage.bob)
        await stage.say("Which number?", stage.bob)
        assert "7" not in repr(stage.bot.engine.requests[-1].messages)
        assert ONLY_ADMINS in await stage.command("/reset", stage.bob, GROUP)
        assert "forgotten" in await stage.command("/reset", stage.carol, GROUP)


async def test_a_command_that_is_not_there_is_named(app, chat_log):
    async with served(app, chat_log) as stage:
        assert "Did you mean /reset?" in await stage.say("/rest", stage.bob)
        assert await stage.say("//rest", stage.bob) == "You said: /rest"


# Persona


async def test_moderators_change_the_persona_of_a_group_and_all_may_look(app, chat_log):
    async with served(app, chat_log) as stage:
        assert await stage.command("/persona", stage.bob, GROUP) == "My persona: Be kind."
        assert ONLY_ADMINS in await stage.command("/persona A pirate.", stage.bob, GROUP)
        assert "now: A pirate." in await stage.command("/persona A pirate.", stage.carol, GROUP)
        await stage.say("Hi", stage.bob, GROUP)
        assert stage.bot.engine.requests[-1].messages[0].content.startswith("A pirate.")
        assert "now: A pirate." in stage.said_to(stage.bob, GROUP)  # all see who it is now
        assert "now: Be kind." in await stage.command("/persona default", stage.carol, GROUP)
        assert "now: Mine." in await stage.command("/persona Mine.", stage.bob)


# Model


async def test_the_operator_rolls_back_and_hears_when_the_other_model_answers(
    app, chat_log, tmp_path, bundles, start_engine
):
    registry = Registry(tmp_path / "models")
    first, second = (registry.add(bundles(seed=seed)) for seed in (0, 1))
    registry.promote(first, "first")
    registry.promote(second, "second")
    engine = await start_engine(registry=tmp_path / "models", champion_poll_s=0.05)
    async with served(app, chat_log, engine=engine, registry=tmp_path / "models") as stage:
        assert (await stage.command("/model", stage.bob)).startswith(f"Model version: {second}")
        assert ONLY_OPERATORS in await stage.command("/rollback", stage.bob)
        await stage.command("/notices here")
        assert f"Going back to {first}" in await stage.command("/rollback")
        await stage.until(lambda: f"From now on {first} answers; before it was {second}." in stage.said_to(stage.ann))
        assert (await stage.command("/model", stage.bob)).startswith(f"Model version: {first}")
        assert registry.history()[-1].reason == f"/rollback by {app.name}:{stage.ann.id}"
        assert "That is not possible: " in await stage.command("/rollback")


# Feedback


async def count(log, of):
    return (await log.stats()).others[of]


async def test_buttons_rate_an_answer_for_whoever_presses_them(app, chat_log):
    async with served(app, chat_log) as stage:
        await stage.say("Hi", stage.bob, GROUP)
        assert "noted" in await stage.press(GOOD, stage.bob, GROUP)
        assert "noted" in await stage.press(BAD, stage.carol, GROUP)
        for person, score in ((stage.bob, 1), (stage.carol, -1)):
            (given,) = (await chat_log.export(app.name, str(person.id)))["feedback"]
            assert given["score"] == score


async def test_reactions_rate_an_answer(app, chat_log):
    app.hear_all()
    async with served(app, chat_log) as stage:
        await stage.say("Hi", stage.bob, GROUP)
        app.react(stage.carol, stage.answer(stage.bob, GROUP), GOOD)

        async def scores():
            return [given["score"] for given in (await chat_log.export(app.name, str(stage.carol.id)))["feedback"]]

        await stage.until(lambda: is_so(scores(), [1]))


async def is_so(found, expected):
    return await found == expected


@pytest.mark.parametrize("where", [PRIVATE, GROUP])
async def test_a_better_answer_is_given_in_reply_once_it_was_announced(app, chat_log, where):
    async with served(app, chat_log) as stage:
        await stage.say("What is 2+2?", stage.bob, where)
        answer = stage.answer(stage.bob, where)
        assert "Reply to that answer" in await stage.press(BETTER, stage.bob, where)
        assert "what I should have said" in await stage.say("It is 4.", stage.bob, where, reply_to=answer)
        assert len(stage.bot.engine.requests) == 1
        await stage.say("Why?", stage.bob, where, reply_to=answer)  # only one: this is a question again
        assert len(stage.bot.engine.requests) == 2
        (given,) = (await chat_log.export(app.name, str(stage.bob.id)))["corrections"]
        assert "It is 4." in json.dumps(given)


async def test_teach_means_the_last_answer_or_the_one_whose_button_was_pressed(app, chat_log):
    async with served(app, chat_log) as stage:
        assert "I do not know which answer" in await stage.command("/teach Four.", stage.bob)
        await stage.say("first?", stage.bob)
        assert "noted" in await stage.command("/teach First better.", stage.bob)
        assert "Reply to that answer" in await stage.press(BETTER, stage.bob)
        assert "noted" in await stage.command("/teach Even better.", stage.bob)
        corrections = (await chat_log.export(app.name, str(stage.bob.id)))["corrections"]
        assert "Even better." in json.dumps(corrections)


# Privacy


@contextlib.asynccontextmanager
async def opened(database, **policy):
    """A log whose operator answers for something.

    Telegram tells times in whole seconds: for what is said within the second of a consent, its clock is behind ours.
    """
    async with ChatLog.open(database, policy=Policy(**policy), now=lambda: utc_now() - timedelta(seconds=2)) as log:
        yield log


async def trainable(log):
    return [turn async for turn in log.training.turns()]


REFUSALS = {"discord": "discord-not-permitted", "telegram": "telegram-not-confirmed"}
ALLOWING = {"discord": {"discord_permission": "ticket 1"}, "telegram": {"telegram_confirmed": True}}


@pytest.mark.parametrize("where", [PRIVATE, GROUP])
async def test_people_are_told_by_which_rule_nothing_is_trained_on(app, chat_log, where):
    async with served(app, chat_log) as stage:
        text = await stage.command("/privacy", stage.bob, where)
        assert "kept for 30 days, encrypted" in text
        assert (text in stage.said_to(stage.carol, GROUP)) is (where is GROUP and not app.has_slash_commands)
        assert f"({REFUSALS[app.name]}: " in text
        await stage.command("/consent training", stage.bob, where)
        agreed = await stage.command("/consent training yes", stage.bob, where)
        verdict = (await chat_log.consents.verdicts(stage.user(stage.bob), stage.chat(stage.bob, where)))[
            Purpose.TRAINING
        ]
        assert verdict.rule == REFUSALS[app.name]
        assert agreed.endswith(f"For now it changes nothing: {verdict.reason}")
        await stage.say("Do not train on this.", stage.bob, where)
        assert await trainable(chat_log) == []


@pytest.mark.parametrize("where", [PRIVATE, GROUP])
async def test_with_leave_and_consent_what_is_said_afterwards_is_trained_on_until_it_is_taken_back(
    app, database, where
):
    async with opened(database, **ALLOWING[app.name]) as log, served(app, log) as stage:
        assert "training: you have said nothing" in await stage.command("/consent", stage.bob, where)
        await stage.say("Not on this.", stage.bob, where)
        assert await trainable(log) == []
        await stage.command("/consent training", stage.bob, where)
        assert "takes it back" in await stage.command("/consent training yes", stage.bob, where)
        await stage.say("Train on this.", stage.bob, where)
        await stage.say("But not on this.", stage.carol, where)
        (turn,) = await trainable(log)
        assert "Train on this." in repr(turn)
        assert "it may be used" in await stage.command("/privacy", stage.bob, where)
        assert "no training" in await stage.command("/consent training no", stage.bob, where)
        assert await trainable(log) == []
        assert "training: no since" in await stage.command("/consent", stage.bob, where)


async def test_each_person_in_a_group_agrees_with_a_press_of_their_own(app, database):
    async with opened(database, **ALLOWING[app.name]) as log, served(app, log) as stage:
        await stage.command("/consent training", stage.ann, GROUP)
        assert not app.is_thinking(stage.ann, GROUP)
        assert "train the language model" in stage.answer(stage.carol, GROUP).text  # all see it, and its buttons
        assert "takes it back" in await stage.press("I agree", stage.bob, GROUP)
        assert "no training" in await stage.press("I do not", stage.carol, GROUP)
        for person, is_allowed in ((stage.ann, False), (stage.bob, True), (stage.carol, False)):
            verdicts = await log.consents.verdicts(stage.user(person), stage.chat(person, GROUP))
            assert verdicts[Purpose.TRAINING].is_allowed is is_allowed
        elsewhere = await log.consents.verdicts(stage.user(stage.bob), stage.chat(stage.bob))
        assert not elsewhere[Purpose.TRAINING].is_allowed


async def test_whoever_does_not_want_to_be_remembered_is_answered_and_forgotten(app, chat_log):
    async with served(app, chat_log) as stage:
        await stage.say("My name is Bob.", stage.bob)
        await stage.command("/consent memory", stage.bob)
        assert "no memory" in await stage.press("I do not", stage.bob)
        assert await stage.say("What is my name?", stage.bob) == "You said: What is my name?"
        assert "Bob" not in repr(stage.bot.engine.requests[-1].messages)
        assert await chat_log.history(stage.chat(stage.bob)) == []


def rows_of(database, person):
    """How many rows of the database are of what a person has said, as SQLite has them."""
    connection = sqlite3.connect(database.url.removeprefix("sqlite:///"))
    with contextlib.closing(connection):
        told = "SELECT count(*) FROM messages WHERE author_id = ?"
        rated = "SELECT count(*) FROM feedback WHERE user_id = ?"
        return [connection.execute(query, (str(person.id),)).fetchone()[0] for query in (told, rated)]


async def test_forget_explains_itself_and_removes_all_rows_of_a_person(app, chat_log, database):
    async with served(app, chat_log) as stage:
        for where in (PRIVATE, GROUP):
            await stage.say("My secret is a parrot.", stage.bob, where)
            assert "noted" in await stage.press(GOOD, stage.bob, where)
        await stage.say("And mine is a crow.", stage.carol, GROUP)
        await stage.command("/forget", stage.bob)
        assert "cannot be undone" in stage.answer(stage.bob).text
        assert rows_of(database, stage.bob)[1] == 2
        said = await stage.command("/forget everywhere", stage.bob, GROUP)
        assert said.startswith("I have forgotten you everywhere on this platform: ")
        assert "2 ratings" in said
        # The command by which it was done is no message of theirs.
        assert rows_of(database, stage.bob) == [0, 0]
        assert rows_of(database, stage.carol)[0] == 1
        assert "parrot" not in json.dumps(await chat_log.export(app.name, str(stage.bob.id)))


async def test_a_button_forgets_whoever_presses_it_where_it_says(app, chat_log, database):
    async with served(app, chat_log) as stage:
        for where in (PRIVATE, GROUP):
            await stage.say("Bob is here", stage.bob, where)
        await stage.command("/forget", stage.carol, GROUP)
        assert not app.is_thinking(stage.carol, GROUP)
        assert "Press once more" in await stage.press("In this chat", stage.bob, GROUP)
        assert "I have forgotten you in this chat: 1 messages" in await stage.press("In this chat", stage.bob, GROUP)
        assert await chat_log.history(stage.chat(stage.bob, GROUP)) == []
        assert len(await chat_log.history(stage.chat(stage.bob))) == 1
        assert "Press once more" in await stage.press("Everywhere", stage.bob, GROUP)
        assert "forgotten you everywhere" in await stage.press("Everywhere", stage.bob, GROUP)
        assert rows_of(database, stage.bob) == [0, 0]


async def test_whoever_presses_a_button_is_told_all_of_a_long_text(app, database):
    versions = [f"smollm2-135m-instruct-{number:04}" for number in range(1, 7)]
    async with opened(database, **ALLOWING[app.name]) as log, served(app, log) as stage:
        await stage.command("/consent training", stage.bob)
        await stage.command("/consent training yes", stage.bob)
        await stage.say("Train on this.", stage.bob)
        (turn,) = await trainable(log)
        for version in versions:
            await log.training.note_model(version, [each.message_id for each in turn.messages])
        await stage.command("/forget", stage.bob)
        assert "Press once more" in await stage.press("Everywhere", stage.bob)
        said = await stage.press("Everywhere", stage.bob)
        assert said.startswith("I have forgotten you everywhere on this platform: ")
        assert all(version in said for version in versions)
        assert rows_of(database, stage.bob) == [0, 0]


async def test_an_export_is_a_file_that_the_person_alone_gets(app, chat_log):
    async with served(app, chat_log) as stage:
        await stage.say("Bob says this", stage.bob)
        await stage.say("Carol says that", stage.carol, GROUP)
        assert "That is all I have of you." in await stage.command("/export", stage.bob)
        ((name, data),) = [file for each in stage.seen(stage.bob) for file in each.files]
        assert name == "mynah-export.json"
        assert "Bob says this" in json.dumps(json.loads(data))
        assert "Carol" not in data.decode()


async def test_in_a_group_an_export_is_for_one_person_or_refused(app, chat_log):
    async with served(app, chat_log) as stage:
        await stage.say("Bob says this", stage.bob, GROUP)
        said = await stage.command("/export", stage.bob, GROUP)
        files = [file for each in stage.seen(stage.bob, GROUP) for file in each.files]
        assert [file for each in stage.seen(stage.carol, GROUP) for file in each.files] == []
        if app.has_slash_commands:
            ((_, data),) = files
            assert "Bob says this" in data.decode()
            assert "That is all I have of you." in said
            assert "That is all I have of you." not in stage.said_to(stage.carol, GROUP)
        else:
            assert files == []
            assert "Others can read this chat" in said


# Looking after the bot


async def test_a_group_is_answered_when_a_keyword_falls(app, chat_log):
    app.hear_all()
    async with served(app, chat_log) as stage:
        assert "Between the two of us" in await stage.command("/trigger", stage.bob)
        assert ONLY_ADMINS in await stage.command("/trigger every", stage.bob, GROUP)
        assert "Please name the words" in await stage.command("/trigger keywords", stage.carol, GROUP)
        assert "mynah, bird" in await stage.command("/trigger keywords mynah, bird", stage.carol, GROUP)
        assert await stage.say("a bird!", stage.bob, GROUP, is_call=False) == "You said: Bob a bird!"
        await stage.until_ignored(stage.bob, GROUP, lambda: app.say(stage.bob, GROUP, "a fish", is_call=False))


async def test_plugins_are_listed_and_switched_off_and_on_in_one_chat(app, chat_log):
    async with served(app, chat_log) as stage:
        assert "feedback 1: telling me what was good" in await stage.command("/plugins", stage.bob, GROUP)
        assert ONLY_ADMINS in await stage.command("/plugins off feedback", stage.bob, GROUP)
        assert "cannot be switched off" in await stage.command("/plugins off privacy", stage.carol, GROUP)
        assert "is off in this chat" in await stage.command("/plugins off feedback", stage.carol, GROUP)
        await stage.say("Hi", stage.bob, GROUP)
        assert GOOD not in stage.answer(stage.bob, GROUP).buttons
        assert "switched off in this chat" in await stage.command("/teach Better.", stage.bob, GROUP)
        assert "/teach" not in await stage.command("/help", stage.bob, GROUP)
        assert "/teach" in await stage.command("/help", stage.bob)
        assert "teach" in app.menu()  # which is the same for all chats
        await stage.command("/plugins on feedback", stage.carol, GROUP)
        await stage.say("Hi", stage.bob, GROUP)
        assert GOOD in stage.answer(stage.bob, GROUP).buttons


async def test_a_plugin_that_is_loaded_is_in_the_menu_and_gone_once_it_is_unloaded(app, chat_log, tmp_path):
    (tmp_path / "dice.py").write_text(DICE)
    async with served(app, chat_log, plugins=PluginRules(folder=tmp_path)) as stage:
        builtin = app.menu()
        assert ONLY_OPERATORS in await stage.command("/plugins load dice", stage.carol, GROUP)
        assert "Done: /plugins load dice." in await stage.command("/plugins load dice", stage.ann)
        await stage.until(lambda: app.menu() == [*builtin, "roll"])
        assert await stage.command("/roll 6", stage.bob, GROUP) == "A die with 6 sides."
        assert "throws dice" in await stage.command("/plugins", stage.ann)
        assert "Done: /plugins unload dice." in await stage.command("/plugins unload dice", stage.ann)
        await stage.until(lambda: app.menu() == builtin)
        assert "There is no command /roll." in await stage.say("/roll 6", stage.bob)
        assert "there is no plugin dicee" in await stage.command("/plugins load dicee", stage.ann)


async def test_whom_operators_deny_is_ignored_but_for_their_rights(app, chat_log):
    app.hear_all()
    async with served(app, chat_log) as stage:
        await stage.say("Hi", stage.bob, GROUP)
        assert f"Done: deny {app.name}:{stage.bob.id}." in await stage.command("/access deny @Bob", stage.ann)
        assert f"Ignored: {app.name}:{stage.bob.id}\n" in await stage.command("/access")
        for where in (PRIVATE, GROUP):
            await stage.until_ignored(stage.bob, where, lambda where=where: app.say(stage.bob, where, "Hello?"))
            await stage.until_ignored(stage.bob, where, lambda where=where: app.give(stage.bob, where, "/help"))
        answer = stage.answer(stage.bob, GROUP)
        press = await stage.until_ignored(stage.bob, GROUP, lambda: app.press(stage.bob, answer, GOOD))
        assert app.told(press) == ""
        await stage.until_ignored(stage.bob, GROUP, lambda: app.react(stage.bob, answer, GOOD))
        assert (await chat_log.stats()).feedback == 0
        for where in (PRIVATE, GROUP):
            assert "kept for 30 days" in await stage.command("/privacy", stage.bob, where)
            assert "Noted: no memory" in await stage.command("/consent memory no", stage.bob, where)
            await stage.command("/forget", stage.bob, where)
            assert "Press once more" in await stage.press("Everywhere", stage.bob, where)
            assert "I have forgotten you" in await stage.press("Everywhere", stage.bob, where)
        assert "That is all I have of you." in await stage.command("/export", stage.bob)
        await stage.command(f"/access clear {app.name}:{stage.bob.id}")
        assert await stage.say("Hello?", stage.bob) == "You said: Hello?"
        assert ONLY_OPERATORS in await stage.command("/access", stage.bob)


@pytest.mark.parametrize("where", [PRIVATE, GROUP])
async def test_a_quota_is_told_once(app, chat_log, where):
    async with served(app, chat_log) as stage:
        assert "no limit" in await stage.command("/quota")
        assert "2 messages" in await stage.command("/quota 2")
        assert "You said" in await stage.say("one", stage.bob, where)
        assert "My persona" in await stage.command("/persona", stage.bob, where)
        assert "which is the limit" in await stage.command("/persona", stage.bob, where)
        assert not app.is_thinking(stage.bob, where)
        await stage.until_ignored(stage.bob, where, lambda: app.give(stage.bob, where, "/persona"))
        assert "kept for 30 days" in await stage.command("/privacy", stage.bob, where)
        assert ONLY_OPERATORS in await stage.command("/quota 9", stage.carol, where)


# Training


async def test_operators_ask_for_a_new_model_and_are_told_what_became_of_it(app, chat_log, monkeypatch):
    monkeypatch.setattr("bots.builtin.retrain.WAIT_FOR_ANSWER_S", 0.0)
    async with served(app, chat_log) as stage:
        assert ONLY_OPERATORS in await stage.command("/retrain", stage.bob)
        assert "Nobody has asked" in await stage.command("/retrain status")
        assert "Noted." in await stage.command("/retrain")
        assert "asked for already" in await stage.command("/retrain now")
        request = await chat_log.mailbox.take("retrain")
        await chat_log.mailbox.end(request.id, is_done=False, note="not enough data")
        assert f"{RequestState.FAILED} (not enough data)" in await stage.command("/retrain status")
        await chat_log.mailbox.post_notice("Run 7 has failed.")
        assert "I tell you here" in await stage.command("/notices here")
        await stage.until(lambda: "Run 7 has failed." in stage.said_to(stage.ann))
        await stage.until(lambda: is_so(chat_log.mailbox.undelivered(), []))
        assert "I do not tell you here" in await stage.command("/notices off")
        assert stage.said_to(stage.ann).count("Run 7") == 1
        assert "Run 7" not in stage.said_to(stage.bob) + stage.said_to(stage.bob, GROUP)


# What is so on one platform alone


@pytest.mark.parametrize("app", ["telegram"], indirect=True)
async def test_a_username_of_which_telegram_does_not_tell_whose_it_is_is_nobody_to_deny(app, chat_log):
    app.server.add_user("Dora", "dora")
    async with served(app, chat_log) as stage:
        assert "is neither here, nor a mention" in await stage.command("/access deny @dora")
        assert "Ignored: nobody\n" in await stage.command("/access")


TEXT, INTEGER, BOOLEAN = 3, 4, 5


@pytest.mark.parametrize("app", ["discord"], indirect=True)
async def test_slash_options_arrive_typed(app, chat_log):
    async with served(app, chat_log) as stage:
        options = {
            command["name"]: {option["name"]: option for option in command["options"]}
            for command in app.bot.commands[None]
        }
        assert options["quota"]["per_hour"]["type"] == INTEGER
        consent = options["consent"]
        assert (consent["purpose"]["type"], consent["answer"]["type"]) == (TEXT, BOOLEAN)
        assert [choice["value"] for choice in consent["purpose"]["choices"]] == ["memory", "training"]
        await stage.command("/quota 5")
        assert app.server.interactions.all[-1].data["options"] == [{"name": "per_hour", "type": INTEGER, "value": 5}]
        assert "5 messages" in await stage.command("/quota")
        await stage.command("/consent training no")
        assert app.server.interactions.all[-1].data["options"][1] == {"name": "answer", "type": BOOLEAN, "value": False}
        with pytest.raises(LookupError):
            app.server.invoke(stage.ann, app.channel, app.bot, "consent", {"purpose": "fun"})
