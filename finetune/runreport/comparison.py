"""The models of a run side by side: their figures, what changed, and their answers to the same prompts.

Knows how figures are written, and nothing of limits or of the page.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from finetune.evaluation.figures import Figures
from finetune.evaluation.losses import bits_per_byte
from finetune.report.wording import change, count, decimal, percent, signed, size
from finetune.runreport.findings import Findings


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of all models.

    Attributes:
        better: `less`, `more`, or nothing where neither is.
        values: Of each model, as people read them.
        change: From the champion to the challenger.
    """

    name: str
    better: str
    values: tuple[str, ...]
    change: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What the models say to one prompt; None of a model that was not asked."""

    prompt: str
    answers: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    better: str
    value: Callable[[Figures], float | None]
    written: Callable[[float | None], str]
    changed: Callable[[float | None, float | None], str]


def models(findings: Findings) -> dict[str, Figures]:
    """The models that were measured, by what they are: `base`, `champion`, `challenger`; no model twice."""
    base, champion, challenger = findings.base, findings.champion, findings.challenger
    if base and champion and base.version == champion.version:
        named = {"champion (the base)": champion, "challenger": challenger}
    else:
        named = {"base": base, "champion": champion, "challenger": challenger}
    return {name: figures for name, figures in named.items() if figures is not None}


def compared(findings: Findings) -> tuple[Compared, ...]:
    """All figures of all models, without those that no model has."""
    shown = models(findings)
    before, after = findings.champion or findings.base, findings.challenger
    return tuple(row for measure in _MEASURES if (row := _row(measure, shown, before, after)))


def held_out(figures: Figures) -> float | None:
    """Bits per byte on the frozen test; None if nothing of it was measured."""
    return bits_per_byte(figures.held_out.values()) if figures.held_out else None


def anchor(figures: Figures) -> float | None:
    """Bits per byte on general answers of the base model; None if nothing of it was measured."""
    return bits_per_byte(figures.anchor.values()) if figures.anchor else None


def answers(findings: Findings) -> tuple[tuple[str, ...], tuple[Answers, ...]]:
    """Which models answered, and what; prompts in the order of the model that was asked most."""
    said = {name: dict(figures.samples) for name, figures in models(findings).items() if figures.samples}
    if len(said) > 2:  # what people will talk to, and what they talk to now
        said.pop("base", None)
    prompts = dict.fromkeys(prompt for each in sorted(said.values(), key=len, reverse=True) for prompt in each)
    rows = (Answers(prompt, tuple(each.get(prompt) for each in said.values())) for prompt in prompts)
    return tuple(said), tuple(rows)


def _row(
    measure: _Measure, shown: Mapping[str, Figures], before: Figures | None, after: Figures | None
) -> Compared | None:
    values = [measure.value(figures) for figures in shown.values()]
    if all(value is None for value in values):
        return None
    changed = measure.changed(measure.value(after), measure.value(before)) if before and after else "-"
    return Compared(measure.name, measure.better, tuple(map(measure.written, values)), changed)


def _points(after: float | None, before: float | None) -> str:
    if after is None or before is None or not math.isfinite(after - before):
        return "-"
    return f"{signed(100 * (after - before))} points"


def _no_change(_after: float | None, _before: float | None) -> str:
    return "-"


def _whole(number: float | None) -> str:
    return count(int(number)) if number is not None and math.isfinite(number) else decimal(number)


def _bytes(number: float | None) -> str:
    return size(int(number)) if number is not None and math.isfinite(number) else decimal(number)


def _milliseconds(number: float | None) -> str:
    return "-" if number is None else f"{decimal(1000 * number, 1)} ms"


def _yes_or_no(number: float | None) -> str:
    return "-" if number is None else ("yes" if number else "no")


def _checkpoint(figures: Figures) -> float | None:
    losses = figures.checkpoint_held_out
    return bits_per_byte(losses.values()) if losses else None


_MEASURES = (
    _Measure("held-out conversations, bits per byte", "less", held_out, decimal, change),
    _Measure("the same of the checkpoint, before the export", "less", _checkpoint, decimal, change),
    _Measure("general answers, bits per byte", "less", anchor, decimal, change),
    _Measure("true reply found among ten", "more", lambda f: f.hits_at_1 if f.num_ranked else None, percent, _points),
    _Measure(
        "liked answer preferred to a disliked one",
        "more",
        lambda f: f.preference.auc if f.preference else None,
        percent,
        _points,
    ),
    _Measure("answers looked at", "", lambda f: f.health.answers, _whole, _no_change),
    _Measure("empty", "less", lambda f: f.health.empty, percent, _points),
    _Measure("do not end by themselves", "less", lambda f: f.health.endless, percent, _points),
    _Measure("four words repeated", "less", lambda f: f.health.repetition, percent, _points),
    _Measure("different pairs of words", "more", lambda f: f.health.distinct_2, percent, _points),
    _Measure("most common answer", "less", lambda f: f.health.common_reply, percent, _points),
    _Measure("speak as somebody else", "less", lambda f: f.health.other_speaker, percent, _points),
    _Measure("hold a blocked word", "less", lambda f: f.health.blocked, percent, _points),
    _Measure("repeat training data word for word", "less", lambda f: f.health.verbatim, percent, _points),
    _Measure("exposure of planted secrets, bits", "less", lambda f: f.exposure.mean, decimal, _no_change),
    _Measure("planted secrets given away", "less", lambda f: f.exposure.extracted, _whole, _no_change),
    _Measure("exposure of forgotten secrets, bits", "less", lambda f: f.exposure.forgotten_mean, decimal, _no_change),
    _Measure("first token, 95th percentile", "less", lambda f: f.serving.first_token_s, _milliseconds, change),
    _Measure("one more token", "less", lambda f: f.serving.token_s, _milliseconds, change),
    _Measure(
        "first token, in turns with the champion", "less", lambda f: f.serving.first_token_ratio, decimal, _no_change
    ),
    _Measure(
        "one more token, in turns with the champion", "less", lambda f: f.serving.token_ratio, decimal, _no_change
    ),
    _Measure("model file", "less", lambda f: f.serving.file_bytes, _bytes, change),
    _Measure(
        "perplexity, times the checkpoint's",
        "less",
        lambda f: f.parity.perplexity if f.parity else None,
        decimal,
        _no_change,
    ),
    _Measure(
        "same best token as the checkpoint", "more", lambda f: f.parity.top_1 if f.parity else None, percent, _points
    ),
    _Measure(
        "same 64 tokens as the checkpoint", "more", lambda f: f.parity.greedy if f.parity else None, percent, _points
    ),
    _Measure(
        "difference of logits to the checkpoint",
        "less",
        lambda f: f.parity.logits if f.parity else None,
        lambda number: decimal(number, 6),
        _no_change,
    ),
    _Measure(
        "template and tokeniser of the base",
        "",
        lambda f: f.parity.same_text if f.parity else None,
        _yes_or_no,
        _no_change,
    ),
)
