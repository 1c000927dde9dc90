"""What the built-in plugins do for people."""

import asyncio
import contextlib
import json
from datetime import timedelta

import pytest

from bots import Caps, ChatRef, Mention, Message, Quote, Text, User
from bots.bot import BotRules, open_bot
from bots.chatlog import ChatLog, RequestState
from bots.message import Reacted
from bots.plugins import Plugin
from bots.policy import Policy, Purpose
from bots.testing import ANN, BOB, CHAT, FakePlatform, ScriptedEngine, VirtualClock
from engine import Completion, FinishReason
from engine.metrics import Metrics
from engine.registry import Registry

GROUP = ChatRef("memory", "bot", "group")
CALLED = frozenset({"command"})
MENTIONED = frozenset({"mention"})
CAPS = Caps(can_edit=True, has_buttons=True, first_text_s=0.0)


class Stage:
    def __init__(self, bot, platform, log):
        self.bot, self.platform, self.log = bot, platform, log

    async def told(self, text, chat=CHAT, author=ANN, **fields):
        """What the bot says to one message."""
        settled, shown = len(self.platform.settled_messages), len(self.platform.shown)
        self.platform.say(text, chat, author=author, **fields)
        await self.platform.until_settled(settled + 1)
        return "\n".join(said for kind, _, said in self.platform.shown[shown:] if kind in ("send", "notice"))

    async def pressed(self, post, label, user=ANN):
        """What the person is told who presses a button."""
        told = len(self.platform.told)
        (button,) = (each for each in post.buttons if label in each.label)
        self.platform.press(post, button, user)
        await self.platform.until(lambda: len(self.platform.told) > told)
        return self.platform.told[-1][1]

    @property
    def last(self):
        return self.platform.standing()[-1]


@contextlib.asynccontextmanager
async def serving(log, *scripts, version="scripted", engine=None, **rules):
    platform = FakePlatform(CAPS)
    assert platform.group("group") == GROUP
    rules = BotRules("Be kind.", operator_ids=frozenset({("memory", ANN.id)}), retention_days=30, **rules)
    async with (
        engine or ScriptedEngine(scripts, version=version) as engine,
        open_bot(engine, log, rules) as bot,
        platform,
        asyncio.TaskGroup() as group,
    ):
        dispatcher = bot.dispatcher(platform)
        running = group.create_task(dispatcher.run())
        yield Stage(bot, platform, log)
        dispatcher.close()
        await running


# Chat, persona, model


async def test_help_lists_what_the_person_can_use(chat_log):
    async with serving(chat_log) as stage:
        for_operator, for_others = await stage.told("/help"), await stage.told("/help", author=BOB)
        for command in stage.bot.plugins.commands.values():
            assert (f"{command.usage}: {command.summary}" in for_operator) is command.is_listed
        assert "/rollback" in for_operator
        assert "/rollback" not in for_others
        assert "/persona [text]: Show who I am to be" in for_others
        assert "/ask <question>: ask me something" in for_others


async def test_every_command_has_a_summary_that_menus_can_show(chat_log):
    async with serving(chat_log) as stage:
        for command in stage.bot.plugins.commands.values():
            assert 5 <= len(command.summary) <= 100, command.name
            assert all(parameter.summary for parameter in command.parameters)


async def test_the_persona_is_shown_changed_and_set_back(chat_log):
    async with serving(chat_log) as stage:
        assert await stage.told("/persona") == "My persona: Be kind."
        assert "now: A pirate." in await stage.told("/persona A pirate.")
        await stage.told("Hi")
        assert stage.bot.engine.requests[-1].messages[0].content == "A pirate."
        assert "now: Be kind." in await stage.told("/persona default")
        assert "too much" in await stage.told(f"/persona {'x' * 1001}")


