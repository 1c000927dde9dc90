"""The loss is what it is said to be, whatever the batches; and a stage ends as it should."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file

from engine.bundle import Bundle
from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.rendering import Renderer
from finetune.training import bits, encoding, sft, stage
from finetune.training.course import Course
from finetune.training.encoding import Row
from finetune.training.errors import TrainingError
from finetune.training.frugal import ByteDropout
from finetune.training.job import Budgets
from finetune.training.journal import Silence
from finetune.training.material import steps_of
from finetune.training.planning import plan
from finetune.training.stage import Ground
from finetune.training.targets import losses, packed, padded, portions
from finetune.training.trainer import TargetTrainer
from finetune.training.watching import Watcher
from tests.finetune.training.trainings import ground, rows, told

CPU = torch.device("cpu")
# float32 sums in another order.
ABS = 2e-5


@pytest.fixture(autouse=True)
def on_cpu() -> None:
    PartialState(cpu=True)


def by_hand(model: Any, row: Row) -> list[tuple[float, float]]:
    """Nats and weight of each target of a row, from transformers' own logits of all of it."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    scores = torch.log_softmax(logits.double(), -1)
    places = [place for place, weight in enumerate(row.weights) if weight]
    return [(-scores[place - 1, row.ids[place]].item(), row.weights[place]) for place in places]


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "qwen3", "phi3"])
def test_targets_cost_what_transformers_own_logits_say(name: str, checkpoints: Callable[..., Path]) -> None:
    model, given = stage.load(checkpoints(name)).eval(), rows(4)
    found = losses(model, padded(given, CPU))
    expected = [each for row in given for each in by_hand(model, row)]
    assert found.nats.tolist() == pytest.approx([nats for nats, _ in expected], abs=ABS)
    assert found.weights.tolist() == [weight for _, weight in expected]


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "mistral"])
def test_packed_rows_cost_what_they_cost_alone(name: str, checkpoints: Callable[..., Path]) -> None:
    model, given = stage.load(checkpoints(name)).eval(), rows(9)
    batch = packed(given, 64, CPU)
    assert len(batch.ids) < len(given)
    expected = sorted(nats for row in given for nats, _ in by_hand(model, row))
    assert sorted(losses(model, batch).nats.tolist()) == pytest.approx(expected, abs=ABS)


def test_only_answers_and_their_end_are_learnt(bundles: Callable[..., Path], checkpoints: Callable[..., Path]) -> None:
    messages = (
        ExampleMessage("system", "Be kind."),
        ExampleMessage("user", "What is said by people is not learnt."),
        ExampleMessage("assistant", "The first answer.", 1.0),
        ExampleMessage("user", "And more?"),
        ExampleMessage("assistant", "This was not good."),
        ExampleMessage("user", "Again!"),
        ExampleMessage("assistant", "The second one, at half weight.", 0.5),
    )
    renderer = Renderer.open(Bundle.open(bundles()))
    given = encoding.encoded([Example("e", "c", "log", messages)], renderer)
    found = losses(stage.load(checkpoints()), padded([*given, *rows(1)], CPU))
    words = stage.tokenizer(checkpoints())
    kinds = [words.decode(found.ids[found.weights == weight].tolist()[: len(given[0].ids)]) for weight in (1.0, 0.5)]
    assert kinds[0].startswith("The first answer.<|im_end|>")
    assert kinds[1].startswith("The second one, at half weight.<|im_end|>")
    assert sum(weight > 0 for weight in given[0].weights) == len(found.ids) - sum(w > 0 for w in rows(1)[0].weights)


