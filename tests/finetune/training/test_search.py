"""A search tries other hyperparameters on a quarter of a training each, and can be stopped and taken up at any time.

Where many trainings are needed, a program stands in their place as an operator's own launcher would start it: how good
a model would be is made up there, all else is as with real ones.
"""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import optuna
import pytest
from optuna.pruners import ThresholdPruner
from optuna.trial import TrialState

from engine.settings import load_settings
from finetune.errors import StoreError
from finetune.settings import TrainSettings
from finetune.training.errors import TrainingError
from finetune.training.job import Job
from finetune.training.search import COMPLETE, FAILED, Found, search, try_out
from finetune.training.trial import evaluations
from tests.finetune.training.trainings import PARAMETERS, job, told
from tests.finetune.workplace import Workplace, dialogues

ROOT = Path(__file__).parents[3]
JOB = Job("run", "dataset", "d" * 64, "base", "b" * 64, "bundle", replace(PARAMETERS, epochs=2.0, tokens=1000), {})
# A model that is the better the nearer its learning rate is to 1e-3.
TRAINING = """
    import json, math, sys
    from pathlib import Path
    folder = Path(sys.argv[-1])
    with (folder / "starts").open("a") as out:
        out.write("+")
    rate = json.loads((folder / "job.json").read_text())["hyperparameters"]["learning_rate"]
    bits = 1 + abs(math.log10(rate) + 3)
    def tell(step):
        with (folder / "events.jsonl").open("a") as out:
            out.write(json.dumps({"event": "evaluation", "stage": "sft", "step": step, "bits_per_byte": bits}) + "\\n")
    def end():
        (folder / "sft").mkdir()
        stage = dict(name="sft", steps=4, best_step=4, bits_per_byte_before=3.0, bits_per_byte=bits, ended_by="plan")
        stage |= dict(tokens=250, seconds=1.0, memory_bytes=1)
        (folder / "result.json").write_text(json.dumps(dict(stages=[stage], skipped={}, hardware="none")))
    tell(0)
    tell(4)
"""


def template(tmp_path: Path, code: str) -> str:
    """A launcher with a program of ours in the place of a cluster's."""
    path = tmp_path / "program.py"
    path.write_text(dedent(TRAINING) + dedent(code), encoding="utf-8")
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))} {{command}}"


def searched(folder: Path, launcher: str, number: int) -> Found:
    return search(folder, JOB, launcher, number, nice=0, on_trial=lambda _: None)


