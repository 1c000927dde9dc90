"""`python -m benchmarks.training`: by how much replies slow down while a model is trained on the same cores.

The training runs all the time, niced as the schedule does it, and is stopped (SIGSTOP) while replies are measured
alone. So both cases take turns, round by round, and a change of the machine's mood hits both; the table gives medians
and, in brackets, the lowest and highest round. The training's steps are made short, so that its own speed can be
measured in some seconds.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.__main__ import champion, machine
from benchmarks.gpu_train import steps_of
from benchmarks.workloads import run_streams
from engine import Bundle, Engine, EngineError
from engine.settings import EngineSettings, load_settings
from exporters.wheels import WHEEL_MODELS
from finetune.settings import TrainSettings
from finetune.training import hardware, planning

STEP_EXAMPLES = 2
STEPS_TO_BEGIN_WITH = 3
LOOK_EVERY_S = 0.5
MINUTES = 600
ALONE, BESIDE = "alone", "beside the other"

Figures = dict[tuple[str, str], list[float]]


class Training:
    """A training in a process group of its own, which can be stopped and goes on as if nothing had been."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        """`folder` is the one given to `benchmarks.gpu_train`."""
        self._process, self._run = process, folder / "run-0"

    def stop(self) -> None:
        """Have it use no core."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it have the cores again."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def steps(self) -> int:
        """How many it has taken so far."""
        return len(steps_of(self._run))

    async def ready(self, number: int) -> None:
        """Wait until it has taken a number of steps.

        Raises:
            RuntimeError: It has ended before.
        """
        while self.steps() < number:
            if self._process.poll() is not None:
                raise RuntimeError("the training has ended too soon; see what it said above")
            await asyncio.sleep(LOOK_EVERY_S)

    def tokens_per_second(self, first: int) -> float | None:
        """Its speed since a number of steps; None if it has not taken two more, of which the first began before."""
        noted = steps_of(self._run)[first:]
        if len(noted) < 2:
            return None
        return float((noted[-1]["tokens"] - noted[0]["tokens"]) / (noted[-1]["seconds"] - noted[0]["seconds"]))


@contextmanager
def training(model: str, nice: int) -> Iterator[Training]:
    """A training of a model on the CPU; killed at the end."""
    precision = planning.hyperparameters(load_settings(TrainSettings), hardware.look(), replay_share=0.0).precision
    with tempfile.TemporaryDirectory() as folder:
        command = ["nice", "-n", str(nice), sys.executable, "-m", "benchmarks.gpu_train", "--cpu", "--model", model]
        command += ["--setting", f"{precision}, padded", "--step-examples", str(STEP_EXAMPLES)]
        command += ["--minutes", str(MINUTES), "--folder", folder]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                yield Training(process, Path(folder))
            finally:
                os.killpg(process.pid, signal.SIGKILL)


async def measure(engine: Engine, beside: Training, options: argparse.Namespace) -> Figures:
    """All figures by name and phase, one a round."""
    figures: Figures = defaultdict(list)
    await beside.ready(STEPS_TO_BEGIN_WITH)
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}", file=sys.stderr)
        await _trains_alone(beside, options, figures)
        for streams in options.streams:
            for phase in (ALONE, BESIDE) if number % 2 else (BESIDE, ALONE):
                await _replies(engine, beside, streams, options.seconds, phase, figures)
    return figures


async def _trains_alone(beside: Training, options: argparse.Namespace, figures: Figures) -> None:
    first = beside.steps()
    await asyncio.sleep(options.seconds)
    await beside.ready(first + 2)
    speed = beside.tokens_per_second(first)
    assert speed is not None
    for streams in options.streams:
        figures[f"training, {_named(streams)}: tokens/s", ALONE].append(speed)


async def _replies(
    engine: Engine, beside: Training, streams: int, seconds: float, phase: str, figures: Figures
) -> None:
    name = _named(streams)
    if phase == ALONE:
        beside.stop()
    first = beside.steps()
    found = await run_streams(engine, streams, seconds)
    if phase == BESIDE:
        while (speed := beside.tokens_per_second(first)) is None:
            found = await run_streams(engine, streams, seconds)
        figures[f"training, {name}: tokens/s", BESIDE].append(speed)
    beside.go_on()
    figures[f"{name}: tokens/s", phase].append(found.tokens_per_second)
    figures[f"{name}: first token, ms", phase].append(1000 * found.time_to_first_token_s)
    figures[f"{name}: per token, ms", phase].append(1000 * found.time_per_output_token_s)


def _named(streams: int) -> str:
    return "1 stream" if streams == 1 else f"{streams} streams"


def report(figures: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """A Markdown table; of each measure what it is alone, with the other beside it, and the ratio of the medians."""
    lines = [f"| | {ALONE} | {BESIDE} | ratio |", "|---|---|---|---|"]
    for name in dict.fromkeys(measure for measure, _ in figures):
        alone, beside = figures.get((name, ALONE), ()), figures.get((name, BESIDE), ())
        ratio = f"{statistics.median(beside) / statistics.median(alone):.2f}" if alone and beside else ""
        lines.append(f"| {name} | {_cell(alone)} | {_cell(beside)} | {ratio} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})" if values else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(EngineSettings)
        bundle = Bundle.open(options.bundle or champion(settings))
        figures = asyncio.run(_measure_all(settings, bundle, options))
    except (EngineError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    head = f"{bundle.version} answers, {options.model} is trained at nice {options.nice}."
    print(f"{machine()}\n{head} {options.rounds} rounds of {options.seconds:g} s for each figure.\n\n{report(figures)}")
    return 0


async def _measure_all(settings: EngineSettings, bundle: Bundle, options: argparse.Namespace) -> Figures:
    with training(options.model, options.nice) as beside:
        async with Engine(settings, bundle.path) as engine:
            return await measure(engine, beside, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="what answers (default: the champion)")
    parser.add_argument("--model", default=next(iter(WHEEL_MODELS)), help="source of the checkpoint that is trained")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4], help="conversations at once")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nice", type=int, default=10, help="how far the training stands back")
    return parser


if __name__ == "__main__":
    sys.exit(main())
