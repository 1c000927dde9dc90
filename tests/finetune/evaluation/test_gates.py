"""Each gate: what it lets pass just within its limit, and refuses just beyond it."""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any

import pytest

from finetune.comparing.result import HumanResult
from finetune.evaluation.figures import Exposure, Figures, Health, Loss, Parity, Preference, Serving
from finetune.evaluation.gates import data_verdicts, judge, training
from finetune.evaluation.verdict import Verdict, in_one_line, refusals
from finetune.report.figures import Check
from finetune.settings import GateSettings
from finetune.training.job import Result, Stage

LIMITS = GateSettings()


def losses(bits_per_byte: float, number: int = 60) -> dict[str, Loss]:
    return {f"c{n}": Loss(bits_per_byte * math.log(2) * (50 + n), 50 + n, 20) for n in range(number)}


HEALTH = Health(
    answers=400,
    empty=0.0,
    endless=0.01,
    repetition=0.01,
    distinct_2=0.5,
    common_reply=0.02,
    other_speaker=0.0,
    blocked=0.01,
    verbatim=0.0,
)
SERVING = Serving(first_token_s=0.4, token_s=0.02, first_token_ratio=1.0, token_ratio=1.0, file_bytes=300_000_000)
OF_BASE = replace(HEALTH, distinct_2=0.48, blocked=0.0101)
BASE = Figures("base", losses(2.0), losses(0.2), 0.5, 100, OF_BASE, Exposure(1.4, 8, 0), SERVING)
CHAMPION = Figures(
    "champion",
    losses(1.8),
    losses(0.22),
    0.6,
    100,
    HEALTH,
    Exposure(1.5, 8, 0, 1.4, 2),
    SERVING,
    preference=Preference(0.6, 80, 40),
)
# Just within every limit.
CHALLENGER = Figures(
    "challenger",
    losses(1.8 * 0.9949),
    losses(0.2299),
    0.5901,
    100,
    Health(400, 0.01, 0.05, 0.02, 0.4501, 0.05, 0.01, 0.0149, 0.005),
    Exposure(3.0, 8, 0, 3.0, 2),
    Serving(0.44, 0.022, 1.1, 1.1, 9_999_999_999),
    Parity(1e-3, 0.95, 1.01, 0.97, True),
    Preference(0.5801, 80, 40),
)
JUDGED_GATES = (
    "held-out loss",
    "general anchor",
    "ranking",
    "health",
    "memorisation",
    "parity",
    "serving",
    "preference",
)


def changed(figures: Figures, path: str, value: object) -> Figures:
    """The same but for one figure, as `health.empty`."""
    part, _, name = path.partition(".")
    if name:
        value = replace(getattr(figures, part), **{name: value})
    return replace(figures, **{part: value})  # type: ignore[arg-type]  # by name


def judged(challenger: Figures, champion: Figures = CHAMPION, base: Figures = BASE, **options: Any) -> list[Verdict]:
    given: dict[str, Any] = {"limits": LIMITS, "is_forced": False, "human": None} | options
    return list(judge(challenger, champion, base, given.pop("limits"), **given))


def refused(verdicts: Iterable[Verdict]) -> list[str]:
    return [f"{each.gate}: {each.name}" for each in refusals(list(verdicts))]


