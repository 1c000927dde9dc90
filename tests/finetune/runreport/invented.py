"""Folders of invented runs, with something in every file."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finetune.evaluation.figures import Exposure, Figures, Health, Loss, Parity, Preference, Serving
from finetune.evaluation.verdict import Verdict
from finetune.flywheel.folder import DATA, RunFolder
from finetune.flywheel.record import RunRecord, State, Trigger
from finetune.training.job import EVENTS, Hyperparameters, Job, Result, Stage

RECORD = RunRecord(
    id="20261121-040000-3f9a",
    trigger=Trigger.CRON,
    reason="it is Sunday",
    state=State.REFUSED,
    asked_at=datetime(2026, 11, 21, 4, 0, tzinfo=UTC),
    started_at=datetime(2026, 11, 21, 4, 0, 2, tzinfo=UTC),
    ended_at=datetime(2026, 11, 21, 4, 47, 30, tzinfo=UTC),
    attempts=2,
    step="judge",
    outcome="memorisation: mean exposure is 7.2 bits, limit at most 3 bits",
    version="mynah-20261121-3f9a",
)
PROMOTED = replace(RECORD, state=State.PROMOTED, step="promote", outcome="7.7 % fewer bits per byte than mynah-base")
FAILED = replace(
    RECORD, state=State.FAILED, step="train", outcome="the disk is full; free 2 GB and run again", version=None
)

DATA_VERDICTS = (
    Verdict("data", "answers to learn", "8,900", "at least 1,000", True, "Fewer are learnt by heart."),
    Verdict("data", "new tokens", "40,000", "at least 50,000", False, "Waived: somebody asked.", is_waived=True),
)
VERDICTS = (
    Verdict("held-out loss", "bits per byte", "0.923 x", "at most 0.995 x", True, "It is no better than the champion."),
    Verdict("general anchor", "bits per byte", "1.07 x", "at most 1.15 x", True, "It forgets: raise the replay share."),
    Verdict("memorisation", "mean exposure", "7.2 bits", "at most 3 bits", False, "It knows secrets: train with LoRA."),
    Verdict("parity", "largest difference of logits", "0.00002", "at most 0.001", True, "The export is at fault."),
)
HYPERPARAMETERS = Hyperparameters(
    method="lora",
    lora_rank=16,
    lora_alpha=32,
    lora_dropout=0.05,
    learning_rate=2e-4,
    warmup=0.05,
    weight_decay=0.0,
    max_grad_norm=1.0,
    step_examples=32,
    batch_size=4,
    epochs=2.0,
    tokens=500_000,
    replay_share=0.15,
    precision="fp32",
    packing=False,
    evaluations=8,
    patience=2,
    kto=True,
    kto_learning_rate=5e-5,
    kto_beta=0.1,
    seed=0,
)
JOB = Job(
    run=RECORD.id,
    dataset="2026-11-21-a",
    dataset_sha256="d1" * 32,
    base="smollm2-135m-instruct",
    base_sha256="b2" * 32,
    bundle="mynah-base",
    hyperparameters=HYPERPARAMETERS,
    code={"mynah": "0.1.0", "torch": "2.13.0", "trl": "1.16.0"},
)
RESULT = Result(
    stages=(Stage("sft", 120, 105, 1.8283, 1.6871, "plan", 480_000, 1_912.5, 3_400_000_000),),
    skipped={"kto": "120 ratings, 200 are needed"},
    hardware="CPU, 2 cores, fp32",
)
FUNNEL: list[dict[str, Any]] = [
    {"stage": "normalise", "unit": "messages", "went_in": 101_000, "came_out": 100_900, "dropped": {"empty": 100}},
    {"stage": "secrets", "unit": "messages", "went_in": 100_900, "came_out": 100_888, "dropped": {"private key": 12}},
    {"stage": "quality", "unit": "conversations", "went_in": 9_000, "came_out": 7_000, "dropped": {"too short": 2_000}},
    {"stage": "examples", "unit": "examples", "went_in": 8_000, "came_out": 8_900, "added": {"replay": 900}},
]
DATA_JSON: dict[str, Any] = {
    "verdicts": [verdict.to_json() for verdict in DATA_VERDICTS],
    "sources": [
        {"name": "log", "right": "consent, by the policy gate", "rows": 60_000},
        {"name": "garden club", "right": "written agreement", "rows": 41_000},
    ],
    "funnel": FUNNEL,
    "splits": {
        "train": {"conversations": 6_000, "examples": 7_700, "target_tokens": 154_321},
        "validation": {"conversations": 500, "examples": 600, "target_tokens": 12_000},
        "test": {"conversations": 500, "examples": 600, "target_tokens": 11_000},
    },
    "target_tokens": {"1": 40, "3": 700, "9": 2_500, "20": 3_300, "47": 1_100, "90": 240, "300": 17},
}
SAMPLES = (
    ("How do I keep basil alive?", "Water it from below and give it light.\n\nPinch off the flowers."),
    ("Say something kind.", "You have come far today."),
)


def _losses(bits_per_byte: float) -> dict[str, Loss]:
    return {f"conversation {i}": Loss(bits_per_byte * math.log(2) * 1000, 1000, 250) for i in range(3)}


def figures(version: str, held_out: float, anchor: float, samples: Sequence[tuple[str, str]] = SAMPLES) -> Figures:
    """Figures of a model that needs so many bits per byte."""
    return Figures(
        version=version,
        held_out=_losses(held_out),
        anchor=_losses(anchor),
        hits_at_1=0.41,
        num_ranked=100,
        health=Health(400, 0.0, 0.012, 0.004, 0.71, 0.02, 0.0, 0.0, 0.0025),
        exposure=Exposure(1.21, 8, 0),
        serving=Serving(0.412, 0.0213, 1.02, 0.99, 137_400_000),
        parity=Parity(2e-5, 1.0, 1.004, 0.981, True),
        preference=Preference(0.61, 70, 41),
        checkpoint_held_out=_losses(held_out * 0.997),
        samples=tuple(samples),
    )


BASE = figures("mynah-base", 1.8283, 0.2071)
CHALLENGER = replace(
    figures(
        "mynah-20261121-3f9a",
        1.6871,
        0.2222,
        (
            ("How do I keep basil alive?", "lots of light, and dont drown it :)"),
            ("Say something kind.", "ur doing great"),
        ),
    ),
    hits_at_1=0.44,
)


def fill(folder: Path, num_steps: int = 120) -> Path:
    """Put everything into a folder that a run leaves there."""
    files = RunFolder(folder)
    files.write(DATA, DATA_JSON)
    JOB.write(folder)
    RESULT.write(folder)
    files.write_verdicts(VERDICTS)
    for name, measured in (("base", BASE), ("champion", BASE), ("challenger", CHALLENGER)):
        files.write_figures(name, measured)
    write_events(folder, events(num_steps))
    return folder


def write_events(folder: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Put events into a run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EVENTS).write_text("".join(json.dumps(row) + "\n" for row in rows))


def events(num_steps: int, stage: str = "sft") -> Iterator[dict[str, Any]]:
    """A training that is evaluated eight times, and killed and taken up again once in the middle."""
    every = max(1, num_steps // 8)
    for step in range(1, num_steps + 1):
        noise = math.sin(step * 12.9898) * 43758.5453 % 1 - 0.5
        share = step / num_steps
        yield {
            "event": "step",
            "stage": stage,
            "step": step,
            "steps": num_steps,
            "loss": round(2.3 + 0.9 * math.exp(-6 * share) + 0.3 * noise, 4),
            "grad_norm": 0.8,
            "learning_rate": 2e-4 * min(step / (0.05 * num_steps), 0.5 + 0.5 * math.cos(math.pi * share)),
            "tokens": 4000 * step,
            "tokens_per_second": round(250 + 30 * noise, 1),
            "seconds": 16.0 * step,
            "seconds_left": 16.0 * (num_steps - step),
        }
        if step % every == 0:
            bits = 1.687 + 0.141 * math.exp(-4 * share) + 0.02 * max(0, share - 0.9)
            yield {"event": "evaluation", "stage": stage, "step": step, "bits_per_byte": bits, "is_best": True}
            yield {"event": "checkpoint", "stage": stage, "step": step, "bytes": 28_000_000}
            if step == 4 * every:
                yield {"event": "resumed", "stage": stage, "step": step}
    yield {"event": "ended", "stage": stage, "by": "plan"}
