"""The lines that end a run in the terminal: what became of it, what it learnt, and by how much the model got better.

Never more than ten, each of one line; what is not in them is on the page. Loads no matplotlib.
"""

from collections.abc import Iterator
from pathlib import Path

from finetune.evaluation.verdict import refusals
from finetune.flywheel.folder import REPORT
from finetune.flywheel.record import RunRecord
from finetune.report.wording import change, count, decimal, duration, plural, printable, short
from finetune.runreport import findings as reading
from finetune.runreport.comparison import anchor, held_out
from finetune.runreport.findings import Findings
from finetune.runreport.outcome import learnt_tokens, sentence, took_s
from finetune.training.job import Stage

_MAX_REFUSALS = 2


def summary(folder: Path, record: RunRecord) -> list[str]:
    """At most ten lines, without line ends and without anything that would steer a terminal."""
    findings = reading.read(folder)
    lines = [
        f"run {record.id}: {sentence(record)}",
        *_data(findings),
        *_training(findings),
        *_models(findings),
        *_gates(findings),
        f"took {duration(took_s(record))}; report: {folder / REPORT}",
    ]
    return [printable(line) if not line.startswith("  ") else f"  {printable(line)}" for line in lines]


def _data(findings: Findings) -> Iterator[str]:
    tokens = learnt_tokens(findings)
    if findings.data and tokens is not None:
        yield f"data: {count(tokens)} tokens to learn, from {plural(len(findings.data.sources), 'source')}"


def _training(findings: Findings) -> Iterator[str]:
    for stage in findings.result.stages if findings.result else ():
        yield _stage(stage)
    for name, reason in sorted(findings.result.skipped.items()) if findings.result else ():
        yield f"{name}: left out, {short(reason, 80)}"


def _stage(stage: Stage) -> str:
    return (
        f"{stage.name}: {plural(stage.steps, 'step')}, {count(stage.tokens)} tokens in {duration(stage.seconds)}"
        f" ({decimal(stage.tokens_per_second, 0)} per second), bits per byte {decimal(stage.bits_per_byte_before)}"
        f" → {decimal(stage.bits_per_byte)}, ended by {stage.ended_by}"
    )


def _models(findings: Findings) -> Iterator[str]:
    before, after, base = findings.champion or findings.base, findings.challenger, findings.base
    if before and after:
        one, other = held_out(before), held_out(after)
        yield f"held-out bits per byte: {decimal(one)} → {decimal(other)} ({change(other, one)})"
    if base and after:
        one, other = anchor(base), anchor(after)
        yield f"general answers, against the base: {decimal(one)} → {decimal(other)} ({change(other, one)})"


def _gates(findings: Findings) -> Iterator[str]:
    if not findings.verdicts:
        return
    refused = refusals(findings.verdicts)
    yield f"gates: {len(findings.verdicts) - len(refused)} of {len(findings.verdicts)} pass"
    shown = refused if len(refused) <= _MAX_REFUSALS else refused[: _MAX_REFUSALS - 1]
    for each in shown:
        yield f"  {short(each.gate)}: {short(each.name, 60)} is {short(each.value)}, limit {short(each.limit)}"
    if len(refused) > len(shown):
        yield f"  and {len(refused) - len(shown)} more; the report has them all"