def test_real_trainings_are_compared_each_of_them_a_quarter(
    workplace: Workplace, checkpoints: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.imported("chats.jsonl", dialogues(0, 24))
    workplace.prepare()
    whole = job(workplace, checkpoints(), workplace.folder / "run", epochs=8.0, tokens=60_000)
    seen: list[int] = []
    folder = workplace.folder / "search"
    found = search(folder, whole, "inline", 2, nice=0, on_trial=lambda tried: seen.append(tried.number))
    assert seen == [0, 1]
    first, second = found.trials
    assert {first.ended, second.ended} == {COMPLETE}
    given, tried = whole.hyperparameters, first.parameters
    assert (tried.learning_rate, tried.lora_rank, tried.step_examples) == (given.learning_rate, 4, 4)
    assert (tried.tokens, tried.epochs, tried.kto) == (15_000, 2.0, False)
    assert second.parameters.learning_rate != given.learning_rate
    steps = told(folder / "trial-000", "step")
    assert steps[-1]["step"] == steps[-1]["steps"]
    assert first.bits_per_byte == min(evaluations(folder / "trial-000"))
    assert not list(folder.glob("trial-*/sft"))
    # What is written can be pasted into .env, and is the better one's.
    best = min(found.trials, key=lambda each: each.bits_per_byte or 0)
    for line in (folder / "best.env").read_text().splitlines()[1:]:
        monkeypatch.setenv(*line.split("=", 1))
    settings = load_settings(TrainSettings)
    for name in ("learning_rate", "lora_rank", "lora_alpha", "lora_dropout", "warmup", "step_examples", "weight_decay"):
        assert getattr(settings, name) == getattr(best.parameters, name)


SEARCH = """
import sys
from pathlib import Path
from finetune.training.job import Job
from finetune.training.search import search
folder = Path(sys.argv[1])
search(folder / "search", Job.read(folder), sys.argv[2], 3, nice=0, on_trial=print)
"""


def in_its_own_process(folder: Path, launcher: str) -> "subprocess.Popen[str]":
    """A search in `folder / "search"`."""
    JOB.write(folder)
    arguments = [sys.executable, "-c", SEARCH, str(folder), launcher]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_killed_search_goes_on_with_the_trial_that_it_was_at(tmp_path: Path) -> None:
    # The second trial hangs when it is started for the first time.
    hanging = """
        import signal
        if "trial-001" in str(folder) and (folder / "starts").read_text() == "+":
            print("hangs", flush=True)
            signal.pause()
        end()
    """
    folder, launcher = tmp_path / "search", template(tmp_path, hanging)
    with in_its_own_process(tmp_path, launcher) as killed:
        assert killed.stderr is not None
        assert any(line == "hangs\n" for line in killed.stderr)
        before = Job.read(folder / "trial-001").hyperparameters
        killed.kill()
    found = searched(folder, launcher, 4)
    assert [each.number for each in found.trials] == [0, 1, 2, 3]
    assert found.trials[1].parameters == before
    assert [(folder / f"trial-00{n}" / "starts").read_text() for n in range(4)] == ["+", "++", "+", "+"]
    # Nothing is drawn twice, though each process begins with the same seed.
    assert len({each.parameters for each in found.trials}) == 4
    assert searched(folder, launcher, 4) == found
    assert (folder / "trial-003" / "starts").read_text() == "+"
    assert found.best.bits_per_byte == min(each.bits_per_byte or 0 for each in found.trials)
    assert found.table.splitlines()[0].split()[0] == str(found.best.number)


def test_a_hopeless_trial_is_ended_in_order(tmp_path: Path) -> None:
    waiting = """
        import signal
        def save(*_):
            (folder / "saved").touch()
            sys.exit(143)
        (folder / "sft").mkdir()
        signal.signal(signal.SIGTERM, save)
        while True:
            signal.pause()
    """
    study = optuna.create_study(pruner=ThresholdPruner(upper=1.0))
    trial = study.ask()
    try_out(study, trial, tmp_path, JOB, template(tmp_path, waiting), nice=0)
    own = tmp_path / "trial-000"
    assert (own / "saved").exists()
    assert not (own / "sft").exists()
    [tried] = study.trials
    assert tried.state == TrialState.PRUNED
    # What there was before the first step does not count.
    assert tried.intermediate_values == {1: evaluations(own)[0]}


def test_a_search_that_is_interrupted_ends_its_training(tmp_path: Path) -> None:
    hanging = """
        import os, signal
        print(os.getpid(), flush=True)
        signal.pause()
    """
    with in_its_own_process(tmp_path, template(tmp_path, hanging)) as interrupted:
        assert interrupted.stderr is not None
        pid = int(interrupted.stderr.readline())
        interrupted.send_signal(signal.SIGINT)
        interrupted.stderr.read()
    assert interrupted.returncode != 0
    assert not Path(f"/proc/{pid}").exists()


def test_values_that_fail_are_a_result_unless_they_are_what_is_set(tmp_path: Path) -> None:
    failing = 'if folder.name in ("trial-001",):\n    sys.exit("error: the loss is nan at step 4")\nend()'
    found = searched(tmp_path / "one", template(tmp_path, failing), 3)
    assert [each.ended for each in found.trials] == [COMPLETE, FAILED, COMPLETE]
    assert found.table.splitlines()[-1].split()[:2] == ["1", FAILED]
    always = template(tmp_path, 'sys.exit("error: there is no dataset")')
    with pytest.raises(TrainingError, match=r"has failed with status 1: there is no dataset; see .*log\.txt"):
        searched(tmp_path / "two", always, 3)
    assert not (tmp_path / "two" / "best.env").exists()
    # Once that is mended, the same command goes on.
    assert searched(tmp_path / "two", template(tmp_path, "end()"), 1).trials[0].ended == COMPLETE


def test_the_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    launcher = template(tmp_path, "end()")
    searched(tmp_path / "search", launcher, 1)
    other = replace(JOB, dataset_sha256="e" * 64)
    with pytest.raises(StoreError, match="holds a search with other settings, data or code"):
        search(tmp_path / "search", other, launcher, 1, nice=0, on_trial=lambda _: None)


def test_what_is_set_is_tried_even_where_it_is_unusual(tmp_path: Path) -> None:
    odd = replace(JOB.hyperparameters, learning_rate=0.5, warmup=0.9, weight_decay=3.0, lora_rank=5, step_examples=3)
    launcher = template(tmp_path, "end()")
    found = search(tmp_path / "lora", replace(JOB, hyperparameters=odd), launcher, 1, nice=0, on_trial=lambda _: None)
    tried = found.trials[0].parameters
    for name in ("learning_rate", "warmup", "weight_decay", "lora_rank", "lora_alpha", "step_examples"):
        assert getattr(tried, name) == getattr(odd, name)
    full = replace(odd, method="full")
    found = search(tmp_path / "full", replace(JOB, hyperparameters=full), launcher, 2, nice=0, on_trial=lambda _: None)
    assert "LORA" not in found.env
    assert {each.parameters.lora_rank for each in found.trials} == {5}


def test_a_line_that_is_still_being_written_is_not_an_evaluation_yet(tmp_path: Path) -> None:
    assert evaluations(tmp_path) == []
    row = {"event": "evaluation", "stage": "sft", "step": 5, "bits_per_byte": 2.0}
    lines = [row, row | {"step": 10, "bits_per_byte": 1.5}, {"event": "step", "step": 11}, row | {"step": 10}]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "eval')
    assert evaluations(tmp_path) == [2.0, 2.0]
