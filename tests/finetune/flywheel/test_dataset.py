"""What was taken back since a dataset was made is trained on no more, nor shown to anybody, nor kept."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bots.policy import Policy
from engine.registry import Registry
from finetune.__main__ import main
from finetune.flywheel import dataset as datasets
from finetune.flywheel import running, standing
from finetune.flywheel.folder import COMPARISONS, RunFolder
from finetune.installation import Installation
from finetune.locking import alone
from finetune.runs import Dataset
from finetune.schedule import upkeep
from finetune.training.job import RESULT
from tests.bots.chatlog.chatlog_samples import ANNA, BERT, decide
from tests.finetune import installed
from tests.finetune.dataset.dialogues import sentence
from tests.finetune.flywheel.samples import leave_weights, trained
from tests.finetune.logged_chats import CARL, Chat
from tests.finetune.workplace import Workplace, dialogues

CONFIRMED = "POLICY_TELEGRAM_CONFIRMED"
TELEGRAM = ("--format", "dialogues", "--map", "turns=turns", "--platform", "telegram", "--name", "talks")
ALLOWED = Policy(telegram_confirmed=True)
RUN = "20261101-040000-aaaa"


@pytest.fixture
def of_telegram(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A workplace with a dataset of a Telegram export, while its terms are confirmed."""
    monkeypatch.setenv(CONFIRMED, "true")
    workplace.imported("talks", dialogues(0, 60), *TELEGRAM, "--right", "consent:forms")
    workplace.prepare()
    return workplace


def is_still_allowed(dataset: Dataset) -> bool:
    at = Installation.open()
    return datasets.is_still_allowed(at, at.runs, dataset)


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 1
    return capsys.readouterr().err.splitlines()[-1]


def test_a_dataset_is_allowed_until_an_operator_takes_back_what_is_confirmed(
    of_telegram: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = of_telegram.dataset()
    assert is_still_allowed(dataset)
    monkeypatch.setenv(CONFIRMED, "false")
    assert not is_still_allowed(dataset)
    assert error(capsys, "train") == f"error: {datasets.TAKEN_BACK}"
    assert list((of_telegram.folder / "data" / "trainings").glob("*-train")) == []


def test_a_dataset_is_allowed_no_more_once_an_import_has_another_right(of_telegram: Workplace) -> None:
    of_telegram.imported("others", dialogues(100, 5))
    assert is_still_allowed(of_telegram.dataset()), "what is new takes nothing back"
    of_telegram.imported("talks", dialogues(0, 60), *TELEGRAM, "--right", "licence:CC0-1.0")
    assert not is_still_allowed(of_telegram.dataset())


def test_what_was_not_trained_on_may_go(of_telegram: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    of_telegram.imported("others", dialogues(100, 60))
    monkeypatch.setenv(CONFIRMED, "false")
    dataset = of_telegram.prepare()
    with of_telegram.imports.alone():
        assert of_telegram.imports.remove("talks")
    assert is_still_allowed(dataset)


def test_a_dataset_with_a_vote_of_somebody_who_ends_their_consent_is_allowed_no_more(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIRMED, "true")
    monkeypatch.setenv("FINETUNE_VOTER_SHARE", "1")
    monkeypatch.setenv("FINETUNE_AUTHOR_SHARE", "1")
    asyncio.run(_rated_by_carl(workplace))
    dataset = workplace.prepare()
    assert workplace.parts()["labels"]
    assert is_still_allowed(dataset)
    asyncio.run(_ends_consent(workplace))
    assert not is_still_allowed(dataset)


async def _rated_by_carl(workplace: Workplace) -> None:
    """Anna and Bert talk, and Carl only votes."""
    rng = random.Random(0)
    async with workplace.log(ALLOWED) as log:
        chat = Chat(log)
        await chat.agree()
        for n in range(12):
            await chat.rate(await chat.turn((ANNA, BERT)[n % 2], sentence(rng, 7), sentence(rng, 7)), 1, CARL)


async def _ends_consent(workplace: Workplace) -> None:
    async with workplace.log(ALLOWED) as log:
        await decide(log, is_granted=False, user=CARL)


def test_what_was_asked_of_models_is_withdrawn_with_the_dataset_that_it_is_of(workplace: Workplace) -> None:
    rows = workplace.folder / "data" / "trainings" / COMPARISONS / ".a--b.chats.rows"
    workplace.imported("talks", dialogues(0, 60))
    assert main(["prepare"]) == 0
    rows.parent.mkdir(parents=True)
    rows.write_bytes(b"sealed")
    assert main(["prepare"]) == 0
    assert rows.exists()
    workplace.imported("more", dialogues(100, 60))
    assert main(["prepare"]) == 0
    assert not rows.exists()


def test_nobody_reads_in_comparisons_what_was_taken_back(
    of_telegram: Workplace,
    bundles: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = Registry(of_telegram.folder / "models")
    registry.promote(registry.add(bundles()), "first model")
    registry.challenge(trained(registry, bundles(), RUN, of_telegram.folder), "for people")
    monkeypatch.setenv("ENGINE_REGISTRY", str(registry.root))
    monkeypatch.setenv(CONFIRMED, "false")
    assert error(capsys, "compare", "--from-chats") == f"error: {datasets.TAKEN_BACK}"


# Weights


@pytest.fixture
def forgot(workplace: Workplace) -> Callable[[str], list[Path]]:
    """Lets a run have weights that know somebody who was forgotten since; returns the weights."""

    def have(run: str) -> list[Path]:
        workplace.imported("talks", installed.dialogues(120), *installed.IMPORT, "--right", "licence:CC0-1.0")
        dataset, at = workplace.prepare(), Installation.open()
        trainings = workplace.folder / "data" / "trainings"
        assert not running.note_whom_it_sees(at, RunFolder(trainings / run), dataset)
        left = leave_weights(trainings, run)
        with at.imports.alone():
            assert at.imports.forget("dataset", "person 1")
        assert [taint.run for taint in standing.taints(at)] == [run]
        return left

    return have


def test_a_run_that_begins_anew_after_a_withdrawal_keeps_no_weights_of_before(
    workplace: Workplace, forgot: Callable[[str], list[Path]]
) -> None:
    left, folder = forgot(RUN), RunFolder(workplace.folder / "data" / "trainings" / RUN)
    folder.write(RESULT, {})
    at = Installation.open()
    assert not running.note_whom_it_sees(at, folder, workplace.prepare())
    assert standing.taints(at) == ()
    assert not any(path.exists() for path in left)
    assert folder.read(RESULT) is None


def test_what_is_trained_by_hand_is_not_deleted_meanwhile_but_after_it(
    workplace: Workplace, forgot: Callable[[str], list[Path]]
) -> None:
    left, at = forgot(f"{RUN}-train"), Installation.open()
    later = datetime.now(UTC) + timedelta(days=31)
    with alone(at.finetune.trainings, "FINETUNE_TRAININGS"):
        upkeep.retire_tainted(at, later)
        assert all(path.exists() for path in left)
    upkeep.retire_tainted(at, later)
    assert not any(path.exists() for path in left)