async def test_only_moderators_change_a_groups_persona_and_reset_it_and_all_may_look(chat_log):
    async with serving(chat_log) as stage:
        assert "Be kind." in await stage.told("/persona", GROUP, BOB, addressed=CALLED)
        for command in ("/persona Rude.", "/reset", "/trigger every"):
            assert "Only those who look after this chat" in await stage.told(command, GROUP, BOB, addressed=CALLED)
        stage.platform.moderators.add(BOB)
        assert "Rude." in await stage.told("/persona Rude.", GROUP, BOB, addressed=CALLED)


async def test_a_reset_begins_a_new_conversation(chat_log):
    async with serving(chat_log) as stage:
        await stage.told("Remember the number 7")
        assert "forgotten" in await stage.told("/reset")
        await stage.told("Which number?")
        assert "7" not in repr(stage.bot.engine.requests[-1].messages)


async def test_triggers_are_for_groups_and_keywords_need_words(chat_log):
    async with serving(chat_log) as stage:
        assert "Between the two of us" in await stage.told("/trigger")
        stage.platform.moderators.add(BOB)
        assert "Please name the words" in await stage.told("/trigger keywords", GROUP, BOB, addressed=CALLED)
        assert "mynah, bird" in await stage.told("/trigger keywords mynah, bird", GROUP, BOB, addressed=CALLED)
        assert await stage.told("a bird!", GROUP, BOB, addressed=frozenset()) == "You said: Bob a bird!"


async def test_the_model_that_answers_is_named(chat_log):
    async with serving(chat_log, version="smollm2-0001") as stage:
        assert await stage.told("/model", author=BOB) == "Model version: smollm2-0001"


async def test_a_rollback_is_the_operators_and_moves_the_registry_back(chat_log, tmp_path, bundles):
    registry = Registry(tmp_path / "models")
    first, second = (registry.add(bundles(seed=seed)) for seed in (0, 1))
    registry.promote(first, "first")
    registry.promote(second, "second")
    async with serving(chat_log, registry=tmp_path / "models") as stage:
        assert "Only those who run this bot" in await stage.told("/rollback", author=BOB)
        assert f"Going back to {first}" in await stage.told("/rollback")
        assert registry.champion() == first
        assert registry.history()[-1].reason == "/rollback by memory:1"
        assert "That is not possible: " in await stage.told("/rollback")
    async with serving(chat_log) as stage:
        assert "nothing to go back to" in await stage.told("/rollback")


# Feedback


async def test_buttons_and_reactions_rate_an_answer(chat_log):
    async with serving(chat_log) as stage:
        await stage.told("Hi")
        assert "noted" in await stage.pressed(stage.last, "\N{THUMBS UP SIGN}")
        stage.platform.happen(Reacted(CHAT, stage.last.id, BOB, -1, stage.log.now()))
        await until(lambda: count_feedback(stage.log, 2))
        unknown = stage.last.__class__(**{**vars(stage.last), "id": "unknown"})
        assert "do not remember" in await stage.pressed(unknown, "\N{THUMBS DOWN SIGN}")


async def until(condition):
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def count_feedback(log, number):
    return (await log.stats()).feedback == number


async def test_a_better_answer_is_given_in_reply_once_it_was_announced(chat_log):
    async with serving(chat_log) as stage:
        await stage.told("What is 2+2?")
        answer = stage.last
        assert "Reply to that answer" in await stage.pressed(answer, "Better")
        quote = Quote(answer.id, None, (Text(answer.text),))
        said = await stage.told("It is 4.", quote=quote, addressed=frozenset({"direct", "reply"}))
        assert "what I should have said" in said
        assert len(stage.bot.engine.requests) == 1
        # Only one: the next reply is a question again.
        assert "You said: Why?" in await stage.told("Why?", quote=quote)
        (given,) = (await stage.log.export("memory", ANN.id))["corrections"]
        assert "It is 4." in json.dumps(given)


