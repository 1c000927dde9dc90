"""`python -m benchmarks`, and what measures training, measure what they say they do."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_train, training
from benchmarks.__main__ import main


def test_the_report_has_a_figure_for_every_measure_and_bundle(
    bundles: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_CONTEXT_TOKENS", "256")
    report = tmp_path / "report.md"
    paths = [str(bundles(seed=seed)) for seed in (0, 1)]
    options = ["--bundle", paths[0], "--bundle", paths[1], "--rounds", "1", "--seconds", "0.5", "--streams", "1", "3"]
    assert main([*options, "--out", str(report)]) == 0
    text = report.read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    for measure in ("start to ready, s", "1 stream: tokens/s", "3 streams: first token, ms", "worst loop lag"):
        row = next(line for line in text.splitlines() if line.startswith(f"| {measure}"))
        figures = [float(number) for number in re.findall(r"\| ([\d.e+-]+) \(", row)]
        assert len(figures) == 2
        assert all(figure > 0 for figure in figures)


def test_a_bundle_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bundle", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_training_s_speed_is_measured_for_each_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.json"
    options = ["--cpu", "--tiny", "--minutes", "5", "--steps", "6", "--step-examples", "2", "--json", str(out)]
    assert gpu_train.main([*options, "--setting", "bf16, packed", "--setting", "fp32, padded"]) == 0
    table = capsys.readouterr().out
    figures = json.loads(out.read_text())["figures"]
    assert list(figures) == ["bf16, packed", "fp32, padded"]
    for name, each in figures.items():
        # Three of six steps are to warm up, but the first is measured from nowhere.
        assert each["steps"] == 2
        assert min(each["step_seconds"], each["tokens_per_second"], each["memory_bytes"]) > 0
        assert f"| {name} | {each['tokens_per_second']:,.0f} | " in table


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_where_there_is_no_gpu_that_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_train.main([]) == gpu_train.NO_GPU
    assert capsys.readouterr().err == (
        "error: torch sees no CUDA device here; run this where there is one, or try --cpu --tiny\n"
    )


def test_replies_and_a_training_are_measured_alone_and_beside_each_other(
    bundles: Callable[..., Path],
    checkpoints: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENGINE_CONTEXT_TOKENS", "256")
    options = ["--bundle", str(bundles()), "--model", str(checkpoints()), "--rounds", "1", "--seconds", "1"]
    assert training.main([*options, "--streams", "2"]) == 0
    text = capsys.readouterr().out
    for measure in ("2 streams: tokens/s", "2 streams: first token, ms", "training, 2 streams: tokens/s"):
        row = next(line for line in text.splitlines() if line.startswith(f"| {measure}"))
        alone, beside = (float(number) for number in re.findall(r"\| ([\d.e+-]+) \(", row))
        assert min(alone, beside) > 0
        assert float(row.split("|")[-2]) == pytest.approx(beside / alone, abs=0.01)
