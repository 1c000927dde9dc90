"""What is set goes before what suits the hardware, and a plan goes through every example as often as was asked."""

import random
import subprocess
import sys
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from finetune.settings import TrainSettings
from finetune.training.errors import TrainingError
from finetune.training.hardware import Hardware
from finetune.training.job import Budgets, Hyperparameters
from finetune.training.planning import budgets, hyperparameters, plan

ROOT = Path(__file__).parents[3]
CPU = Hardware("cpu", "two cores", has_bf16=False, devices=1)
GPU = Hardware("cuda", "a card", has_bf16=True, devices=4)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TrainSettings.model_fields:
        monkeypatch.delenv(f"TRAIN_{name.upper()}", raising=False)


def parameters(hardware: Hardware = CPU, **settings: object) -> Hyperparameters:
    return hyperparameters(TrainSettings.model_validate(settings), hardware, replay_share=0.15)


def test_a_cpu_and_a_gpu_have_the_defaults_that_suit_them() -> None:
    cpu, gpu = parameters(CPU), parameters(GPU)
    assert (cpu.batch_size, cpu.tokens, cpu.packing, cpu.precision) == (4, 500_000, False, "fp32")
    assert (gpu.batch_size, gpu.tokens, gpu.packing, gpu.precision) == (32, None, True, "bf16")
    assert budgets(TrainSettings(), CPU) == Budgets(seconds=7200, disk_bytes=5_000_000_000)
    assert budgets(TrainSettings(), GPU).seconds == 1800


@pytest.mark.parametrize(("method", "sft", "kto"), [("lora", 2e-4, 5e-5), ("full", 2e-5, 5e-5)])
def test_the_learning_rates_go_by_the_method(method: str, sft: float, kto: float) -> None:
    found = parameters(method=method)
    assert (found.learning_rate, found.kto_learning_rate) == (sft, kto)


def test_what_is_set_goes_before_what_suits_the_hardware() -> None:
    chosen = {
        "learning_rate": 1e-3,
        "kto_learning_rate": 1e-4,
        "batch_size": 2,
        "tokens": 77,
        "precision": "fp32",
        "packing": False,
        "lora_rank": 3,
        "seed": 9,
    }
    found = parameters(GPU, **chosen)
    assert {name: getattr(found, name) for name in chosen} == chosen
    assert parameters(CPU, precision="bf16", packing=True).precision == "bf16"
    assert parameters(CPU, packing=True).packing
    assert budgets(TrainSettings(minutes=3, disk_gb=0.5), GPU) == Budgets(180, 500_000_000)


def test_a_cpu_that_has_bf16_uses_it() -> None:
    assert parameters(Hardware("cpu", "newer", has_bf16=True, devices=1)).precision == "bf16"


@pytest.mark.parametrize("step_examples", range(1, 40))
def test_a_batch_size_that_nobody_has_set_always_divides_a_step(step_examples: int) -> None:
    for hardware in (CPU, GPU):
        found = plan(100, parameters(hardware, step_examples=step_examples))
        assert found.batch_size * found.accumulate == step_examples


def test_plans_see_each_example_as_often_as_asked_and_evaluate_as_often_as_asked() -> None:
    rng = random.Random(1)
    for _ in range(300):
        epochs, evaluations = rng.choice((0.1, 0.5, 1.0, 1.1, 2.0, 3.0)), rng.randint(1, 12)
        num, step = rng.randint(1, 3000), rng.randint(1, 64)
        found = plan(num, parameters(epochs=epochs, step_examples=step, evaluations=evaluations))
        assert found.examples == max(1, ceil(round(num * epochs, 6)))
        assert (found.steps - 1) * step < found.examples <= found.steps * step
        evaluated = [n for n in range(1, found.steps + 1) if found.has_evaluation(n)]
        assert 1 <= len(evaluated) <= evaluations
        assert evaluated[-1] == found.steps
        assert len(evaluated) >= min(evaluations, found.steps) / 2


def test_examples_are_seen_again_only_as_far_as_the_budget_has_room_for_that() -> None:
    budget = parameters(CPU, tokens=1000)
    assert plan(100, budget, num_tokens=400).examples == 200
    assert plan(100, budget, num_tokens=800).examples == 125
    assert plan(100, budget, num_tokens=1000).examples == 100
    assert plan(100, replace(budget, epochs=0.5), num_tokens=800).examples == 50
    assert plan(100, replace(budget, tokens=None), num_tokens=10**9).examples == 200


def test_the_usual_plan_has_a_checkpoint_at_every_eighth() -> None:
    found = plan(1920, parameters(CPU))
    assert (found.steps, found.evaluate_every, found.batch_size, found.accumulate) == (480, 60, 4, 2)


def test_several_processes_share_a_step() -> None:
    shared = plan(1920, parameters(GPU), processes=4)
    assert (shared.batch_size, shared.accumulate, shared.steps) == (8, 1, 120)
    assert plan(1920, parameters(CPU), processes=2).accumulate == 1


@pytest.mark.parametrize(
    ("settings", "processes", "advice"),
    [
        ({"step_examples": 32}, 3, "TRAIN_STEP_EXAMPLES=32 .* a multiple of 3"),
        ({"step_examples": 2}, 4, "TRAIN_STEP_EXAMPLES=2 .* a multiple of 4"),
        ({"step_examples": 32, "batch_size": 5}, 1, "TRAIN_BATCH_SIZE=4, or .* a multiple of 5"),
        ({"step_examples": 20, "batch_size": 4}, 2, "TRAIN_BATCH_SIZE=2, or .* a multiple of 8"),
    ],
)
def test_a_step_that_cannot_be_divided_is_refused_with_what_to_set(
    settings: dict[str, object], processes: int, advice: str
) -> None:
    with pytest.raises(TrainingError, match=advice):
        plan(100, parameters(**settings), processes)


def test_what_a_run_needs_to_plan_and_start_a_training_loads_no_torch() -> None:
    names = ("planning", "encoding", "checkpoints", "launcher", "keeper", "hardware", "job")
    code = f"import sys\nfor n in {names}: __import__('finetune.training.' + n)\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
