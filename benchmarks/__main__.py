"""`python -m benchmarks`: tokens per second, time to first token, event loop lag and start-up of bundles.

Several bundles take turns, round by round, so that a change of the machine's mood hits all of them; the table
gives medians and, in brackets, the lowest and highest round.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.workloads import run_streams, seconds_to_ready, worst_loop_lag
from engine import Bundle, Engine, EngineError, Registry
from engine.settings import EngineSettings, load_settings

LAG_STREAMS = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(EngineSettings)
        bundles = [Bundle.open(path) for path in options.bundle or [champion(settings)]]
        figures = asyncio.run(_measure(settings, bundles, options))
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report = _report(bundles, figures, options)
    print(report)
    if options.out:
        options.out.write_text(report + "\n", encoding="utf-8")
    return 0


def champion(settings: EngineSettings) -> Path:
    """The bundle that the registry has in service; a path that is none where there is no champion."""
    registry = Registry(settings.registry)
    return registry.path(registry.champion() or "(no champion; run make model)")


Figures = dict[tuple[str, str], list[float]]


async def _measure(settings: EngineSettings, bundles: Sequence[Bundle], options: argparse.Namespace) -> Figures:
    figures: Figures = defaultdict(list)
    for number in range(1, options.rounds + 1):
        for bundle in bundles:
            print(f"round {number} of {options.rounds}: {bundle.version}", file=sys.stderr)
            ready = await asyncio.to_thread(seconds_to_ready, bundle.path)
            figures[bundle.version, "start to ready, s"].append(ready)
            async with Engine(settings, bundle.path) as engine:
                for count in options.streams:
                    found = await run_streams(engine, count, options.seconds)
                    name = "1 stream" if count == 1 else f"{count} streams"
                    figures[bundle.version, f"{name}: tokens/s"].append(found.tokens_per_second)
                    figures[bundle.version, f"{name}: first token, ms"].append(1000 * found.time_to_first_token_s)
                    figures[bundle.version, f"{name}: per token, ms"].append(1000 * found.time_per_output_token_s)
                lag = await worst_loop_lag(engine, LAG_STREAMS, options.seconds)
                figures[bundle.version, f"worst loop lag at {LAG_STREAMS} streams, ms"].append(1000 * lag)
    return figures


def _report(bundles: Sequence[Bundle], figures: Figures, options: argparse.Namespace) -> str:
    versions = [bundle.version for bundle in bundles]
    measures = list(dict.fromkeys(measure for _, measure in figures))
    head = ["", *versions]
    fixed = [
        ["size, MiB", *(f"{sum(f.size for f in b.manifest.files.values()) / 2**20:.0f}" for b in bundles)],
        ["perplexity", *(f"{b.manifest.evaluation.perplexity:.3f}" for b in bundles)],
    ]
    rows = [[measure, *(_cell(figures[version, measure]) for version in versions)] for measure in measures]
    lines = [head, ["---"] * len(head), *fixed, *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{machine()}\n{options.rounds} rounds of {options.seconds:g} s for each figure.\n\n{table}"


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def machine() -> str:
    """What figures were measured on, in a line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("onnxruntime", "numpy", "tokenizers"))
    return f"{cpu}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--bundle", type=Path, action="append", help="a bundle; repeat for more (default: the champion)"
    )
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16], help="conversations at once")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the report to this file too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
