"""All figures of tiny real models, measured together as a run does it."""

import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.bundle import Bundle
from engine.engine import Engine
from engine.sampling import SamplingParams
from engine.settings import EngineSettings
from exporters.progress import Progress
from finetune.dataset import quality
from finetune.dataset.canaries import plant
from finetune.dataset.example import Example, ExampleMessage
from finetune.evaluation import answers, losses, measuring
from finetune.evaluation.figures import Figures, Health
from finetune.evaluation.measuring import Conditions, Material, measure_all, num_stages
from finetune.evaluation.verbatim import VerbatimIndex
from tests.finetune.evaluation.material import example, label, question

CONDITIONS = Conditions(
    engine=EngineSettings(threads=1, context_tokens=256, max_batch=4, slots=6),
    sampling=SamplingParams(temperature=0.2, top_p=0.9),
    max_tokens=8,
    num_prompts=4,
    serving_limit=1.1,
)
CANARIES = plant(seed=0, authors=("ann", "bea"), num=2)
MATERIAL = Material(
    test=[example(n) for n in range(12)],
    anchor=[question(n) for n in range(10)],
    planted=CANARIES[:3],
    forgotten=CANARIES[3:],
    labels=[label(n, is_good=n % 2 == 0) for n in range(6)],
    known=VerbatimIndex.of([]),
)


async def _measure_all(
    base: Path, champion: Path, challenger: Path, checkpoint: Path
) -> tuple[dict[str, Figures], list[str]]:
    """The figures, and the stages that were told."""
    told = io.StringIO()
    bundles = [Bundle.open(path) for path in (base, champion, challenger)]
    progress = Progress(num_stages(*bundles[:2]), told)
    figures = await measure_all(*bundles, checkpoint, MATERIAL, CONDITIONS, progress)
    return figures, re.findall(r"^\[(\d+/\d+)\] .*done", told.getvalue(), re.MULTILINE)


async def test_a_first_challenger_is_measured_beside_the_base_model(
    bundles: Callable[..., Path], checkpoints: Callable[..., Path]
) -> None:
    figures, stages = await _measure_all(bundles(), bundles(), bundles(precision="int8"), checkpoints())
    assert stages == [f"{n}/6" for n in range(1, 7)]
    base, challenger = figures["base"], figures["challenger"]
    assert figures["champion"] == base
    assert base.version != challenger.version

    conversations = {losses.name_of(each.conversation) for each in MATERIAL.test}
    questions = {losses.name_of(each.conversation) for each in MATERIAL.anchor}
    for each in (base, challenger):
        assert (set(each.held_out), set(each.anchor)) == (conversations, questions)
        assert each.num_ranked == len(conversations)
        assert each.health.answers == 2 * CONDITIONS.num_prompts
        assert each.preference is not None
        assert (each.preference.num_good, each.preference.num_bad) == (3, 3)
        assert [asked for asked, _ in each.samples] == [one.messages[1].content for one in MATERIAL.anchor[:8]]
        assert Figures.from_json(json.loads(json.dumps(each.to_json()))) == each
    assert base.preference is not None
    assert base.preference.auc == 0.5, "the base model has no margin over itself"

    # Eight bits change a random model's words by little: they are the same weights.
    assert challenger.parity is not None
    assert challenger.parity.perplexity == pytest.approx(1, abs=0.05)
    assert challenger.parity.top_1 > 0.8
    assert challenger.parity.same_text
    in_torch = losses.bits_per_byte(challenger.checkpoint_held_out.values())
    assert set(challenger.checkpoint_held_out) == conversations
    assert in_torch == pytest.approx(losses.bits_per_byte(base.held_out.values()), rel=1e-5)
    assert in_torch != losses.bits_per_byte(challenger.held_out.values())
    assert (base.parity, base.checkpoint_held_out) == (None, {})

    assert (challenger.exposure.num_canaries, challenger.exposure.num_forgotten) == (3, 1)
    assert (base.exposure.mean, base.exposure.forgotten_mean) == (None, None)


async def test_a_champion_of_its_own_is_measured_too(
    bundles: Callable[..., Path], checkpoints: Callable[..., Path]
) -> None:
    figures, stages = await _measure_all(bundles(), bundles(seed=1), bundles(precision="int8"), checkpoints(seed=1))
    assert stages == [f"{n}/8" for n in range(1, 9)]
    assert sorted(figures) == ["base", "challenger", "champion"]
    assert len({each.version for each in figures.values()}) == 3
    champion, challenger = figures["champion"], figures["challenger"]
    assert (champion.serving.first_token_ratio, champion.serving.token_ratio) == (1.0, 1.0)
    assert challenger.serving.first_token_ratio != 1.0
    assert champion.exposure.num_forgotten == 1
    assert champion.exposure.num_canaries == 2, "those that go with nobody, which every training has"
    assert figures["base"].exposure.num_forgotten == 0
    # This challenger is not what the checkpoint says, though its own export was sound.
    assert challenger.parity is not None
    assert challenger.parity.logits < 1e-3
    assert abs(math.log(challenger.parity.perplexity)) > 0.01
    assert challenger.parity.top_1 < 0.5


def test_of_many_secrets_some_are_asked_for_the_same_ones_every_time() -> None:
    many = plant(seed=0, authors=(), num=60)
    some = measuring.Secrets.some(many, many[::-1])
    assert len(some.planted) == measuring.MOST_CANARIES
    assert some.planted == some.forgotten
    assert measuring.Secrets.some(many[:5], ()).forgotten == []
    assert {each.slot for each in measuring.Secrets.some(many[:5], ()).planted} == {each.slot for each in many[:5]}


async def test_copies_and_blocked_words_are_looked_for_in_the_answers(bundles: Callable[..., Path]) -> None:
    bundle = Bundle.open(bundles())
    conditions = replace(CONDITIONS, max_tokens=60)
    asked = answers.prompts(MATERIAL.test, (), CONDITIONS.num_prompts)
    async with Engine(conditions.engine, bundle.path) as engine:
        first, *_ = await answers.generate(engine, asked, conditions.sampling, conditions.max_tokens)
    word = max(quality.Answer(first.text).words, key=len)
    said = Example("x", "x", "chats", (ExampleMessage("assistant", f"I say: {first.text}", 1.0),))

    async def measured(material: Material) -> Health:
        progress = Progress(2, io.StringIO())
        return (await measuring.measure(bundle, material, measuring.Secrets(), conditions, progress)).health

    found = await measured(replace(MATERIAL, known=VerbatimIndex.of([said]), blocked=frozenset([word])))
    assert found.verbatim >= 1 / 8
    assert found.blocked >= 1 / 8
    without = await measured(MATERIAL)
    assert (without.verbatim, without.blocked) == (0.0, 0.0)