async def test_teach_means_the_answer_replied_to_or_the_last_one(chat_log):
    async with serving(chat_log) as stage:
        assert "I do not know which answer" in await stage.told("/teach Four.")
        await stage.told("first?")
        first = stage.last
        await stage.told("second?")
        assert "noted" in await stage.told("/teach Second better.")
        quote = Quote(first.id, None, ())
        assert "noted" in await stage.told("/teach First better.", quote=quote)
        corrections = (await stage.log.export("memory", ANN.id))["corrections"]
        assert len(corrections) == 2
        assert "Please say more" in await stage.told("/teach")


async def test_rate_means_the_answer_replied_to_or_the_last_one_and_counts_as_a_button(chat_log):
    async with serving(chat_log) as stage:
        assert "I do not know which answer" in await stage.told("/rate good")
        await stage.told("first?")
        first = stage.last
        await stage.told("second?")
        assert "noted" in await stage.told("/rate good")
        assert "noted" in await stage.told("/rate bad", quote=Quote(first.id, None, ()))
        assert "noted" in await stage.told("/rate bad")
        scores = [row["score"] for row in (await stage.log.export("memory", ANN.id))["feedback"]]
        assert scores == [-1, -1]
        assert "Please say more" in await stage.told("/rate")


async def test_other_plugins_hear_of_feedback(chat_log):
    heard = []

    class Listener(Plugin):
        name = "listener"

        async def setup(self, ctx):
            ctx.on_feedback(self.hear)

        async def hear(self, feedback):
            heard.append((feedback.user.id, feedback.score, feedback.correction))

    async with serving(chat_log) as stage:
        await stage.bot.plugins._begin(Listener(), None, lambda: None)
        await stage.told("Hi")
        await stage.pressed(stage.last, "\N{THUMBS DOWN SIGN}", BOB)
        await stage.told("/teach Hello!")
        assert heard == [(BOB.id, -1, None), (ANN.id, 0, "Hello!")]


# Privacy


@contextlib.asynccontextmanager
async def permissive(database):
    """A log whose operator has allowed training on this platform, by the platform's clock."""
    policy = Policy(other_platforms=frozenset({"memory"}))
    async with ChatLog.open(database, policy=policy, now=VirtualClock().now) as log:
        yield log


async def test_privacy_tells_what_is_kept_and_by_which_rule_nothing_is_trained_on(chat_log):
    async with serving(chat_log) as stage:
        text = await stage.told("/privacy")
        assert "kept for 30 days, encrypted" in text
        verdict = (await chat_log.consents.verdicts(ANN, CHAT))[Purpose.TRAINING]
        assert not verdict.is_allowed
        assert verdict.rule in text
        assert "/consent" in text
        assert "/forget" in text
        assert "/export" in text


async def test_consent_is_shown_given_by_command_and_taken_back(database):
    async with permissive(database) as log, serving(log) as stage:
        assert "training: you have said nothing" in await stage.told("/consent")
        assert "train the language model" in await stage.told("/consent training yes")  # nobody agrees unseen
        assert not (await log.consents.verdicts(ANN, CHAT))[Purpose.TRAINING].is_allowed
        assert "Noted, thank you" in await stage.told("/consent training yes")
        assert (await log.consents.verdicts(ANN, CHAT))[Purpose.TRAINING].is_allowed
        assert not (await log.consents.verdicts(BOB, CHAT))[Purpose.TRAINING].is_allowed
        assert "it may be used" in await stage.told("/privacy")
        await stage.told("Train on this.")
        assert len([turn async for turn in log.training.turns()]) == 1
        assert "no training" in await stage.told("/consent training no")
        assert [turn async for turn in log.training.turns()] == []
        assert "training: no since" in await stage.told("/consent")


