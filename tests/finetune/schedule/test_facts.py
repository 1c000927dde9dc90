"""What triggers go by, from a real log, real imports and a real model."""

import asyncio
import json
import math
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bots.chatlog import ChatLog
from bots.policy import Policy
from engine.bundle import Bundle, TrainingInfo
from engine.registry import Registry
from finetune.dataset.examples import ExampleMaker
from finetune.dataset.rendering import Renderer
from finetune.evaluation.losses import bits_per_byte, loss_of
from finetune.evaluation.scoring import SessionScorer
from finetune.flywheel.promotion import RetiringError
from finetune.flywheel.record import State, Trigger
from finetune.installation import Installation
from finetune.schedule import drift, facts, recent, upkeep
from finetune.schedule.queue import RunQueue
from finetune.schedule.triggers import Facts, Votes
from tests.bots.chatlog.chatlog_samples import ANNA, BERT
from tests.finetune.dataset.dialogues import sentence
from tests.finetune.logged_chats import CARL, Chat, logged_messages
from tests.finetune.workplace import Workplace, dialogues

ALLOWED = Policy(telegram_confirmed=True)


def gathered(later: timedelta = timedelta()) -> Facts:
    return facts.gather(Installation.open(), datetime.now(UTC) + later)


async def talked(log: ChatLog, number: int) -> None:
    """Turns whose answers Anna likes, of sentences that are like no others; Bert dislikes the last."""
    chat, rng = Chat(log), random.Random(0)
    await chat.agree()
    for n in range(number):
        post = await chat.turn(ANNA, sentence(rng, 7), sentence(rng, 7))
        await chat.rate(post, 1 if n < number - 1 else -1, BERT)


async def in_log(workplace: Workplace, number: int) -> None:
    async with workplace.log(ALLOWED) as log:
        await talked(log, number)


def test_an_empty_installation_has_nothing_that_makes_a_run_due(workplace: Workplace) -> None:
    assert gathered() == Facts()
    assert workplace.folder.exists()