def test_a_message_of_half_the_weight_counts_half(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    given = [replace(row, weights=tuple(float(weight > 0) for weight in row.weights)) for row in rows(4)]
    halved = [replace(given[0], weights=tuple(weight / 2 for weight in given[0].weights)), *given[1:]]
    model = stage.load(checkpoints())
    [first, *others] = [sum(nats for nats, _ in by_hand(model, row)) for row in given]
    number, of_first = sum(sum(row.weights) for row in given), sum(given[0].weights)
    expected = (first / 2 + sum(others)) / (number - of_first / 2)
    [step] = run_steps(trainer_of(ground(tmp_path, checkpoints()), [halved]))
    assert step == pytest.approx(expected, abs=1e-4)


def test_no_token_is_in_two_portions_or_in_none() -> None:
    given = rows(50)
    for batch_size, limit in ((1, 1000), (4, 1000), (50, 60), (3, 20)):
        found = list(portions(given, batch_size, limit))
        assert [row for portion in found for row in portion] == given
        for portion in found:
            assert len(portion) <= batch_size
            assert len(portion) == 1 or len(portion) * max(len(row.ids) for row in portion) <= limit


def trainer_of(on: Ground, steps: Sequence[Sequence[Row]]) -> TargetTrainer:
    """A trainer of some steps, that nothing is kept of."""
    planned = plan(sum(map(len, steps)), replace(on.parameters, epochs=1.0, evaluations=1))
    course = Course()
    watcher = Watcher(course, planned, [1] * len(steps), 600.0, None, Silence())
    trainer = sft.trainer(on, planned, steps, stage.load(on.base), course, watcher)
    watcher.trainer = trainer
    return trainer


def test_lora_on_a_cpu_is_spared_work(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    on = ground(tmp_path, checkpoints(), method="lora", lora_dropout=0.1)
    model = trainer_of(on, [rows(1)]).model
    assert any(isinstance(module, ByteDropout) for module in model.modules())
    assert {each.dtype for each in model.parameters()} == {torch.float32}  # as it does not run in bf16


def run_steps(trainer: TargetTrainer) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def trained_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "sft" / "merged" / "model.safetensors")


def test_what_is_learnt_does_not_depend_on_how_it_is_batched(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    found = []
    for n, (batch_size, packing) in enumerate(((4, False), (1, False), (4, True))):
        run = tmp_path / str(n)
        run.mkdir()
        sft.carry_out(ground(run, checkpoints(), batch_size=batch_size, packing=packing, evaluations=1), rows(10))
        found.append(trained_weights(run))
    for other in found[1:]:
        assert all(torch.allclose(found[0][name], other[name], atol=2e-4) for name in found[0])
    assert not torch.equal(
        found[0]["model.layers.0.mlp.up_proj.weight"],
        stage.load(checkpoints()).state_dict()["model.layers.0.mlp.up_proj.weight"],
    )


def test_steps_have_every_row_once_an_epoch_and_another_order_in_each() -> None:
    given = rows(10)
    planned = plan(10, replace(ground(Path(), Path()).parameters, epochs=2.5))
    seen = [row.id for step in steps_of(given, planned, 4, 0) for row in step]
    epochs = [seen[start : start + 10] for start in (0, 10, 20)]
    assert [len(epoch) for epoch in epochs] == [10, 10, 5]
    assert all(set(epoch) == {row.id for row in given} for epoch in epochs[:2])
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_weights_of_the_best_step_are_what_comes_out(
    method: str, checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    # What is held out has nothing to do with what is learnt, and becomes the less likely for it.
    on = ground(
        tmp_path, checkpoints(), rows(4), method=method, epochs=6.0, evaluations=6, learning_rate=0.05, patience=1
    )
    [trained] = [each.stage for each in [sft.carry_out(on, rows(4, seed=3))] if each.stage]
    assert trained.ended_by == "patience"
    assert trained.best_step < trained.steps
    nats = bits.total_nats(stage.load(on.folder / "merged"), on.held_out, CPU)
    found = bits.bits_per_byte(nats, sum(row.num_bytes for row in on.held_out))
    assert found == pytest.approx(trained.bits_per_byte, rel=1e-5)
    assert not list((on.folder / "checkpoints").iterdir())
    assert sft.carry_out(on, rows(4)).stage == trained, "what is done is not done again"


def test_the_models_configuration_stays_as_it_is(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    # Its tokeniser has other end and padding tokens: what the library would write into it.
    trainer_model = trainer_of(ground(tmp_path, checkpoints("gpt2")), [rows(2)])
    wanted = stage.load(checkpoints("gpt2"))
    assert stage.tokenizer(checkpoints("gpt2")).pad_token_id != wanted.config.pad_token_id
    trainer_model.train()
    for config in ("config", "generation_config"):
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            found = getattr(getattr(trainer_model.model, config), name)
            assert found == getattr(getattr(wanted, config), name), (config, name)


def test_a_stage_ends_when_its_time_is_over_with_the_best_so_far(
    checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    on = replace(ground(tmp_path, checkpoints(), epochs=50.0), budgets=Budgets(seconds=0.0, disk_bytes=10**9))
    trained = sft.carry_out(on, rows(8)).stage
    assert trained is not None
    assert (trained.ended_by, trained.steps, trained.best_step) == ("wall clock", 1, 1)
    assert (on.folder / "merged" / "model.safetensors").exists()


def test_too_little_disk_is_said_before_anything_is_learnt(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    on = replace(ground(tmp_path, checkpoints()), budgets=Budgets(seconds=600.0, disk_bytes=10_000))
    with pytest.raises(TrainingError, match="TRAIN_DISK_GB"):
        sft.carry_out(on, rows(8))
    assert not (tmp_path / "events.jsonl").exists() or "step" not in (tmp_path / "events.jsonl").read_text()


def test_checkpoints_stay_within_their_budget(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    on = ground(tmp_path, checkpoints(), epochs=10.0, evaluations=10, patience=100)
    trainer = trainer_of(on, [rows(4)])
    room = 3 * trainer._checkpoint_bytes()
    sft.carry_out(replace(on, budgets=Budgets(600.0, room)), rows(4))
    sizes = [event["bytes"] for event in told(tmp_path, "checkpoint")]
    assert len(sizes) == 10
    # Beside the weights and their moments, a checkpoint holds what does not grow with a model.
    assert max(sizes) - trainer._checkpoint_bytes() < 100_000


def test_a_training_that_comes_apart_says_so_in_one_line(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="TRAIN_LEARNING_RATE") as caught:
        sft.carry_out(ground(tmp_path, checkpoints(), method="full", learning_rate=1e30, epochs=9.0), rows(8))
    assert "\n" not in str(caught.value)


def test_bf16_learns_about_the_same(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    steps = [rows(4), rows(4)]
    [in_32, in_16] = [
        run_steps(trainer_of(ground(tmp_path / each, checkpoints(), precision=each), steps))
        for each in ("fp32", "bf16")
    ]
    assert in_16 == pytest.approx(in_32, rel=0.02)
    assert in_16 != in_32


def test_every_step_is_told_as_it_happens(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    sft.carry_out(ground(tmp_path, checkpoints()), rows(8))
    events = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert events == ["evaluation", *("step", "evaluation", "checkpoint") * 2, "ended"]
    step = told(tmp_path, "step")[0]
    assert step["tokens"] == sum(len(row.ids) for row in encoding.order(rows(8), 0, 0)[:4])
    assert all(math.isfinite(step[name]) for name in ("loss", "grad_norm", "tokens_per_second", "seconds_left"))


def test_tensorboards_files_are_written_if_that_is_wanted(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    for name, wanted in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        on = replace(ground(tmp_path / name, checkpoints(), evaluations=1), has_tensorboard=wanted)
        sft.carry_out(on, rows(4))
        assert any((tmp_path / name / "tensorboard" / "sft").glob("events.out*")) == wanted