async def test_each_person_in_a_group_agrees_with_a_press_of_their_own(database):
    async with permissive(database) as log, serving(log) as stage:
        await stage.told("/consent training", GROUP, ANN, addressed=CALLED)
        (post,) = stage.platform.standing(GROUP)
        assert "train the language model" in post.text
        assert "Noted, thank you" in await stage.pressed(post, "I agree", BOB)
        assert (await log.consents.verdicts(BOB, GROUP))[Purpose.TRAINING].is_allowed
        assert not (await log.consents.verdicts(ANN, GROUP))[Purpose.TRAINING].is_allowed
        assert not (await log.consents.verdicts(BOB, CHAT))[Purpose.TRAINING].is_allowed  # this chat only


async def test_consent_that_changes_nothing_yet_says_why(chat_log):
    async with serving(chat_log) as stage:
        await stage.told("/consent training")
        assert "For now it changes nothing" in await stage.told("/consent training yes")


@pytest.mark.parametrize("argument", ["", ":training-0", ":training.private", ":x.y", ":memory.private.z"])
async def test_a_button_that_was_made_up_or_is_of_an_earlier_text_records_nothing(chat_log, argument):
    async with serving(chat_log) as stage:
        await stage.told("Bob is here", GROUP, BOB, addressed=MENTIONED)
        stage.platform.press(stage.platform.standing(GROUP)[0], f"privacy:agree{argument}", ANN)
        await stage.platform.until(lambda: stage.platform.told)
        assert "is not what I ask any more" in stage.platform.told[0][1]
        assert await chat_log.consents.history("memory", ANN.id) == []
        await stage.told("/forget here", GROUP, ANN, addressed=CALLED)
        assert len(await chat_log.history(GROUP)) == 1


async def test_whoever_does_not_want_to_be_remembered_is_answered_and_forgotten(chat_log):
    async with serving(chat_log) as stage:
        await stage.told("My name is Ann.")
        await stage.told("/consent memory no")
        assert await stage.told("What is my name?") == "You said: What is my name?"
        assert "Ann" not in repr(stage.bot.engine.requests[-1].messages)
        assert await chat_log.history(CHAT) == []


async def test_forgetting_explains_itself_and_removes_everything(chat_log):
    class Keeper(Plugin):
        name = "keeper"

        async def setup(self, ctx):
            self.ctx, self.forgotten = ctx, []
            ctx.command("keep", self.keep)
            ctx.on_user_forget(self.forget)

        async def keep(self, user: User, what: str) -> str:
            """Keep something."""
            await self.ctx.store.user(user).set("what", what)
            return "kept"

        async def forget(self, user):
            self.forgotten.append(user.id)

    async with serving(chat_log) as stage:
        keeper = Keeper()
        await stage.bot.plugins._begin(keeper, None, lambda: None)
        await stage.told("My secret is forty-two.")
        await stage.told("/keep my secret")
        await stage.told("Bob was here", GROUP, BOB, addressed=MENTIONED)
        await stage.told("/forget")
        assert "cannot be undone" in stage.last.text
        text = await stage.told("/forget everywhere")
        assert "I have forgotten you everywhere" in text
        assert "1 values of plugins" in text
        assert "No model has learned" in text
        assert keeper.forgotten == [ANN.id]
        left = await chat_log.export("memory", ANN.id)
        assert "forty" not in json.dumps(left)
        assert "secret" not in json.dumps(left)
        assert len(await chat_log.history(GROUP)) == 1


async def test_a_button_forgets_whoever_presses_it_in_this_chat_alone(chat_log):
    async with serving(chat_log) as stage:
        for chat in (GROUP, ChatRef("memory", "bot", "second group")):
            await stage.told("Bob is here", chat, BOB, addressed=MENTIONED)
        await stage.told("/forget", GROUP, ANN, addressed=CALLED)
        post = stage.platform.standing(GROUP)[-1]
        assert "Press once more" in await stage.pressed(post, "In this chat", BOB)
        assert "Press once more" in await stage.pressed(post, "In this chat", ANN)  # each for themselves
        assert len(await chat_log.history(GROUP)) == 1
        assert "I have forgotten you in this chat: " in await stage.pressed(post, "In this chat", BOB)
        assert await chat_log.history(GROUP) == []
        assert len(await chat_log.history(ChatRef("memory", "bot", "second group"))) == 1