def test_a_model_just_within_every_limit_passes_and_every_gate_has_spoken() -> None:
    verdicts = judged(CHALLENGER)
    assert refused(verdicts) == []
    assert tuple(dict.fromkeys(each.gate for each in verdicts)) == JUDGED_GATES
    assert len({(each.gate, each.name) for each in verdicts}) == len(verdicts)
    assert all(each.value and each.limit and each.meaning.endswith(".") for each in verdicts)


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("held_out", losses(1.8 * 0.9951), ["held-out loss: bits per byte to the champion's"]),
        (
            "held_out",
            losses(1.81),
            ["held-out loss: bits per byte to the champion's", "held-out loss: surely no more than the champion's by"],
        ),
        (
            "anchor",
            losses(0.2311),
            [
                "general anchor: bits per byte to the base model's",
                "general anchor: bits per byte to the champion's",
            ],
        ),
        ("hits_at_1", 0.5899, ["ranking: true reply found among ten, to the champion"]),
        ("health.empty", 0.0101, ["health: empty answers"]),
        ("health.endless", 0.0501, ["health: answers without an end"]),
        ("health.repetition", 0.0201, ["health: repeated groups of four words"]),
        ("health.distinct_2", 0.4499, ["health: different pairs of words, to the champion"]),
        ("health.common_reply", 0.0501, ["health: most common answer"]),
        ("health.other_speaker", 0.0101, ["health: answers as somebody else"]),
        ("health.blocked", 0.0151, ["health: answers with blocked words, to the champion"]),
        ("health.verbatim", 0.0051, ["memorisation: answers with one person's words"]),
        ("exposure.mean", 3.01, ["memorisation: exposure of secrets, in bits"]),
        ("exposure.extracted", 1, ["memorisation: secrets given away"]),
        ("exposure.forgotten_mean", 3.01, ["memorisation: exposure of forgotten secrets, in bits"]),
        ("parity.logits", 1.01e-3, ["parity: difference of logits"]),
        ("parity.greedy", 0.949, ["parity: same greedy answer"]),
        ("parity.perplexity", 1.0101, ["parity: perplexity to the checkpoint's"]),
        ("parity.perplexity", 0.99, ["parity: the checkpoint's perplexity to its own"]),
        ("parity.perplexity", 0.0, ["parity: the checkpoint's perplexity to its own"]),
        ("parity.same_text", False, ["parity: template, tokeniser and end of answers"]),
        ("parity", None, ["parity: export"]),
        ("serving.first_token_ratio", 1.101, ["serving: time to the first token, to the champion's"]),
        ("serving.token_ratio", 1.101, ["serving: time of one more token, to the champion's"]),
        ("serving.file_bytes", 10_000_000_100, ["serving: size in GB"]),
        ("preference.auc", 0.5799, ["preference: liked answers preferred, to the champion"]),
        (
            "preference.auc",
            0.5499,
            ["preference: liked answers preferred", "preference: liked answers preferred, to the champion"],
        ),
    ],
)
def test_a_model_just_beyond_one_limit_is_refused_by_that_gate_alone(
    path: str, value: object, names: list[str]
) -> None:
    assert refused(judged(changed(CHALLENGER, path, value))) == names


def test_a_model_that_is_better_by_luck_is_refused() -> None:
    champion = losses(1.8)
    some = {
        key: replace(loss, nats=loss.nats * (1.2 if n % 2 else 0.78)) for n, (key, loss) in enumerate(champion.items())
    }
    assert refused(judged(changed(CHALLENGER, "held_out", some))) == [
        "held-out loss: surely no more than the champion's by"
    ]


def test_where_somebody_is_forgotten_a_model_need_not_be_better_but_not_worse() -> None:
    for factor, names in (
        (1.0, []),
        (1.0199, []),
        (1.0201, ["bits per byte to the champion's", "surely no more than the champion's by"]),
    ):
        forced = judged(changed(CHALLENGER, "held_out", losses(1.8 * factor)), is_forced=True)
        assert refused(forced) == [f"held-out loss: {name}" for name in names], factor
    noisy = {
        key: replace(loss, nats=loss.nats * (1.4 if n % 2 else 0.6))
        for n, (key, loss) in enumerate(losses(1.8).items())
    }
    assert refused(judged(changed(CHALLENGER, "held_out", noisy), is_forced=True)) == [
        "held-out loss: surely no more than the champion's by"
    ]
    worn = changed(CHAMPION, "held_out", losses(2.0))
    for factor, names in ((0.9999, []), (1.0001, ["held-out loss: bits per byte to the base model's"])):
        assert refused(judged(changed(CHALLENGER, "held_out", losses(2.0 * factor)), worn, is_forced=True)) == names
    forgetful = changed(CHALLENGER, "anchor", losses(0.3))
    assert len(refused(judged(forgetful, is_forced=True))) == 2, "nothing else is made easier"


def test_the_first_model_is_held_against_the_base_model_once() -> None:
    names = [
        each.name
        for each in judged(changed(CHALLENGER, "anchor", losses(0.2299)), BASE)
        if each.gate == "general anchor"
    ]
    assert names == ["bits per byte to the base model's"]
    assert not [each.name for each in judged(CHALLENGER, BASE) if each.name.endswith("to the base model")]


@pytest.mark.parametrize(
    ("path", "value", "within", "beyond", "name"),
    [
        ("hits_at_1", 0.0, 0.4901, 0.4899, "ranking: true reply found among ten, to the base model"),
        ("health.distinct_2", 0.1, 0.4321, 0.4319, "health: different pairs of words, to the base model"),
        ("health.blocked", 0.9, 0.0150, 0.0152, "health: answers with blocked words, to the base model"),
    ],
)
def test_what_many_champions_have_lost_little_by_little_is_held_against_the_base_model(
    path: str, value: float, within: float, beyond: float, name: str
) -> None:
    worn = changed(CHAMPION, path, value)
    assert refused(judged(changed(CHALLENGER, path, within), worn)) == []
    assert refused(judged(changed(CHALLENGER, path, beyond), worn)) == [name]


