"""Measures all models of a run on the same material, one after the other: what gates and reports go by.

Only one model is in memory at a time, but for the two that are timed side by side. Knows nothing of limits.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from transformers import AutoModelForCausalLM

from engine.bundle import Bundle
from engine.engine import Engine
from engine.sampling import SamplingParams
from engine.settings import EngineSettings
from exporters.progress import Progress
from finetune.dataset.canaries import Canary
from finetune.dataset.example import Example, Label
from finetune.dataset.rendering import Renderer
from finetune.evaluation import answers, losses, memorisation, preference, ranking, serving
from finetune.evaluation.figures import Exposure, Figures, Health, Loss, Parity, Serving
from finetune.evaluation.health import health
from finetune.evaluation.parity import RecordingScorer, parity
from finetune.evaluation.scoring import DoubleArray, Scored, SessionScorer
from finetune.evaluation.torchscoring import TorchScorer
from finetune.evaluation.verbatim import VerbatimIndex

SAMPLES = 8
# The mean of so many is off by 0.3 bits; each takes three seconds on two cores with the default model.
MOST_CANARIES = 24


@dataclass(frozen=True)
class Material:
    """What models are measured on.

    Attributes:
        test: Held-out examples of the conversations that models are compared on.
        anchor: What the base model has answered to general questions, see `finetune.evaluation.anchor`.
        planted: Canaries of the training data; `forgotten` are those that went with people who were forgotten.
        labels: Rated answers that were not learnt.
        known: What people have said that is learnt.
        blocked: Words that answers should not hold.
    """

    test: Sequence[Example]
    anchor: Sequence[Example]
    planted: Sequence[Canary]
    forgotten: Sequence[Canary]
    labels: Sequence[Label]
    known: VerbatimIndex
    blocked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Conditions:
    """How models are run: as bots run them.

    Attributes:
        sampling: Of answers; `max_tokens` is their limit.
        num_prompts: How many are answered, twice each.
        serving_limit: Ratio of times at which it has to be clear who is faster.
    """

    engine: EngineSettings
    sampling: SamplingParams
    max_tokens: int
    num_prompts: int
    serving_limit: float


@dataclass(frozen=True)
class Secrets:
    """The canaries that a model is asked for."""

    planted: Sequence[Canary] = ()
    forgotten: Sequence[Canary] = ()

    @classmethod
    def some(cls, planted: Sequence[Canary], forgotten: Sequence[Canary]) -> Self:
        """As many as there is time for, by hash."""
        return cls(*(sorted(each, key=_order)[:MOST_CANARIES] for each in (planted, forgotten)))


@dataclass(frozen=True)
class _Scores:
    """What a bundle says of the material; `said` is of the target tokens of the test, example by example."""

    held_out: Mapping[str, Loss]
    anchor: Mapping[str, Loss]
    ranked: ranking.Ranking
    exposure: Exposure
    likelihoods: DoubleArray
    said: Sequence[Scored]


@dataclass(frozen=True)
class Findings:
    """All that is found out about one bundle by itself."""

    bundle: Bundle
    scores: _Scores
    health: Health
    samples: tuple[tuple[str, str], ...]

    def figures(
        self,
        material: Material,
        base: "Findings",
        times: Serving,
        of_checkpoint: "Checked | None" = None,
    ) -> Figures:
        """The figures, with what is found out by comparing.

        Args:
            base: Of the model that the training began with, which may be this one.
            of_checkpoint: What the checkpoint says, where the bundle was made of one in this run.
        """
        scores = self.scores
        likelihoods = (scores.likelihoods, base.scores.likelihoods)
        return Figures(
            version=self.bundle.version,
            held_out=scores.held_out,
            anchor=scores.anchor,
            hits_at_1=scores.ranked.hits_at_1,
            num_ranked=scores.ranked.num_questions,
            health=self.health,
            exposure=scores.exposure,
            serving=times,
            parity=None if of_checkpoint is None else self._parity(base, of_checkpoint),
            preference=preference.preference(material.labels, *likelihoods) if material.labels else None,
            checkpoint_held_out={} if of_checkpoint is None else of_checkpoint.held_out,
            samples=self.samples,
        )

    def _parity(self, base: "Findings", of_checkpoint: "Checked") -> Parity:
        return parity(self.bundle, base.bundle, self.scores.said, of_checkpoint.said)


@dataclass(frozen=True)
class Checked:
    """What a checkpoint says of the test."""

    held_out: Mapping[str, Loss]
    said: Sequence[Scored]


def num_stages(base: Bundle, champion: Bundle) -> int:
    """How many stages of progress `measure_all` has."""
    num_models = 2 if base.version == champion.version else 3
    return 2 + 2 * num_models


async def measure_all(
    base: Bundle,
    champion: Bundle,
    challenger: Bundle,
    checkpoint: Path | None,
    material: Material,
    conditions: Conditions,
    progress: Progress,
) -> dict[str, Figures]:
    """Figures of `base`, `champion` and `challenger`, by these names; what is one model is measured once.

    Args:
        checkpoint: Folder of what the challenger was exported from, as transformers loads it; None if that is gone, and
            nobody can say then how near to it the challenger is.
        progress: Is told of `num_stages` stages.

    Raises:
        EngineError: A bundle cannot run, or an answer cannot be finished.
        FinetuneError: The material does not fit the models.
    """
    checked = await asyncio.to_thread(check, checkpoint, challenger, material, progress) if checkpoint else None
    secrets = Secrets.some(material.planted, material.forgotten)
    found = {
        "challenger": await measure(challenger, material, secrets, conditions, progress),
        "base": await measure(base, material, Secrets(), conditions, progress),
    }
    if champion.version == base.version:
        found["champion"] = found["base"]
    else:
        common = [canary for canary in material.planted if canary.author is None]
        secrets = Secrets.some(common, material.forgotten)
        found["champion"] = await measure(champion, material, secrets, conditions, progress)
    times = await asyncio.to_thread(_times, base, champion, challenger, conditions, progress)
    return {
        name: each.figures(material, found["base"], times[name], checked if name == "challenger" else None)
        for name, each in found.items()
    }


def check(checkpoint: Path, challenger: Bundle, material: Material, progress: Progress) -> Checked:
    """What the checkpoint of a bundle says of the test itself, in torch."""
    renderer = Renderer.open(challenger)
    with progress.stage("score the checkpoint", len(material.test), "example") as bar:
        scorer = RecordingScorer(TorchScorer(_load(checkpoint)))
        return Checked(losses.loss_of(scorer, renderer, material.test, bar.update), scorer.scored)


async def measure(
    bundle: Bundle, material: Material, secrets: Secrets, conditions: Conditions, progress: Progress
) -> Findings:
    """All that can be found out about one bundle by itself.

    Args:
        secrets: What it is asked for. Nothing, for a model that has seen none.
        progress: Is told of two stages.
    """
    scores = await asyncio.to_thread(_score, bundle, material, secrets, conditions.engine, progress)
    asked = answers.prompts(material.test, material.anchor, conditions.num_prompts)
    shown = _samples_of(material)
    sampling, limit = conditions.sampling, conditions.max_tokens
    total = answers.ROUNDS * len(asked) + len(shown)
    with progress.stage(f"let {bundle.version} answer", total, "answer") as bar:
        async with Engine(conditions.engine, bundle.path) as engine:
            written = await answers.generate(engine, asked, sampling, limit, on_done=bar.update)
            own = await answers.generate(engine, shown, sampling, limit, rounds=1, on_done=bar.update)
    seen = health(written, material.blocked, material.known)
    samples = tuple((prompt.question, answer.text.strip()) for prompt, answer in zip(shown, own, strict=True))
    return Findings(bundle, scores, seen, samples)


def _score(
    bundle: Bundle, material: Material, secrets: Secrets, settings: EngineSettings, progress: Progress
) -> _Scores:
    renderer = Renderer.open(bundle)
    asked = ranking.questions(material.test)
    num_secrets = len(secrets.planted) + len(secrets.forgotten)
    total = len(material.test) + len(material.anchor) + len(asked) + num_secrets + len(material.labels)
    with progress.stage(f"score {bundle.version}", total, "item") as bar:
        scorer = SessionScorer.open(bundle, provider=settings.provider, threads=settings.threads)
        recording = RecordingScorer(scorer)
        return _Scores(
            held_out=losses.loss_of(recording, renderer, material.test, bar.update),
            anchor=losses.loss_of(scorer, renderer, material.anchor, bar.update),
            ranked=ranking.rank(scorer, renderer, asked, bar.update),
            exposure=memorisation.exposure(scorer, renderer, secrets.planted, secrets.forgotten, bar.update),
            likelihoods=preference.likelihoods(scorer, renderer, material.labels, bar.update),
            said=recording.scored,
        )


def _order(canary: Canary) -> tuple[bytes, str]:
    return losses.order(canary.example_id)


def _samples_of(material: Material) -> list[answers.Prompt]:
    """A few of the general questions, from all over their list."""
    step = max(1, len(material.anchor) // SAMPLES)
    found = map(answers.prompt_of, material.anchor[::step][:SAMPLES])
    return [prompt for prompt in found if prompt is not None]


def _times(
    base: Bundle, champion: Bundle, challenger: Bundle, conditions: Conditions, progress: Progress
) -> dict[str, Serving]:
    settings, limit = conditions.engine, conditions.serving_limit
    with progress.stage("time the models", serving.MOST_ROUNDS, "round") as bar:
        ours, theirs = serving.compare(challenger, champion, settings, limit, on_round=bar.update)
        of_base = theirs
        if base.version != champion.version:  # no gate asks how fast it is
            of_base, _ = serving.compare(base, champion, settings, limit, rounds=1, most_rounds=1)
    return {"challenger": ours, "champion": theirs, "base": of_base}


def _load(checkpoint: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )
