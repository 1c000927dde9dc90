"""The report of a run as one HTML file, and its plots as pictures: nothing to load, nothing that leads out.

Of what people said it has only figures; the words on it are the models' own. Knows how findings are laid out, and
nothing of how they come about.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune.durable import replacing, write_text
from finetune.evaluation.verdict import refusals
from finetune.flywheel.folder import REPORT
from finetune.flywheel.record import RunRecord, State
from finetune.report.plots import Plot, funnel_plot, histogram_plot
from finetune.report.templates import environment
from finetune.report.wording import change, count, decimal, duration, plural, size
from finetune.runreport import comparison, curves, outcome
from finetune.runreport import findings as reading
from finetune.runreport.events import Course
from finetune.runreport.findings import Findings
from finetune.settings import TrainSettings
from finetune.training.job import Job

PLOTS = "plots"

_HAPPY = (State.PROMOTED, State.RUNNING, State.WAITING)

Pairs = tuple[tuple[str, str], ...]


def write(folder: Path, record: RunRecord) -> Path:
    """Put `report.html` and `plots/*.png` into a run's folder, of whatever it has come to.

    Returns:
        The page.

    Raises:
        StoreError: They cannot be written.
    """
    findings = reading.read(folder)
    plots = _plots(findings)
    for name, plot in plots.items():
        with replacing(folder / PLOTS / f"{name}.png") as out:
            out.write(plot.drawing.png(plot.title))
    path = folder / REPORT
    write_text(path, render(findings, record, plots))
    return path


def render(findings: Findings, record: RunRecord, plots: dict[str, Plot]) -> str:
    """The page. The same findings give the same page, byte for byte, with one version of matplotlib."""
    answerers, answers = comparison.answers(findings)
    html = (
        environment("finetune.runreport")
        .get_template("runpage.html.jinja")
        .render(
            record=record,
            findings=findings,
            sentence=outcome.sentence(record),
            is_happy=record.state in _HAPPY,
            refused=refusals(findings.verdicts),
            milestones=outcome.milestones(findings, record),
            tiles=tuple(_tiles(findings, record)),
            models=comparison.models(findings),
            compared=comparison.compared(findings),
            answerers=answerers,
            answers=answers,
            plots=plots,
            hyperparameters=tuple(_hyperparameters(findings.job)) if findings.job else (),
            used=tuple(_used(findings, record)),
            lineage=tuple(_lineage(findings.job, record)),
        )
    )
    # A file in UTF-8 cannot hold a lone surrogate, which JSON can.
    return html.encode("utf-8", "replace").decode("utf-8")


def _plots(findings: Findings) -> dict[str, Plot]:
    """What there is to draw, by the name of its file."""
    data = findings.data or reading.Data()
    plots = {
        "loss": curves.loss_plot(findings.course),
        "bits_per_byte": curves.bits_per_byte_plot(findings.course, findings.result),
        "learning_rate": curves.learning_rate_plot(findings.course),
        "speed": curves.speed_plot(findings.course),
        "funnel": funnel_plot(data.funnel, "Data funnel"),
        "lengths": histogram_plot("Lengths of answers to be learnt", data.lengths, "tokens", "answers"),
    }
    return {name: plot for name, plot in plots.items() if plot}


def _tiles(findings: Findings, record: RunRecord) -> Iterator[tuple[str, str, str]]:
    """The few figures that a run is about: name, value, and what it is to be compared with."""
    before, after, base = findings.champion or findings.base, findings.challenger, findings.base
    if before and after:
        one, other = comparison.held_out(before), comparison.held_out(after)
        yield "held-out bits per byte", decimal(other), f"{change(other, one)} against {decimal(one)} of the champion"
    if base and after:
        one, other = comparison.anchor(base), comparison.anchor(after)
        yield "on general answers", decimal(other), f"{change(other, one)} against {decimal(one)} of the base"
    if findings.verdicts:
        holding = len(findings.verdicts) - len(refusals(findings.verdicts))
        yield "gates", f"{holding} of {len(findings.verdicts)}", "pass"
    if (tokens := outcome.learnt_tokens(findings)) is not None:
        yield "to learn", count(tokens), "tokens of answers"
    if (took := outcome.took_s(record)) is not None:
        yield "took", duration(took), f"in {plural(record.attempts, 'attempt')}" if record.attempts > 1 else ""


def _hyperparameters(job: Job) -> Iterator[tuple[str, str, str]]:
    """Name, value, and what the setting of that name says of itself."""
    fields = TrainSettings.model_fields
    for name, value in asdict(job.hyperparameters).items():
        yield name, _written(value), (fields[name].description or "") if name in fields else ""


def _written(value: Any) -> str:
    if value is None:
        return "no limit"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _used(findings: Findings, record: RunRecord) -> Iterator[tuple[str, str]]:
    """What it took."""
    for stage in findings.result.stages if findings.result else ():
        limit = findings.job.hyperparameters.tokens if findings.job and stage.name == "sft" else None
        of_limit = f" of {count(limit)}" if limit else ""
        yield f"{stage.name}: tokens", f"{count(stage.tokens)}{of_limit}"
        yield f"{stage.name}: time", f"{duration(stage.seconds)}, {decimal(stage.tokens_per_second, 0)} tokens/s"
        yield f"{stage.name}: steps", f"{count(stage.steps)}, the best is {count(stage.best_step)}"
        yield f"{stage.name}: ended by", stage.ended_by
        yield f"{stage.name}: memory", size(stage.memory_bytes)
    for name, reason in sorted(findings.result.skipped.items()) if findings.result else ():
        yield f"{name}: left out", reason
    if findings.result is None:
        yield from _used_so_far(findings.course)
    if findings.course.checkpoint_bytes:
        yield "largest checkpoint", size(findings.course.checkpoint_bytes)
    for stage_name, step in findings.course.resumed:
        yield "taken up again", f"{stage_name}, after step {count(step)}"
    yield "attempts", count(record.attempts)
    if findings.result:
        yield "hardware", findings.result.hardware


def _used_so_far(course: Course) -> Iterator[tuple[str, str]]:
    """What a training took that has not ended."""
    for name in course.stages:
        if steps := course.steps_of(name):
            last = steps[-1]
            yield f"{name}: so far", f"step {count(last.step)} of {count(last.steps)}, {duration(last.seconds)}"


def _lineage(job: Job | None, record: RunRecord) -> Iterator[tuple[str, str]]:
    """Where the model comes from."""
    yield "asked for", f"{outcome.moment(record.asked_at)}, by {record.trigger}: {record.reason}"
    yield "began", outcome.moment(record.started_at)
    yield "ended", outcome.moment(record.ended_at)
    if record.version:
        yield "model", record.version
    if job is None:
        return
    yield "dataset", job.dataset
    yield "dataset, SHA-256", job.dataset_sha256
    yield "base", job.base
    yield "base, SHA-256", job.base_sha256
    yield "template and tokeniser of", job.bundle
    yield "job, SHA-256", job.digest
    yield from sorted(job.code.items())
