"""The console bot as people start it, with a real (tiny) model behind it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from engine import Registry

ROOT = Path(__file__).parent.parent


def _console(given: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bots.console", "--max-tokens", "12", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def test_each_line_gets_one_reply_on_stdout_and_the_exit_code_is_0(bundles: Callable[..., Path]) -> None:
    ran = _console("Hello\n\nAnd again\n", "--greedy", "--bundle", str(bundles()))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    assert "ready in" in ran.stderr
    alone = _console("Hello\n", "--greedy", "--bundle", str(bundles())).stdout
    assert ran.stdout.startswith(alone), "the first reply does not depend on what comes later"
    assert len(ran.stdout) > len(alone)


def test_it_serves_the_champion_of_the_registry(bundles: Callable[..., Path], tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    version = registry.add(bundles(seed=1))
    registry.promote(version, "test")
    ran = _console("/model\nHello\n", ENGINE_REGISTRY=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert version in ran.stderr
    assert ran.stdout


def test_a_seed_repeats_a_conversation(bundles: Callable[..., Path]) -> None:
    options = ("--bundle", str(bundles()))
    hot = {"BOTS_TEMPERATURE": "1.5", "BOTS_TOP_P": "1"}
    first, second = (_console("Hello\nYes\n", "--seed", "5", *options, **hot).stdout for _ in range(2))
    other = _console("Hello\nYes\n", "--seed", "6", *options, **hot).stdout
    assert first == second != other