def test_new_answers_are_those_since_a_run_has_looked_at_the_data(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLICY_TELEGRAM_CONFIRMED", "true")
    asyncio.run(in_log(workplace, 5))
    workplace.imported("one.jsonl", dialogues(0, 10))
    assert gathered().new_targets == 4 + 20
    assert gathered().this_week == Votes(4, 1)
    assert gathered(timedelta(days=8)).this_week == Votes(0, 0)
    assert gathered(timedelta(days=8)).last_week == Votes(4, 1)
    queue = RunQueue(Installation.open().schedule.database)
    for state, left in ((State.FAILED, 24), (State.SKIPPED, 0)):
        id = queue.add(Trigger.FORGET, "why", now=datetime.now(UTC)).id
        with queue.holding(id):
            queue.start(id, 1, datetime.now(UTC))
            queue.finish(id, state, "", None, datetime.now(UTC))
        found = gathered()
        assert found.new_targets == left
        assert found.last_ended_at == found.last_forget_ended_at == queue.get(id).ended_at
    workplace.imported("two.jsonl", dialogues(20, 10))
    assert gathered().new_targets == 20


def test_the_process_prints_the_facts_as_one_line(workplace: Workplace) -> None:
    process = workplace.command("-m", "finetune.schedule.facts")
    said, problem = process.communicate(timeout=60)
    assert process.returncode == 0, problem
    assert Facts.from_json(json.loads(said)) == Facts()
    process = workplace.command("-m", "finetune.schedule.facts", "--upkeep")
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_it_matters_that_the_champion_has_seen_somebody_who_is_forgotten(
    workplace: Workplace, champion_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLICY_TELEGRAM_CONFIRMED", "true")
    champion_of("20261101-040000-0001")

    async def note(run: str) -> None:
        async with workplace.log(ALLOWED) as log:
            await talked(log, 2)
            turns = [turn async for turn in log.training.turns()]
            await log.training.note_model(run, [m.message_id for turn in turns for m in turn.messages])
            await log.forget(ANNA.platform, ANNA.id)

    before = datetime.now(UTC)
    asyncio.run(note("20261101-040000-0002"))
    assert gathered().tainted_since is None
    asyncio.run(note("20261101-040000-0001"))
    found = gathered().tainted_since
    assert found is not None
    assert before <= found <= datetime.now(UTC)


def test_a_model_that_nobody_may_keep_goes_though_no_run_sees_to_it(
    workplace: Workplace, champion_of: Callable[[str], str], bundles: Callable[..., Path]
) -> None:
    base = Registry(workplace.folder / "models").add(bundles())
    Registry(workplace.folder / "models").promote(base, "the first")
    tainted = champion_of("20261101-040000-0001")
    asyncio.run(tainting(workplace, "20261101-040000-0001"))
    at = Installation.open()
    assert upkeep.retire_tainted(at, datetime.now(UTC) + timedelta(days=29)) == ()
    assert at.registry.champion() == tainted
    done = upkeep.retire_tainted(at, datetime.now(UTC) + timedelta(days=31))
    assert len(done) == 2
    assert (at.registry.champion(), at.registry.versions()) == (base, [base])
    assert asyncio.run(notices(workplace)) == [f"Model {line}" for line in done]


def test_operators_are_told_of_what_was_done_though_something_cannot_be_deleted(
    workplace: Workplace, champion_of: Callable[[str], str], bundles: Callable[..., Path]
) -> None:
    base = Registry(workplace.folder / "models").add(bundles())
    Registry(workplace.folder / "models").promote(base, "the first")
    tainted = champion_of("20261101-040000-0001")
    asyncio.run(tainting(workplace, "20261101-040000-0001"))
    at = Installation.open()
    run = at.finetune.trainings / "20261101-040000-0001"
    run.mkdir(parents=True)
    (run / "bundle").symlink_to(workplace.folder)  # is not deleted, as what it leads to may be anybody's
    with pytest.raises(RetiringError, match="bundle cannot be removed"):
        upkeep.retire_tainted(at, datetime.now(UTC) + timedelta(days=31))
    (notice,) = asyncio.run(notices(workplace))
    assert notice.startswith(f"Model {base} is champion, in place of {tainted}")


async def tainting(workplace: Workplace, run: str) -> None:
    """Let a run have seen what somebody said who is forgotten then."""
    async with workplace.log(ALLOWED) as log:
        await talked(log, 2)
        turns = [turn async for turn in log.training.turns()]
        await log.training.note_model(run, [message.message_id for turn in turns for message in turn.messages])
        await log.forget(ANNA.platform, ANNA.id)


async def notices(workplace: Workplace) -> list[str]:
    async with workplace.log() as log:
        return [notice.text for notice in await log.mailbox.undelivered()]


@pytest.fixture
def champion_of(
    workplace: Workplace, bundles: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Lets a tiny model be the champion that a run has made."""

    def promote(run: str) -> str:
        monkeypatch.setenv("ENGINE_REGISTRY", str(workplace.folder / "models"))
        manifest = Bundle.open(bundles()).manifest
        made = shutil.copytree(bundles(), workplace.folder / "made")
        training = TrainingInfo(run=run, dataset_sha256="0" * 64)
        (made / "bundle.json").write_text(manifest.model_copy(update={"training": training}).model_dump_json())
        registry = Registry(workplace.folder / "models")
        version = registry.add(made)
        registry.promote(version, "for a test")
        return version

    return promote


async def test_what_was_said_lately_becomes_the_examples_that_a_dataset_would_have(
    workplace: Workplace, bundles: Callable[..., Path]
) -> None:
    maker = ExampleMaker(Renderer.open(Bundle.open(bundles())), "Be kind.", 256)
    async with workplace.log(ALLOWED) as log:
        chat = Chat(log)
        await chat.agree()
        liked = await chat.turn(CARL, "write to anna@example.org please", "I have written to her just now")
        await chat.rate(liked)
        await chat.turn(BERT, "what do you think of winter evenings", "nobody has said that this is good")
        messages = await logged_messages(log)
    (example,) = recent.examples_of(messages, maker)
    assert example.targets == ("I have written to her just now",)
    assert "anna@example.org" not in "".join(message.content for message in example.messages)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert list(recent.since(messages, tomorrow)) == []
    assert list(recent.since(messages, tomorrow - timedelta(days=2))) == messages


async def test_drift_is_how_much_more_the_same_model_needs_now(
    workplace: Workplace, bundles: Callable[..., Path]
) -> None:
    bundle = Bundle.open(bundles())
    renderer = Renderer.open(bundle)
    async with workplace.log(ALLOWED) as log:
        await talked(log, drift.MIN_TARGETS + 1)
        lately = list(recent.examples_of(await logged_messages(log), ExampleMaker(renderer, "Be kind.", 256)))
    scorer = SessionScorer.open(bundle, threads=1, length=256)
    needed = loss_of(scorer, renderer, lately)
    assert bits_per_byte(needed.values()) > 0
    before = [replace(loss, nats=loss.nats / 1.25) for loss in needed.values()]
    found = drift.drift(scorer, renderer, lately, before)
    assert found is not None
    assert math.isclose(found, 0.25, rel_tol=1e-6)
    assert drift.drift(scorer, renderer, lately, []) is None
    assert not drift.is_enough(before[:1], lately)
    assert drift.of_log(needed) == list(needed.values()), "the figures of runs come by the same names"
    held_out = {"log:1": before[0], "somewhere:1": before[0]}
    assert drift.of_log(held_out) == before[:1]
    assert asdict(before[0])["bytes"] > 0
