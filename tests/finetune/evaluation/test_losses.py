"""Bits per byte of a tiny model, worked out again with transformers alone."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.bundle import Bundle
from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.rendering import Renderer
from finetune.evaluation.figures import Loss
from finetune.evaluation.losses import bits_per_byte, chosen, loss_of, name_of
from finetune.evaluation.torchscoring import TorchScorer
from tests.engine.chat_styles import PIECES
from tests.finetune.dataset.renderers import model as styled
from tests.finetune.evaluation.conversations import example, log_probabilities

TALK = example(
    "a",
    ("system", "You are kind.", 0.0),
    ("user", "hello there", 0.0),
    ("assistant", "good day, und schöne Grüße 👋", 1.0),
    ("user", "and you", 0.0),
    ("assistant", "context only", 0.0),
    ("user", "well then", 0.0),
    ("assistant", "until <|im_end|> tomorrow", 0.5),
)
MORE = example("a", ("user", "once more", 0.0), ("assistant", "yes", 1.0), id="a2")
OTHER = example("b", ("user", "hello", 0.0), ("assistant", "no", 1.0))


@pytest.fixture(scope="module")
def renderer(bundles: Callable[..., Path]) -> Renderer:
    return Renderer.open(Bundle.open(bundles()))


@pytest.fixture(scope="module")
def model(checkpoints: Callable[..., Path]) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoints())


@pytest.fixture(scope="module")
def reference(checkpoints: Callable[..., Path], model: Any) -> Callable[[Example], tuple[float, int]]:
    """Nats and number of the words to be learnt: ChatML written out, and encoded piece by piece."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoints())

    def encoded(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def of(talk: Example) -> tuple[float, int]:
        ids: list[int] = []
        places: list[int] = []
        for message in talk.messages:
            ids += [1, *encoded(f"{message.role}\n")]
            words = encoded(message.content)
            places += range(len(ids), len(ids) + len(words)) if message.weight else ()
            ids += [*words, 2, *encoded("\n")]
        known = log_probabilities(model, ids)
        return -sum(known[place - 1, ids[place]] for place in places), len(places)

    return of


def test_the_loss_is_that_of_the_words_that_are_to_be_said_and_of_nothing_else(
    renderer: Renderer, model: Any, reference: Callable[[Example], tuple[float, int]]
) -> None:
    done: list[None] = []
    losses = loss_of(TorchScorer(model), renderer, [TALK, MORE, OTHER], lambda: done.append(None))
    a, b = name_of("a"), name_of("b")
    assert list(losses) == [a, b]
    (talk, talk_tokens), (more, more_tokens), (other, other_tokens) = map(reference, (TALK, MORE, OTHER))
    assert losses[a].nats == pytest.approx(talk + more, rel=1e-5)
    assert losses[a].tokens == talk_tokens + more_tokens
    assert losses[a].bytes == len("good day, und schöne Grüße 👋until <|im_end|> tomorrowyes".encode())
    assert losses[b].nats == pytest.approx(other, rel=1e-5)
    assert (losses[b].bytes, losses[b].tokens) == (2, other_tokens)
    assert len(done) == 3


def test_what_goes_into_the_figures_does_not_name_a_chat_but_tells_chats_apart_and_the_log_from_imports() -> None:
    names = [name_of(f"{key}:12") for key in ("whatsapp:Anna Schmidt", "whatsapp:Ben", "log:Anna Schmidt")]
    assert not any(word in name for name in names for word in ("Anna", "Schmidt", "Ben", "whatsapp"))
    assert len({name.removeprefix("log:") for name in names}) == 3
    assert [name.startswith("log:") for name in names] == [False, False, True]
    assert names[0] == name_of("whatsapp:Anna Schmidt:12"), "models are compared by it"


def test_bits_per_byte_are_bits_for_each_byte() -> None:
    assert bits_per_byte([Loss(8 * math.log(2), 3, 2), Loss(4 * math.log(2), 3, 2)]) == pytest.approx(2.0)
    assert math.isnan(bits_per_byte([]))
    assert math.isnan(bits_per_byte([Loss(1.0, 0, 1)]))
    assert math.isnan(bits_per_byte([Loss(math.nan, 5, 1), Loss(1.0, 5, 1)]))


@pytest.mark.parametrize("style", ["chatml", "llama3", "gemma", "mistral", "phi3"])
def test_of_every_template_the_words_are_found_and_the_marks_left_out(style: str) -> None:
    served = styled(style)
    for words in (piece.strip() for piece in PIECES):
        if not words:
            continue
        messages = (ExampleMessage("user", "hello"), ExampleMessage("assistant", words, 1.0))
        encoded = served.renderer.encode(messages)
        said = [encoded.ids[place] for place in served.renderer.word_places(encoded)]
        assert not served.control_ids & set(said)
        learnt = {id for id, weight in zip(encoded.ids, encoded.weights, strict=True) if weight}
        assert learnt - set(said) <= served.control_ids
        assert served.tokenizer.decode(said).strip() == served.tokenizer.decode(served.tokenizer.encode(words)).strip()


def numbered(number: int) -> list[Example]:
    return [
        example(f"c{n // 2}", ("user", "hello", 0.0), ("assistant", "yes", 1.0), id=f"e{n}") for n in range(2 * number)
    ]


def test_conversations_are_chosen_whole_and_in_their_order() -> None:
    found = chosen(numbered(20), 7)
    assert len(found) == 14
    assert len({each.conversation for each in found}) == 7
    assert found == [each for each in numbered(20) if each in found]
    assert chosen(numbered(3), 7) == numbered(3)


def test_the_choice_is_the_same_whatever_the_order_and_grows_with_the_number() -> None:
    shuffled = numbered(20)
    random.Random(0).shuffle(shuffled)
    ids = {each.id for each in chosen(shuffled, 7)}
    assert ids == {each.id for each in chosen(numbered(20), 7)}
    assert ids < {each.id for each in chosen(numbered(20), 8)}
    assert ids != {each.id for each in numbered(20)[:14]}, "not the first ones"