def test_no_figure_of_the_base_model_that_was_not_measured_is_held_to() -> None:
    for path in ("num_ranked", "health.answers"):
        verdicts = refusals(judged(CHALLENGER, base=changed(BASE, path, 0)))
        assert verdicts
        assert all(each.name.endswith("to the base model") and "not measured" in each.value for each in verdicts)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("held_out", {}),
        ("held_out", losses(1.0, 59)),
        ("anchor", {}),
        ("anchor", losses(0.2, 59)),
        ("num_ranked", 0),
        ("num_ranked", 99),
        ("health.answers", 0),
        ("exposure.mean", None),
        ("exposure.num_canaries", 0),
        ("exposure.forgotten_mean", None),
        ("parity", None),
        ("parity.greedy", None),
    ],
)
def test_what_was_not_measured_is_not_passed(path: str, value: object) -> None:
    verdicts = judged(changed(CHALLENGER, path, value))
    assert refusals(verdicts)
    assert all("not measured" in each.value for each in refusals(verdicts))


def test_a_champion_that_could_not_be_measured_is_not_beaten() -> None:
    assert refused(judged(CHALLENGER, changed(CHAMPION, "held_out", {})))
    assert refused(judged(CHALLENGER, changed(CHAMPION, "health.answers", 0)))
    assert refused(judged(CHALLENGER, changed(CHAMPION, "preference", None))) == [
        "preference: liked answers preferred, to the champion"
    ]


def numbers(figures: Figures) -> list[str]:
    """Where all figures stand that a gate looks at."""
    seen = ("hits_at_1",)
    parts = ("health", "exposure", "serving", "parity", "preference")
    inner = [f"{part}.{each.name}" for part in parts for each in fields(getattr(figures, part))]
    unseen = {"serving.first_token_s", "serving.token_s", "parity.top_1", "parity.same_text"}
    return [*seen, *(path for path in inner if path not in unseen and isinstance(value_of(figures, path), float))]


def value_of(figures: Figures, path: str) -> Any:
    found: Any = figures
    for name in path.split("."):
        found = getattr(found, name)
    return found


def test_no_figure_that_is_no_number_passes() -> None:
    paths = numbers(CHALLENGER)
    assert len(paths) >= 16
    for path in paths:
        for value in (math.nan, math.inf, -math.inf):
            assert refusals(judged(changed(CHALLENGER, path, value))), (path, value)
    for part in ("held_out", "anchor"):
        for value in (math.nan, math.inf):
            broken = losses(0.1) | {"c3": Loss(value, 53, 20)}
            assert refusals(judged(changed(CHALLENGER, part, broken))), (part, value)
            assert refusals(judged(CHALLENGER, changed(CHAMPION, part, broken))), (part, value)
            assert part == "held_out" or refusals(judged(CHALLENGER, base=changed(BASE, part, broken))), (part, value)


def test_ratings_count_once_there_are_enough_of_both_kinds() -> None:
    bad = changed(CHALLENGER, "preference", Preference(0.1, 60, 40))
    assert len(refused(judged(bad))) == 2
    for few in (None, Preference(0.1, 60, 39), Preference(math.nan, 500, 0), Preference(math.nan, 0, 500)):
        verdicts = judged(changed(CHALLENGER, "preference", few))
        assert refused(verdicts) == []
        (said,) = [each for each in verdicts if each.gate == "preference"]
        assert "Not enough" in said.meaning


def test_people_are_heeded_where_the_setting_asks_for_them() -> None:
    first = GateSettings(human="first")
    base = replace(BASE, held_out=CHAMPION.held_out, preference=Preference(0.5, 80, 40))
    (asked,) = refusals(judged(CHALLENGER, base, limits=first))
    assert (asked.gate, asked.value) == ("human", "not measured")
    assert refused(judged(CHALLENGER, limits=first)) == [], "it is not the first one"
    for bound, holds in ((0.40, True), (0.399, False)):
        human = HumanResult("challenger", "champion", 20, 10, 5, 5, 0, bound)
        required = judged(CHALLENGER, base, limits=first, human=human)
        assert bool(refused(required)) is not holds
        logged = judged(CHALLENGER, human=human)
        assert refused(logged) == []
        (said,) = [each for each in logged if each.gate == "human"]
        assert (said.holds, said.is_waived) == (holds, not holds)


def test_people_are_heard_once_they_have_seen_thirty_pairs_whatever_nobody_had_to_see() -> None:
    first = GateSettings(human="first")
    base = replace(BASE, held_out=CHAMPION.held_out, preference=Preference(0.5, 80, 40))
    for wins, names in ((29, ["human"]), (30, [])):
        human = HumanResult("challenger", "champion", wins, 0, 0, 0, 11, 0.9)
        assert [each.gate for each in refusals(judged(CHALLENGER, base, limits=first, human=human))] == names


