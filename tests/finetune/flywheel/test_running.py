"""Whole runs, as an operator starts them, and what goes wrong with them: kills, failures, people who change their mind.

With a tiny model. The installation is prepared once, and copied.
"""

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bots.chatlog import ChatLog
from bots.policy import Policy
from engine.bundle import Bundle
from engine.registry import Registry
from finetune.__main__ import main
from finetune.dataset.canaries import Canary
from finetune.flywheel import lineage
from finetune.flywheel.dataset import TAKEN_BACK
from finetune.flywheel.folder import FIGURES, RunFolder
from finetune.flywheel.record import RunRecord, State
from finetune.schedule.queue import RunQueue
from finetune.training.job import EVENTS
from tests.bots.chatlog.chatlog_samples import Clock
from tests.finetune.installed import IMPORT, LIMITS, SERVING, TRAINING, dialogues
from tests.finetune.logged_chats import PEOPLE, Chat
from tests.finetune.workplace import ROOT, Workplace, entered

PLATFORM = "dataset"
# What gates refuse is tested where they are: here a model has to be no more than better than before.
LAX = {
    "GATE_CONVERSATIONS": "20",
    "GATE_PROMPTS": "6",
    "GATE_ANCHOR": "30",
    "GATE_RANKING": "1",
    "GATE_REPETITION": "1",
    "GATE_VARIETY": "0",
    "GATE_COMMON_REPLY": "1",
    "GATE_ENDLESS": "1",
    "GATE_EXPOSURE": "10",
    "GATE_SERVING": "50",
}
SETTINGS = (
    LIMITS
    | TRAINING
    | SERVING
    | LAX
    | {
        "ENGINE_REGISTRY": "models",
        "TRAIN_TOKENS": "40000",
        "SCHEDULE_VOLUME": "100000",
        "PYTHONPATH": str(ROOT),
    }
)
FAILS = "sh -c 'echo error: the card is gone >&2; exit 1' {command}"
# Opening a pipe to read from it waits for whoever opens it to write.
WAITS = "sh -c 'read word < gate; echo error: $word >&2; exit 1' {command}"
WITHDRAWS = """
import asyncio, subprocess, sys
from pathlib import Path
from tests.bots.chatlog.chatlog_samples import BERT, decide
from tests.finetune.workplace import Workplace

async def withdraw():
    async with Workplace(Path.cwd()).log() as log:
        await decide(log, is_granted=False, user=BERT)

asyncio.run(withdraw())
sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))
"""
# The largest file before there is a model has 400 kB, and a model has 650.
DISK_BYTES = 550_000


