"""Small trainings: rows that were invented, and tiny models that learn them in a moment."""

import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.registry import Registry
from exporters.checkpoint import digest_checkpoint
from finetune.training.encoding import Row
from finetune.training.job import EVENTS, Budgets, Hyperparameters, Job
from finetune.training.stage import Ground
from tests.finetune.workplace import Workplace
from tests.tiny_models import VOCABULARY

PARAMETERS = Hyperparameters(
    method="lora",
    lora_rank=4,
    lora_alpha=8,
    lora_dropout=0.0,
    learning_rate=5e-3,
    warmup=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    step_examples=4,
    batch_size=2,
    epochs=1.0,
    tokens=None,
    replay_share=0.15,
    precision="fp32",
    packing=False,
    evaluations=2,
    patience=2,
    kto=True,
    kto_learning_rate=5e-3,
    kto_beta=0.1,
    seed=0,
)


def rows(number: int, seed: int = 0) -> list[Row]:
    """Rows of random tokens, of all lengths, with targets here and there; half of some are of half weight."""
    rng = random.Random(seed)
    made = []
    for n in range(number):
        length = rng.randint(4, 40)
        ids = tuple(rng.randrange(3, VOCABULARY) for _ in range(length))
        weights = [rng.choice((0.0, 0.0, 0.5, 1.0)) for _ in range(length)]
        weights[0], weights[-1] = 0.0, 1.0
        made.append(Row(f"r{n}", f"c{n}", "log", ids, tuple(weights), 3 * length))
    return made


def ground(run: Path, base: Path, held_out: Sequence[Row] | None = None, **parameters: Any) -> Ground:
    """What a stage of a small training stands on."""
    return Ground(
        name="sft",
        run=run,
        digest="d" * 64,
        budgets=Budgets(seconds=600.0, disk_bytes=10**9),
        base=base,
        held_out=rows(6, seed=9) if held_out is None else held_out,
        parameters=replace(PARAMETERS, **parameters),
    )


def job(at: Workplace, base: Path, run: Path, **parameters: Any) -> Job:
    """The job of a training of the newest dataset, put into its folder."""
    dataset, registry = at.dataset(), Registry(Path(os.environ["ENGINE_REGISTRY"]))
    made = Job(
        run=run.name,
        dataset=dataset.run,
        dataset_sha256=dataset.sha256,
        base=str(base),
        base_sha256=digest_checkpoint(base),
        bundle=registry.versions()[0],
        hyperparameters=replace(PARAMETERS, **parameters),
        code={},
    )
    run.mkdir()
    made.write(run)
    return made


def told(run: Path, event: str) -> list[dict[str, Any]]:
    """What a training has noted of one kind."""
    lines = map(json.loads, (run / EVENTS).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]