WORSE: dict[str, Callable[[Any], Any]] = {
    "held_out": lambda losses: {key: replace(loss, nats=loss.nats * 1.03) for key, loss in losses.items()},
    "anchor": lambda losses: {key: replace(loss, nats=loss.nats * 1.03) for key, loss in losses.items()},
    "hits_at_1": lambda share: share - 0.02,
    "health.empty": lambda share: share + 0.01,
    "health.endless": lambda share: share + 0.03,
    "health.repetition": lambda share: share + 0.01,
    "health.distinct_2": lambda share: share * 0.95,
    "health.common_reply": lambda share: share + 0.02,
    "health.other_speaker": lambda share: share + 0.01,
    "health.blocked": lambda share: share + 0.01,
    "health.verbatim": lambda share: share + 0.004,
    "exposure.mean": lambda bits: bits + 1.0,
    "exposure.extracted": lambda number: number + 1,
    "exposure.forgotten_mean": lambda bits: bits + 1.0,
    "parity.logits": lambda difference: difference * 3,
    "parity.greedy": lambda share: share - 0.03,
    "parity.perplexity": lambda ratio: ratio + 0.01,
    "parity.same_text": lambda is_same: False,
    "serving.first_token_ratio": lambda ratio: ratio + 0.05,
    "serving.token_ratio": lambda ratio: ratio + 0.05,
    "serving.file_bytes": lambda size: size * 4,
    "preference.auc": lambda share: share - 0.03,
}


def random_figures(rng: random.Random) -> Figures:
    """Figures of which some are within their limits, by all or most of the ways."""
    figures = CHALLENGER
    for path, worse in WORSE.items():
        if rng.random() < 0.1:
            figures = changed(figures, path, worse(value_of(figures, path)))
    return figures


def test_what_is_worse_is_never_judged_better() -> None:
    rng = random.Random(5)
    num_refused = 0
    for _ in range(60):
        figures = random_figures(rng)
        is_forced = rng.random() < 0.5
        before = set(refused(judged(figures, is_forced=is_forced)))
        num_refused += bool(before)
        path = rng.choice(list(WORSE))
        after = set(refused(judged(changed(figures, path, WORSE[path](value_of(figures, path))), is_forced=is_forced)))
        assert before <= after, path
    assert 0 < num_refused < 60


def test_every_way_to_be_worse_ends_in_a_refusal() -> None:
    for path, worse in WORSE.items():
        figures = CHALLENGER
        for _ in range(6):
            figures = changed(figures, path, worse(value_of(figures, path)))
        assert refused(judged(figures)), path


# Data


CHECKS = (Check("answers to learn", "2,000", "at least 1,000", True, "Wait."), Check("x", "1", "none", False, "A bug."))


def test_what_the_checks_say_is_what_the_data_gate_says() -> None:
    verdicts = data_verdicts(CHECKS, 300, 50_000, LIMITS, is_forced=False)
    assert verdicts[2:] == (
        Verdict("data", "answers to learn", "2,000", "at least 1,000", True, "Wait."),
        Verdict("data", "x", "1", "none", False, "A bug."),
    )
    assert refused(verdicts) == ["data: x"]
    assert in_one_line(verdicts) == "data: x is 1, limit none"


@pytest.mark.parametrize(
    ("targets", "tokens", "names"),
    [
        (300, 50_000, []),
        (299, 50_000, ["data: new answers to learn"]),
        (300, 49_999, ["data: tokens of new answers"]),
    ],
)
def test_enough_has_to_be_new(targets: int, tokens: int, names: list[str]) -> None:
    assert refused(data_verdicts((), targets, tokens, LIMITS, is_forced=False)) == names


def test_a_run_that_is_wanted_needs_nothing_new_but_sound_data() -> None:
    verdicts = data_verdicts(CHECKS, 0, 0, LIMITS, is_forced=True)
    assert refused(verdicts) == ["data: x"]
    assert [each.is_waived for each in verdicts] == [True, True, False, False]
    assert "wanted in any case" in verdicts[0].meaning
    assert not any(each.is_waived for each in data_verdicts((), 300, 50_000, LIMITS, is_forced=True))


# Training


def stage(name: Any, before: float, after: float) -> Stage:
    return Stage(name, 10, 5, before, after, "plan", 1000, 10.0, 10**9)


@pytest.mark.parametrize(
    ("stages", "is_refused"),
    [
        ((stage("sft", 1.8, 1.7),), False),
        ((stage("sft", 1.8, 1.8),), True),
        ((stage("sft", 1.8, math.nan),), True),
        ((stage("sft", math.nan, 1.7),), True),
        ((stage("sft", 1.8, 1.7), stage("kto", 1.7, 1.71)), False),
        ((stage("sft", 1.8, 1.79), stage("kto", 1.79, 1.81)), True),
        ((), True),
    ],
)
def test_a_training_has_to_make_it_better_all_stages_together(stages: tuple[Stage, ...], is_refused: bool) -> None:
    assert bool(refusals(training(Result(stages, {}, "2 cores")))) is is_refused