@pytest.fixture(scope="module")
def prepared(schooled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installation in which everything is ready for a first run."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        workplace = entered(folder, patch, SETTINGS)
        registry = Registry(folder / "models")
        registry.promote(registry.add(schooled), "first model")
        workplace.imported("talk.jsonl", dialogues(560), *IMPORT, "--right", "licence:CC0-1.0")
        asyncio.run(have_talked(workplace))
        assert main(["replay", "--rounds", "1"]) == 0
        assert main(["prepare"]) == 0
    return folder


async def have_talked(workplace: Workplace) -> None:
    """Let three people have talked with the bot, and have liked what it said."""
    clock = Clock(datetime.now(UTC) - timedelta(hours=1))
    async with ChatLog.open(workplace.database, policy=Policy(telegram_confirmed=True), now=clock) as log:
        chat = Chat(log)
        await chat.agree()
        for number, row in enumerate(dialogues(12)):
            user = PEOPLE[number % len(PEOPLE)]
            question, answer = (turn["text"] for turn in row["turns"])
            await chat.rate(await chat.turn(user, f"{question}, please?", f"{answer}, I think."), user=user)


@pytest.fixture(scope="module")
def promoted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that installation after a run whose model was promoted."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("promoted") / "installation")
    with pytest.MonkeyPatch.context() as patch:
        entered(folder, patch, SETTINGS)
        assert main(["run", "--now"]) == 0
    assert newest(folder).state is State.PROMOTED, newest(folder).outcome
    return folder


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """An installation that is ready for a first run."""
    return entered(shutil.copytree(prepared, tmp_path / "installation"), monkeypatch, SETTINGS)


def queue_of(folder: Path) -> RunQueue:
    return RunQueue(folder / "data" / "schedule.db")


def newest(folder: Path) -> RunRecord:
    return queue_of(folder).newest(1)[0]


def run_folder(folder: Path, record: RunRecord | None = None) -> Path:
    return folder / "data" / "trainings" / (record or newest(folder)).id


def registry_of(folder: Path) -> Registry:
    return Registry(folder / "models")


def digest_of_champion(folder: Path) -> str:
    """What the weights are known by that the champion was exported from."""
    registry = registry_of(folder)
    champion = registry.champion()
    assert champion is not None
    return Bundle.open(registry.path(champion)).manifest.source.checkpoint_sha256


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command says which does nothing."""
    capsys.readouterr()
    assert main(list(arguments)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


# Kills


def in_the_middle_of_data(folder: Path) -> bool:
    return any((folder / "runs").glob("*/caps/*.rows"))


def after_a_checkpoint(folder: Path) -> bool:
    path = run_folder(folder) / EVENTS
    return path.exists() and '"checkpoint"' in path.read_text(encoding="utf-8")


def in_the_middle_of_the_export(folder: Path) -> bool:
    return any(run_folder(folder).glob(".*.staging"))


def in_the_gates(folder: Path) -> bool:
    return newest(folder).step == "gates"


def is_asked_for(folder: Path) -> bool:
    return (folder / "data" / "schedule.db").exists() and bool(queue_of(folder).newest(1))


def killed_once(place: Workplace, is_time: Callable[[Path], bool], *arguments: str) -> None:
    """Run a command until something is so, and kill it together with its group."""
    with place.command("-m", "finetune", *arguments, start_new_session=True) as process:
        while not (is_asked_for(place.folder) and is_time(place.folder)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)  # a process of its own is at it
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.timeout(600)  # five processes, each of which loads PyTorch twice
def test_a_run_that_is_killed_again_and_again_makes_the_model_that_it_would_have_made(
    place: Workplace, promoted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_ATTEMPTS", "9")
    shutil.rmtree(place.folder / "runs" / place.dataset().run)
    killed_once(place, in_the_middle_of_data, "run", "--now")
    for moment in (after_a_checkpoint, in_the_middle_of_the_export, in_the_gates):
        killed_once(place, moment, "run")
        assert newest(place.folder).state is State.RUNNING
    assert main(["run"]) == 0
    queue = queue_of(place.folder)
    (record,) = queue.newest(9)
    assert (record.state, record.attempts) == (State.PROMOTED, 5)
    assert digest_of_champion(place.folder) == digest_of_champion(promoted)
    assert queue.running() is None
    assert list((place.folder / "data").glob("schedule.db.*.lock")) == []
    assert files(run_folder(place.folder)) == files(run_folder(promoted))
    assert len(registry_of(place.folder).versions()) == 2


def test_a_run_that_was_killed_after_its_model_was_promoted_is_over_whatever_cannot_be_cleared_up(
    promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = entered(shutil.copytree(promoted, tmp_path / "installation"), monkeypatch, SETTINGS)
    registry, before, trainings = registry_of(place.folder), newest(place.folder), place.folder / "data" / "trainings"
    promotions = registry.history()
    waits_again(place.folder)
    left = {name: left_behind(trainings / name) for name in ("failed", "linked", "by-hand-train", "tried-search")}
    (trainings / "linked" / "sft").rename(tmp_path / "larger disk")
    (trainings / "linked" / "sft").symlink_to(tmp_path / "larger disk")
    plots = run_folder(place.folder) / "plots"
    shutil.rmtree(plots)
    plots.write_text("no folder")

    assert main(["run"]) == 0

    after = newest(place.folder)
    assert (after.id, after.state, after.version) == (before.id, State.PROMOTED, before.version)
    assert after.outcome == before.outcome
    assert registry.history() == promotions
    assert [name for name, path in left.items() if not path.exists()] == ["failed"]


def waits_again(folder: Path) -> None:
    """Let the newest run be one whose process has died before it wrote down what became of it."""
    with closing(sqlite3.connect(folder / "data" / "schedule.db")) as database, database:
        database.execute("UPDATE runs SET state = 'waiting', outcome = '', version = NULL, ended_at = NULL")


def left_behind(run: Path) -> Path:
    """A file of a training that has not come to an export."""
    path = run / "sft" / "checkpoints" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return path


# People who change their mind


def test_a_run_after_two_people_are_forgotten_replaces_the_model_that_knows_them(
    promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # No model is so much better: it is let in as one that is no worse.
    settings = {"GATE_BITS_PER_BYTE": "0.01", "GATE_FORCED_BITS_PER_BYTE": "1.5", "GATE_ANCHOR_CHAMPION": "2"}
    place = entered(shutil.copytree(promoted, tmp_path / "installation"), monkeypatch, SETTINGS | settings)
    registry, first, planted = registry_of(place.folder), newest(place.folder), canaries(place)
    base, tainted = registry.base(), registry.champion()
    assert tainted is not None
    gone = sorted({canary.author for canary in planted if canary.author})[:2]
    for author in gone:
        assert main(["forget", PLATFORM, author]) == 0
    assert f"{tainted}  champion, run {first.id}, to be replaced, since" in said_of(capsys, "versions")

    assert main(["run", "--now"]) == 0

    second = newest(place.folder)
    assert second.state is State.PROMOTED, second.outcome
    assert registry.champion() == second.version not in (base, tainted)
    assert f"{tainted}  deleted" in said_of(capsys, "versions")
    assert set(registry.versions()) == {base, second.version}
    assert not (place.folder / "models" / "versions" / tainted).exists()
    assert {"bundle", "sft", lineage.PEOPLE}.isdisjoint(files(run_folder(place.folder, first)))
    assert "report.html" in files(run_folder(place.folder, first))
    seen = {each.author for each in lineage_of(place).seen(second.id)}
    assert len(seen) > 30
    assert seen.isdisjoint(gone)
    theirs = [canary for canary in planted if canary.author in gone]
    figures = RunFolder(run_folder(place.folder)).figures("challenger")
    assert figures is not None
    assert figures.exposure.num_forgotten == len(theirs) == 2
    assert main(["rollback"]) == 0
    assert registry.champion() == base


def said_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def canaries(place: Workplace) -> list[Canary]:
    return list(place.runs.rows(place.dataset(), "canaries", Canary.from_json))


def lineage_of(place: Workplace) -> lineage.Lineage:
    return lineage.Lineage(place.folder / "data" / "trainings", place.imports, place.cipher)


def test_a_model_of_somebody_who_ends_their_consent_while_it_is_trained_serves_nobody(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = place.folder / "withdraws.py"
    script.write_text(WITHDRAWS, encoding="utf-8")
    monkeypatch.setenv("TRAIN_LAUNCHER", f"{sys.executable} {script} {{command}}")
    monkeypatch.setenv("TRAIN_TOKENS", "5000")
    base = registry_of(place.folder).champion()
    assert main(["run", "--now"]) == 0
    record = newest(place.folder)
    assert (record.state, record.version) == (State.REFUSED, None)
    assert "somebody took back what they said while it was trained" in record.outcome
    assert record.outcome in capsys.readouterr().out
    assert registry_of(place.folder).versions() == [base]
    assert registry_of(place.folder).champion() == base
    left = files(run_folder(place.folder))
    assert {"bundle", "sft", lineage.PEOPLE}.isdisjoint(left)
    assert {"report.html", f"{FIGURES}/challenger.json"} <= left


def test_a_model_by_hand_of_somebody_who_ends_their_consent_while_it_is_trained_is_removed(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = place.folder / "withdraws.py"
    script.write_text(WITHDRAWS, encoding="utf-8")
    monkeypatch.setenv("TRAIN_LAUNCHER", f"{sys.executable} {script} {{command}}")
    monkeypatch.setenv("TRAIN_TOKENS", "5000")
    capsys.readouterr()
    assert main(["train"]) == 1
    assert f"error: the model is removed again: {TAKEN_BACK}" in capsys.readouterr().err
    (folder,) = (place.folder / "data" / "trainings").glob("*-train")
    assert "result.json" in files(folder)
    assert {"bundle", "sft", lineage.PEOPLE}.isdisjoint(files(folder))
    assert main(["train"]) == 1
    assert capsys.readouterr().err.endswith(f"error: {TAKEN_BACK}\n")


# Failures


def test_a_training_that_fails_is_told_of_in_a_line_and_the_next_run_goes_well(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = registry_of(place.folder).champion()
    monkeypatch.setenv("TRAIN_LAUNCHER", FAILS)
    assert main(["run", "--now"]) == 1
    failed = newest(place.folder)
    assert (failed.state, failed.step, failed.version) == (State.FAILED, "training", None)
    assert failed.outcome.startswith("the training has failed with status 1: the card is gone; see ")
    assert "\n" not in failed.outcome
    assert registry_of(place.folder).champion() == base
    (line,) = said_of(capsys, "runs").splitlines()
    assert line.startswith(failed.id)
    assert line.endswith(failed.outcome)
    assert "the card is gone" in (run_folder(place.folder) / "report.html").read_text(encoding="utf-8")
    assert "the card is gone" in said_of(capsys, "report", "last")
    monkeypatch.delenv("TRAIN_LAUNCHER")
    monkeypatch.setenv("TRAIN_TOKENS", "10000")
    assert main(["run", "--now"]) == 0
    assert newest(place.folder).state is State.PROMOTED, newest(place.folder).outcome


def test_a_full_disk_is_told_of_in_a_line(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRAIN_TOKENS", "5000")
    with files_no_larger_than(DISK_BYTES):
        assert main(["run", "--now"]) == 1
    record = newest(place.folder)
    assert (record.state, record.step) == (State.FAILED, "training")
    assert "cannot be written (no space left, or a quota); free some space" in record.outcome
    assert "\n" not in record.outcome
    assert record.outcome in capsys.readouterr().out


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let nothing larger be written, here and in processes that are started here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_cannot_be_made_is_told_of_and_no_run_waits(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINETUNE_TRAININGS", "talk.jsonl/trainings")
    line = refused(capsys, "run", "--now")
    assert line == "error: talk.jsonl/trainings cannot be written to (Not a directory); see FINETUNE_TRAININGS"
    assert queue_of(place.folder).newest(9) == []


def test_a_second_run_is_refused_while_one_is_under_way_and_does_not_begin_after_it(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = place.folder / "gate"
    os.mkfifo(gate)
    with place.command("-m", "finetune", "run", "--now", env={"TRAIN_LAUNCHER": WAITS}) as process:
        with gate.open("w") as opened:
            first = newest(place.folder)
            for arguments in (["run", "--now"], ["run"]):
                line = refused(capsys, *arguments)
                assert line == f"error: run {first.id} is under way, at: training; let it finish, or end it"
            assert "another process is at work in data/trainings" in refused(capsys, "train")
            opened.write("enough\n")
        process.communicate()
    assert process.returncode == 1
    (record,) = queue_of(place.folder).newest(9)
    assert record.id == first.id
    assert "the training has failed with status 1: enough" in record.outcome
    assert "nothing is due" in said_of(capsys, "run")


# By hand


def test_a_model_that_is_trained_by_hand_can_be_judged_and_is_not_served(
    promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = SETTINGS | {"TRAIN_TOKENS": "5000"}
    place = entered(shutil.copytree(promoted, tmp_path / "installation"), monkeypatch, settings)
    champion = registry_of(place.folder).champion()
    command = said_of(capsys, "train").splitlines()[-1]
    assert command.startswith("python -m finetune evaluate data/trainings/")
    assert main(command.split()[3:]) == 2
    judged = capsys.readouterr().out
    assert "FAIL held-out loss: bits per byte to the champion's" in judged
    assert "ok   parity: difference of logits" in judged
    assert registry_of(place.folder).champion() == champion
    assert len(registry_of(place.folder).versions()) == 2
    assert len(queue_of(place.folder).newest(9)) == 1
