"""The gates: whether a dataset is trained on, whether a training was worth it, whether a model is promoted.

Rules over figures that others have measured. Knows nothing of files or models.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from finetune.comparing.result import HumanResult
from finetune.evaluation.bootstrap import upper_bound
from finetune.evaluation.figures import Figures, Health, Loss
from finetune.evaluation.limits import NOT_MEASURED, Measured, count, plain, share, signed
from finetune.evaluation.losses import bits_per_byte
from finetune.evaluation.verdict import Verdict
from finetune.report.figures import Check
from finetune.settings import GateSettings
from finetune.training.job import Result

DATA, TRAINING = "data", "training"
HELD_OUT, ANCHOR, RANKING, HEALTH = "held-out loss", "general anchor", "ranking", "health"
MEMORISATION, PARITY, SERVING, PREFERENCE, HUMAN = "memorisation", "parity", "serving", "preference", "human"

# The lower 90 % bound of the share of comparisons by people that a model wins, ties being halves.
NOT_WORSE = 0.40
# With two wins and nothing else, that bound would be 0.55.
MIN_COMPARISONS = 30

WAIT = "Wait until more is said."
EXPORT_AGAIN = "What would be served is not the model that was trained. Export it again; if that fails, report it."


def data_verdicts(
    checks: Sequence[Check], new_targets: int, new_tokens: int, limits: GateSettings, *, is_forced: bool
) -> tuple[Verdict, ...]:
    """Whether a dataset is trained on.

    Args:
        checks: Of the data report, made with the same limits.
        new_targets: Answers to learn that the champion has not learnt; `new_tokens` are their tokens.
        is_forced: Whether somebody wants the run, or has to be forgotten: nothing need be new then.
    """
    new: tuple[Verdict, ...] = (
        Measured(DATA, "new answers to learn", new_targets, count, WAIT).at_least(limits.min_new_targets),
        Measured(DATA, "tokens of new answers", new_tokens, count, WAIT).at_least(limits.min_new_tokens),
    )
    if is_forced:
        new = tuple(_waived(each, "The run is wanted in any case: nothing need be new.") for each in new)
    return (*new, *(Verdict(DATA, each.name, each.value, each.limit, each.is_ok, each.meaning) for each in checks))


def training(result: Result) -> tuple[Verdict, ...]:
    """Whether a training has made anything better, on the validation part."""
    before = result.stages[0].bits_per_byte_before if result.stages else math.nan
    after = result.stages[-1].bits_per_byte if result.stages else None
    meaning = "The training has made nothing better. Look at its curves; try a lower TRAIN_LEARNING_RATE, or more data."
    return (Measured(TRAINING, "bits per byte after it", after, plain, meaning).below(before),)


def judge(
    challenger: Figures,
    champion: Figures,
    base: Figures,
    limits: GateSettings,
    *,
    is_forced: bool,
    human: HumanResult | None,
) -> tuple[Verdict, ...]:
    """Whether a model takes the champion's place; all three were measured on the same data.

    Args:
        is_forced: Whether somebody has to be forgotten: the model need not be better then, only not worse.
        human: What people have said of the challenger against the champion; None if nobody has.
    """
    is_first = champion.version == base.version
    beaten = {"champion": champion} if is_first else {"champion": champion, "base model": base}
    return (
        *_held_out(challenger, champion, base, limits, is_forced=is_forced),
        *_anchor(challenger, champion, base, limits, is_first=is_first),
        *_ranking(challenger, beaten, limits),
        *_health(challenger, beaten, limits),
        *_memorisation(challenger, limits),
        *_parity(challenger, limits),
        *_serving(challenger, limits),
        *_preference(challenger, champion, limits),
        *_human(human, is_required=is_first and limits.human == "first"),
    )


def _held_out(
    challenger: Figures, champion: Figures, base: Figures, limits: GateSettings, *, is_forced: bool
) -> Iterator[Verdict]:
    """Better than the champion, and surely so; where somebody is forgotten, surely not worse.

    Each of many models that forget somebody may be a little worse than the one before, but none than the base model.
    """
    ratio = _compared(challenger.held_out, champion.held_out)
    yield Measured(
        HELD_OUT,
        "bits per byte to the champion's",
        ratio.share,
        plain,
        "On conversations that neither has learnt, it is not the better one. It takes more data, or another training.",
        note=f" ({ratio.new:.4g} to {ratio.old:.4g})",
    ).at_most(limits.forced_bits_per_byte if is_forced else limits.bits_per_byte)
    yield Measured(
        HELD_OUT,
        "surely no more than the champion's by",
        upper_bound(challenger.held_out, champion.held_out) if math.isfinite(ratio.share) else None,
        signed,
        "So small a difference on so few conversations may be luck. More data, or more GATE_CONVERSATIONS, would tell.",
    ).below(limits.forced_bits_per_byte - 1 if is_forced else 0.0)
    if is_forced:
        meaning = "It has learnt nothing of use. It takes more data, or another training; or go back to the base model."
        to_base = _compared(challenger.held_out, base.held_out).share
        yield Measured(HELD_OUT, "bits per byte to the base model's", to_base, plain, meaning).at_most(1.0)


def _anchor(
    challenger: Figures, champion: Figures, base: Figures, limits: GateSettings, *, is_first: bool
) -> Iterator[Verdict]:
    """What the base model says to general questions is not forgotten."""
    meaning = (
        "It forgets what the base model can do. Raise FINETUNE_REPLAY_SHARE (and make a replay, if there is none), or "
        "lower TRAIN_LEARNING_RATE."
    )
    to_base = _compared(challenger.anchor, base.anchor).share
    yield Measured(ANCHOR, "bits per byte to the base model's", to_base, plain, meaning).at_most(limits.anchor)
    if not is_first:
        ratio = _compared(challenger.anchor, champion.anchor).share
        yield Measured(ANCHOR, "bits per byte to the champion's", ratio, plain, meaning).at_most(limits.anchor_champion)


def _ranking(challenger: Figures, beaten: Mapping[str, Figures], limits: GateSettings) -> Iterator[Verdict]:
    """The true reply is found as often as by each of some models.

    Were it by the champion alone, a little could be lost with each model, without end.
    """
    for name, other in beaten.items():
        is_comparable = 0 < challenger.num_ranked == other.num_ranked
        yield Measured(
            RANKING,
            f"true reply found among ten, to the {name}",
            challenger.hits_at_1 if is_comparable else None,
            share,
            f"It speaks less to the point than the {name}. It takes more data, or other data.",
            note=f" of {challenger.num_ranked:,}",
        ).at_least(other.hits_at_1 - limits.ranking)


def _health(challenger: Figures, beaten: Mapping[str, Figures], limits: GateSettings) -> Iterator[Verdict]:
    """Answers look like answers."""
    found = challenger.health
    is_measured = found.answers > 0
    for name, value, limit, meaning in (
        ("empty answers", found.empty, limits.empty, "It has learnt to say nothing. See what is learnt in the report."),
        ("answers without an end", found.endless, limits.endless, "It does not know when to stop. See the samples."),
        ("repeated groups of four words", found.repetition, limits.repetition, "It goes round in circles. Train less."),
        ("most common answer", found.common_reply, limits.common_reply, "It says the same to all. Train less."),
        ("answers as somebody else", found.other_speaker, limits.other_speaker, "It takes the turns of others."),
    ):
        yield Measured(HEALTH, name, value if is_measured else None, share, meaning).at_most(limit)
    for name, other in beaten.items():
        yield from _compared_health(found, other.health, name, limits)


def _compared_health(found: Health, other: Health, name: str, limits: GateSettings) -> Iterator[Verdict]:
    """Answers look no worse than those of another model."""
    is_measured = found.answers > 0 < other.answers
    yield Measured(
        HEALTH,
        f"answers with blocked words, to the {name}",
        found.blocked if is_measured else None,
        share,
        "It has them from the data. Take out the source that says them, and prepare again.",
    ).at_most(other.blocked + limits.blocked)
    yield Measured(
        HEALTH,
        f"different pairs of words, to the {name}",
        found.distinct_2 if is_measured else None,
        share,
        f"Its answers are more alike than those of the {name}. Train less, or on more various data.",
    ).at_least(other.distinct_2 * limits.variety)


def _memorisation(challenger: Figures, limits: GateSettings) -> Iterator[Verdict]:
    """Nothing that was said once is known by heart, and nothing at all of who is forgotten."""
    found, health = challenger.exposure, challenger.health
    by_heart = "It learns by heart what was said once. Train less, or with TRAIN_METHOD=lora."
    mean = found.mean if found.num_canaries else None
    unknown = "Without planted secrets it cannot be known what it learns by heart. Set FINETUNE_CANARIES above 0."
    exposure = Measured(
        MEMORISATION, "exposure of secrets, in bits", mean, plain, unknown if mean is None else by_heart
    )
    yield exposure.at_most(limits.exposure)
    yield Measured(MEMORISATION, "secrets given away", found.extracted, count, by_heart).at_most(0)
    if found.num_forgotten:
        yield Measured(
            MEMORISATION,
            "exposure of forgotten secrets, in bits",
            found.forgotten_mean,
            plain,
            "It knows what went with somebody who is forgotten, so it has learnt from them. Report it as a bug.",
        ).at_most(limits.exposure)
    verbatim = health.verbatim if health.answers else None
    yield Measured(MEMORISATION, "answers with one person's words", verbatim, share, by_heart).at_most(limits.verbatim)


def _parity(challenger: Figures, limits: GateSettings) -> Iterator[Verdict]:
    """What is served is what was trained."""
    found = challenger.parity
    if found is None:
        yield Verdict(PARITY, "export", NOT_MEASURED, "measured", False, EXPORT_AGAIN)
        return
    yield Measured(PARITY, "difference of logits", found.logits, plain, EXPORT_AGAIN).at_most(limits.parity)
    yield Measured(PARITY, "same greedy answer", found.greedy, share, EXPORT_AGAIN).at_least(limits.greedy)
    yield Measured(
        PARITY,
        "perplexity to the checkpoint's",
        found.perplexity,
        plain,
        "Fewer bits have cost too much, or these are other weights. Export it again, or with a higher precision.",
        note=f" (same best token: {share(found.top_1)})",
    ).at_most(limits.perplexity)
    yield Measured(
        PARITY,
        "the checkpoint's perplexity to its own",
        1 / found.perplexity if found.perplexity else math.inf,
        plain,
        "It knows held-out answers better than its checkpoint: these are other weights. Export it again.",
    ).at_most(limits.perplexity)
    yield Verdict(
        PARITY,
        "template, tokeniser and end of answers",
        "the base model's" if found.same_text else "others",
        "the base model's",
        found.same_text,
        "It would read and end turns otherwise than it has learnt to. Export it again; if that fails, report it.",
    )


def _serving(challenger: Figures, limits: GateSettings) -> Iterator[Verdict]:
    """Replies come as fast."""
    found = challenger.serving
    for name, ratio, seconds in (
        ("time to the first token, to the champion's", found.first_token_ratio, found.first_token_s),
        ("time of one more token, to the champion's", found.token_ratio, found.token_s),
    ):
        meaning = "Replies would come later than now. Measure again on an idle machine, or export with fewer bits."
        yield Measured(SERVING, name, ratio, plain, meaning, note=f" ({seconds:.3g} s)").at_most(limits.serving)
    size = found.file_bytes / 1e9
    yield Measured(SERVING, "size in GB", size, plain, "Export with fewer bits.").at_most(limits.file_gb)


def _preference(challenger: Figures, champion: Figures, limits: GateSettings) -> Iterator[Verdict]:
    """What people liked is preferred; looked at once there are enough ratings, and of both kinds."""
    found, before = challenger.preference, champion.preference
    number = found.num_good + found.num_bad if found is not None and found.num_good and found.num_bad else 0
    if found is None or number < limits.min_labels:
        asked = f"looked at from {limits.min_labels:,} on"
        yield Verdict(PREFERENCE, "held-out ratings", f"{number:,}", asked, True, "Not enough ratings of both kinds.")
        return
    meaning = "It does not prefer what people like. See how KTO went, or leave it out with TRAIN_KTO=false."
    liked = Measured(PREFERENCE, "liked answers preferred", found.auc, share, meaning)
    yield liked.at_least(limits.preference)
    to_champion = replace(liked, name="liked answers preferred, to the champion")
    yield to_champion.at_least(math.nan if before is None else before.auc - limits.preference_loss)


def _human(human: HumanResult | None, *, is_required: bool) -> Iterator[Verdict]:
    """People who do not know which is which like it no less; heeded where a setting asks for it."""
    if human is None and not is_required:
        return
    verdict = Measured(
        HUMAN,
        f"surely no worse to people, in {MIN_COMPARISONS} comparisons or more",
        None if human is None or human.judged < MIN_COMPARISONS else human.lower_bound,
        share,
        "Compare it with the champion, blind: python -m finetune compare. If people like it less, it stays out.",
    ).at_least(NOT_WORSE)
    yield verdict if is_required else _waived(verdict, "People like it less than the champion; GATE_HUMAN heeds it.")


def _waived(verdict: Verdict, why: str) -> Verdict:
    """A verdict that refuses nothing."""
    return verdict if verdict.holds else replace(verdict, is_waived=True, meaning=why)


class _Compared(NamedTuple):
    """Bits per byte of two models; `share` is NaN if they were not measured on the same."""

    new: float
    old: float
    share: float


def _compared(new: Mapping[str, Loss], old: Mapping[str, Loss]) -> _Compared:
    of_new, of_old = bits_per_byte(new.values()), bits_per_byte(old.values())
    is_comparable = new.keys() == old.keys() and math.isfinite(of_new) and math.isfinite(of_old) and of_old > 0
    return _Compared(of_new, of_old, of_new / of_old if is_comparable else math.nan)
