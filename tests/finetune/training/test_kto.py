"""Ratings are learnt from as they are served, and left out where they do no good."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainerState

from engine.bundle import Bundle
from engine.generation import ChatMessage
from engine.prompt import PromptBuilder, text_parts
from finetune.dataset.example import ExampleMessage, Label
from finetune.dataset.rendering import Renderer
from finetune.training import kto, stage
from finetune.training.encoding import Row
from finetune.training.job import Budgets, Stage
from finetune.training.material import Rating, rating
from finetune.training.stage import Ground
from tests.finetune.training.trainings import ground, told


@pytest.fixture(autouse=True)
def on_cpu() -> None:
    PartialState(cpu=True)


def ratings(good: int, bad: int) -> list[Rating]:
    """Ratings of answers that are alike where they are liked, and alike where they are not."""
    rng = random.Random(0)
    made = []
    for n in range(good + bad):
        prompt = tuple(rng.randrange(3, 500) for _ in range(rng.randint(3, 9)))
        made.append(Rating(f"{n}", prompt, (17, 18, 2) if n < good else (27, 28, 29, 2), n < good))
    return made


def kto_ground(run: Path, base: Path, **parameters: Any) -> Ground:
    return replace(ground(run, base, **parameters), name="kto")


def test_prompts_and_answers_are_those_of_serving(bundles: Callable[..., Path]) -> None:
    bundle = Bundle.open(bundles())
    template, tokenizer = text_parts(bundle)
    said = (ExampleMessage("system", "Be kind."), ExampleMessage("user", "Hello, who are you?"))
    label = Label("l", "c", said, "A bot, of course.", True, ("ann",))
    row = json.loads(json.dumps({"split": "train", **asdict(label)}))
    found = rating(Label.from_json(row), Renderer.open(bundle))
    served = PromptBuilder(template, tokenizer).build(
        [ChatMessage("system", "Be kind."), ChatMessage("user", "Hello, who are you?")], limit_tokens=100
    )
    assert found.prompt == tuple(served.ids)
    assert tokenizer.decode(list(found.completion)) == "A bot, of course."
    assert found.completion[-1] == tokenizer.token_id("<|im_end|>")


@pytest.mark.parametrize(
    ("good", "bad", "words"), [(150, 49, "199 ratings"), (171, 29, "29 ratings of the rarer"), (20, 300, "20 ratings")]
)
def test_too_few_ratings_are_left_out_and_it_is_said_why(
    good: int, bad: int, words: str, checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    done = kto.carry_out(kto_ground(tmp_path, checkpoints()), ratings(good, bad))
    assert done.stage is None
    assert words in str(done.skipped)
    assert not (tmp_path / "kto" / "merged").exists()


def test_ratings_are_not_learnt_where_that_is_off_or_no_time_is_left(tmp_path: Path) -> None:
    enough = ratings(150, 100)
    assert "TRAIN_KTO" in str(kto.reason_to_skip(kto_ground(tmp_path, tmp_path, kto=False), enough))
    late = replace(kto_ground(tmp_path, tmp_path), budgets=Budgets(0.0, 10**9))
    assert "TRAIN_MINUTES" in str(kto.reason_to_skip(late, enough))
    assert kto.reason_to_skip(kto_ground(tmp_path, tmp_path), enough) is None


@pytest.mark.parametrize(("good", "bad"), [(100, 100), (120, 100), (1000, 30), (30, 1000), (133, 100), (99, 100)])
def test_all_good_ratings_weigh_1_to_1_33_times_as_much_as_all_bad_ones(good: int, bad: int) -> None:
    for_good, for_bad = kto.weights(good, bad)
    assert 1 - 1e-9 <= for_good * good / (for_bad * bad) <= 1.33 + 1e-9
    assert min(for_good, for_bad) == 1.0, "none is made to count for less"


def test_good_and_bad_ratings_are_spread_evenly_in_an_order_by_hash() -> None:
    given = ratings(60, 20)
    found = kto.interleaved(given, 0)
    assert sorted(found, key=lambda each: int(each.id)) == given
    assert all(sum(not each.is_good for each in found[n : n + 8]) == 2 for n in range(0, 80, 8))
    assert found == kto.interleaved(given[::-1], 0)
    assert found != kto.interleaved(given, 1)


def test_each_answer_stands_beside_another_one_of_its_batch() -> None:
    rows = kto.dataset_of([replace(each, completion=(n,)) for n, each in enumerate(ratings(4, 4))])
    assert rows["completion_ids"] == [[n] for n in range(8)]
    assert rows["KL_completion_ids"] == [[n] for n in (3, 0, 1, 2, 7, 4, 5, 6)]


def margins(folder: Path, given: Sequence[Rating]) -> tuple[float, float]:
    """Mean log-likelihood of good and of bad answers."""
    model = stage.load(folder).eval()
    found: dict[bool, list[float]] = {True: [], False: []}
    for each in given:
        with torch.no_grad():
            scores = torch.log_softmax(model(torch.tensor([each.prompt + each.completion])).logits[0], -1)
        start = len(each.prompt) - 1
        found[each.is_good].append(sum(scores[start + n, id].item() for n, id in enumerate(each.completion)))
    return sum(found[True]) / len(found[True]), sum(found[False]) / len(found[False])


def test_liked_answers_become_likelier_than_disliked_ones(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    given = ratings(160, 41)
    on = kto_ground(tmp_path, checkpoints(), step_examples=16, evaluations=2)
    done = kto.carry_out(on, given)
    assert done.skipped is None
    assert done.stage is not None
    assert done.stage.steps == 13, "200 ratings, as the last one has no batch to itself, in steps of 16"
    good, bad = margins(on.folder / "merged", given)
    good_before, bad_before = margins(checkpoints(), given)
    assert good - bad > good_before - bad_before + 1
    assert good > good_before
    config = (on.folder / "merged" / "config.json").read_bytes()
    assert config == (checkpoints() / "config.json").read_bytes()
    assert kto.carry_out(on, given) == done, "what is done is not done again"


def test_ratings_that_cost_what_was_learnt_are_left_out(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    given = ratings(120, 80)
    # What is held out is what people did not like.
    held_out = [
        Row(each.id, each.id, "log", each.prompt + each.completion, (0.0,) * len(each.prompt) + (1.0,) * 4, 9)
        for each in given[-6:]
    ]
    on = kto_ground(tmp_path, checkpoints(), step_examples=32, evaluations=1, kto_learning_rate=0.02)
    done = kto.carry_out(replace(on, held_out=held_out), given)
    assert done.stage is not None
    assert "rose from" in str(done.skipped)
    assert done.stage.bits_per_byte > done.stage.bits_per_byte_before * kto.MOST_WORSE
    assert not (on.folder / "merged").exists()


def test_a_rise_within_the_limit_is_taken() -> None:
    trained = Stage("kto", 1, 1, 1.0, 1.0199, "plan", 1, 1.0, 1)
    assert kto.reason_to_leave(trained) is None
    assert kto.reason_to_leave(replace(trained, bits_per_byte=1.0201)) is not None


class Interruption(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Ends a training in the middle of nothing in particular."""

    def on_step_begin(self, _args: Any, state: TrainerState, _control: Any, **_: Any) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt


def test_ratings_that_were_interrupted_end_with_the_weights_that_they_would_have_had(
    checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    given, planned = kto.interleaved(ratings(24, 16), 0), kto.plan(40, 8, 5, 1)

    def interrupted(on: Ground, *rest: Any) -> kto.RatingTrainer:
        trainer = kto.trainer(on, planned, given, *rest)
        trainer.add_callback(Interruption())
        return trainer

    def run(name: str, trainer: Callable[..., Any]) -> bytes:
        on = kto_ground(tmp_path / name, checkpoints(), lora_dropout=0.1)
        on.run.mkdir(exist_ok=True)
        stage.run(on, planned, [1] * planned.steps, None, partial(trainer, on))
        return (on.folder / "merged" / "model.safetensors").read_bytes()

    expected = run("whole", lambda on, *rest: kto.trainer(on, planned, given, *rest))
    with pytest.raises(KeyboardInterrupt):
        run("interrupted", interrupted)
    assert run("interrupted", lambda on, *rest: kto.trainer(on, planned, given, *rest)) == expected
    assert told(tmp_path / "interrupted", "resumed")[0]["step"] == 3
