"""`python -m benchmarks` measures what it says it does."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

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