async def test_an_export_is_a_file_for_the_person_alone(chat_log):
    async with serving(chat_log) as stage:
        await stage.told("Ann says this")
        await stage.told("Bob says that", GROUP, BOB, addressed=MENTIONED)
        assert await stage.told("/export") == "That is all I have of you."
        (handed,) = stage.platform.handed
        assert "Ann says this" in handed.data.decode()
        assert "Bob" not in handed.data.decode()
        assert "Others can read this chat" in await stage.told("/export", GROUP, ANN, addressed=CALLED)
        assert len(stage.platform.handed) == 1


async def test_privacy_cannot_be_switched_off(chat_log):
    async with serving(chat_log) as stage:
        assert "cannot be switched off" in await stage.told("/plugins off privacy")
        assert "kept for 30 days" in await stage.told("/privacy")


# Looking after the bot


async def test_whom_operators_deny_is_ignored_and_nothing_is_kept_of_them(chat_log):
    async with serving(chat_log) as stage:
        segments = (Text("/access deny "), Mention(BOB.id, BOB.name))
        assert f"Done: deny memory:{BOB.id}" in await stage.told("", segments=segments)
        assert await stage.told("Hello?", author=BOB) == ""
        assert await stage.told("/help", author=BOB) == ""
        assert "Bob" not in repr(await chat_log.history(CHAT))
        assert f"Ignored: memory:{BOB.id}" in await stage.told("/access")
        await stage.told("Hi")
        assert await stage.pressed(stage.last, "\N{THUMBS DOWN SIGN}", BOB) == ""
        assert (await chat_log.stats()).feedback == 0
        assert "kept for 30 days" in await stage.told("/privacy", author=BOB)  # nobody is kept from that
        assert "I have forgotten you" in await stage.told("/forget here", author=BOB)
        await stage.told(f"/access clear memory:{BOB.id}")
        assert await stage.told("Hello?", author=BOB) == "You said: Hello?"
        assert "Only those who run this bot" in await stage.told("/access", author=BOB)


async def test_once_somebody_is_allowed_nobody_else_is_served_but_operators(chat_log):
    async with serving(chat_log) as stage:
        await stage.told("/access allow here", GROUP, ANN, addressed=CALLED)
        assert await stage.told("Hi", GROUP, BOB, addressed=MENTIONED) != ""
        assert await stage.told("Hi", author=BOB) == ""
        assert await stage.told("Hi") == "You said: Hi"


async def test_lists_and_quotas_survive_a_restart(chat_log):
    async with serving(chat_log) as stage:
        await stage.told(f"/access deny memory:{BOB.id}")
        await stage.told("/quota 5")
    async with serving(chat_log) as stage:
        assert await stage.told("Hello?", author=BOB) == ""
        assert "5 messages" in await stage.told("/quota")


async def test_a_quota_is_told_once_and_lifted_after_an_hour(chat_log):
    async with serving(chat_log) as stage:
        assert "5" not in await stage.told("/quota")
        await stage.told("/quota 2")
        for number in range(2):
            assert "You said" in await stage.told(f"number {number}", author=BOB)
        assert "which is the limit. Try in 60 min." in await stage.told("one more", author=BOB)
        assert await stage.told("and more", author=BOB) == ""
        assert "You said" in await stage.told("operators have none")
        later = Message("later", CHAT, BOB, (Text("later"),), stage.log.now() + timedelta(hours=1), addressed=MENTIONED)
        stage.platform.happen(later)
        await stage.platform.until_shown("send", "You said: Bob later")


@pytest.mark.parametrize("who", ["nobody I know", ":", "memory:"])
async def test_access_needs_somebody(chat_log, who):
    async with serving(chat_log) as stage:
        assert "is neither" in await stage.told(f"/access deny {who}")


