"""The lines at the end of a run."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

from finetune.evaluation.verdict import Verdict
from finetune.flywheel.folder import RunFolder
from finetune.runreport.summary import summary
from finetune.training.job import Result
from tests.finetune.runreport.invented import FAILED, PROMOTED, RECORD, RESULT, VERDICTS, events, fill, write_events

REFUSAL = Verdict("health", "empty", "3 %", "at most 1 %", False, "It says nothing.")


def test_the_summary_says_what_became_of_it_what_was_learnt_and_what_changed(tmp_path: Path) -> None:
    RunFolder(fill(tmp_path)).write_verdicts([verdict for verdict in VERDICTS if verdict.holds])
    assert summary(tmp_path, PROMOTED) == [
        "run 20261121-040000-3f9a: Promoted: mynah-20261121-3f9a is the champion: 7.7 % fewer bits per byte than "
        "mynah-base.",
        "data: 154,321 tokens to learn, from 2 sources",
        "sft: 120 steps, 480,000 tokens in 31 min 52 s (251 per second), bits per byte 1.828 → 1.687, ended by plan",
        "kto: left out, 120 ratings, 200 are needed",
        "held-out bits per byte: 1.828 → 1.687 (-7.7 %)",
        "general answers, against the base: 0.207 → 0.222 (+7.3 %)",
        "gates: 5 of 5 pass",
        f"took 47 min 28 s; report: {tmp_path / 'report.html'}",
    ]


def test_what_refused_a_model_is_named_and_more_of_it_counted(tmp_path: Path) -> None:
    fill(tmp_path)
    assert "  memorisation: mean exposure is 7.2 bits, limit at most 3 bits" in summary(tmp_path, RECORD)
    RunFolder(tmp_path).write_verdicts([REFUSAL, *(replace(REFUSAL, name=f"other {n}") for n in range(5))])
    lines = summary(tmp_path, RECORD)
    assert lines[-3:-1] == ["  health: empty is 3 %, limit at most 1 %", "  and 5 more; the report has them all"]


def test_the_summary_never_has_more_than_ten_lines_of_one_line_each(tmp_path: Path) -> None:
    fill(tmp_path)
    stages = (RESULT.stages[0], replace(RESULT.stages[0], name="kto", ended_by="a\nb\x1b[2J"))
    Result(stages, {}, "CPU").write(tmp_path)
    RunFolder(tmp_path).write_verdicts([replace(REFUSAL, name=f"{n}\n{n}") for n in range(30)])
    lines = summary(tmp_path, replace(RECORD, outcome="one\ntwo\x1b[2J"))
    assert len(lines) == 10
    assert all(line.isprintable() for line in lines)


def test_a_run_that_failed_early_has_a_short_summary(tmp_path: Path) -> None:
    write_events(tmp_path, islice(events(9), 3))
    assert summary(tmp_path, FAILED) == [
        "run 20261121-040000-3f9a: Failed at “train”: the disk is full; free 2 GB and run again.",
        f"took 47 min 28 s; report: {tmp_path / 'report.html'}",
    ]