async def test_operators_ask_for_a_new_model_and_are_told_what_became_of_it(chat_log, monkeypatch):
    monkeypatch.setattr("bots.builtin.retrain.LOOK_FOR_NOTICES_S", 0.05)
    monkeypatch.setattr("bots.builtin.retrain.WAIT_FOR_ANSWER_S", 0.0)
    async with serving(chat_log) as stage:
        assert "Only those who run this bot" in await stage.told("/retrain", author=BOB)
        assert "Nobody has asked" in await stage.told("/retrain status")
        assert "Noted." in await stage.told("/retrain")
        assert "asked for already" in await stage.told("/retrain")
        request = await chat_log.mailbox.take("retrain")
        await chat_log.mailbox.end(request.id, is_done=False, note="not enough data")
        assert f"{RequestState.FAILED} (not enough data)" in await stage.told("/retrain status")
        await chat_log.mailbox.post_notice("Run 7 has failed.")
        await stage.told("/notices here")
        await stage.platform.until(lambda: any("Run 7 has failed." in text for _, _, text in stage.platform.shown))
        await asyncio.sleep(0.2)
        assert sum("Run 7" in text for _, _, text in stage.platform.shown) == 1


@pytest.mark.parametrize("what", ["status", "runs", "report", "pause", "resume"])
async def test_operators_are_told_what_the_scheduler_answers(chat_log, monkeypatch, what):
    monkeypatch.setattr("bots.builtin.retrain.LOOK_FOR_ANSWER_S", 0.02)

    async def schedule():
        while (request := await chat_log.mailbox.take(f"retrain:{what}")) is None:
            await asyncio.sleep(0.01)
        await chat_log.mailbox.end(request.id, is_done=True, note=f"So much for {what}.")

    async with serving(chat_log) as stage, asyncio.TaskGroup() as group:
        group.create_task(schedule())
        assert (await stage.told(f"/retrain {what}")).splitlines()[0] == f"So much for {what}."
        assert "Only those who run this bot" in await stage.told(f"/retrain {what}", author=BOB)


async def test_what_no_scheduler_has_answered_is_taken_back(chat_log, monkeypatch):
    monkeypatch.setattr("bots.builtin.retrain.WAIT_FOR_ANSWER_S", 0.0)
    async with serving(chat_log) as stage:
        assert await stage.told("/retrain pause") == (
            "The scheduler is not running; start it with: python -m finetune schedule"
        )
    assert await chat_log.mailbox.take("retrain:pause") is None


async def test_the_model_tells_figures_if_the_engine_has_them(chat_log):
    metrics = Metrics("scripted")
    done = Completion("Hi you", FinishReason.STOP, "scripted", prompt_tokens=100, cached_tokens=80, token_ids=(1, 2, 3))

    class Measured(ScriptedEngine):
        def metrics(self):
            return metrics.snapshot(queue_length=4, num_running=2)

    async with serving(chat_log, engine=Measured()) as stage:
        lines = (await stage.told("/model")).splitlines()
        assert lines == ["Model version: scripted", "Now: being written 2, waiting 4"]
        metrics.count_completion(done)
        metrics.count_run(0.5, decoded_rows=1)
        assert (await stage.told("/model")).splitlines()[2:] == [
            "So far: answers 1, tokens 3, failures 0",
            "Speed: 6 tokens a second, the first after 0.00 s (95 % within 0.00 s)",
            "Cache: 80% of what had to be read was known already",
        ]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("/ask", "/ask <question>"),
        ("/start", "/help"),
        ("/stop", "There is nothing to stop."),
        ("/retry", "nothing that I could answer again"),
        ("/rest", "Did you mean /reset?"),
        ("/xyzzy", "//xyzzy"),
        ("/trigger sometimes", "one of: addressed, keywords, every"),
    ],
)
async def test_small_things_are_said(chat_log, typed, says):
    async with serving(chat_log) as stage:
        assert says in await stage.told(typed)
