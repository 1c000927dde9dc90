"""Greedy answers of an exported graph and of its checkpoint, side by side."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.bundle import GRAPH_NAME, Bundle
from engine.session import Session
from exporters import verify

# Of unequal lengths, and more than the session has slots.
PROMPTS = [[5 + (11 * i + n) % 500 for i in range(n)] for n in (9, 33, 17, 25, 12, 40)]


def _session(path: Path) -> Session:
    bundle = Bundle.open(path)
    info, dtype = bundle.manifest.model, bundle.manifest.kv.dtype
    return Session(
        bundle.file(GRAPH_NAME), info, dtype, num_slots=4, max_batch=4, length=128, threads=1, provider="cpu"
    )


def _model(checkpoint: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager").eval()


def _equality(model: Any, session: Any, stop_ids: Sequence[int] = ()) -> float:
    done: list[int] = []
    share = verify.greedy_equality(model, session, PROMPTS, stop_ids, done.append)
    assert sum(done) == len(PROMPTS) * verify.GREEDY_TOKENS
    return share


@pytest.mark.parametrize(
    "name", ["gpt2", "llama", "mistral", "gemma3"]
)  # places learnt and rotary, windows of both kinds
def test_a_sound_graph_answers_as_torch_does(
    name: str, checkpoints: Callable[..., Path], bundles: Callable[..., Path]
) -> None:
    assert _equality(_model(checkpoints(name)), _session(bundles(name))) == 1.0


def test_a_graph_of_other_weights_answers_otherwise(
    checkpoints: Callable[..., Path], bundles: Callable[..., Path]
) -> None:
    assert _equality(_model(checkpoints(seed=1)), _session(bundles())) == 0.0


def test_what_comes_after_the_end_of_an_answer_does_not_count(
    checkpoints: Callable[..., Path], bundles: Callable[..., Path]
) -> None:
    class Forgetful:
        """Knows the first token of an answer, and none after it."""

        num_slots = 4

        def __init__(self, session: Session) -> None:
            self.prefill, self._session = session.prefill, session

        def decode(self, tokens: list[int], lengths: list[int]) -> Any:
            return -self._session.decode(tokens, lengths)

    model, session = _model(checkpoints()), Forgetful(_session(bundles()))
    assert _equality(model, session) == 0.0
    assert _equality(model, session, stop_ids=range(512)) == 1.0


def test_prompts_end_where_an_answer_is_to_begin(checkpoints: Callable[..., Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoints())
    prompts = verify.greedy_prompts(tokenizer, length=10_000, number=20)
    assert len(prompts) == 20
    assert len({tuple(prompt) for prompt in prompts}) == 20
    for prompt in prompts:
        text = tokenizer.decode(prompt)
        assert text.endswith("<|im_start|>assistant\n")
        assert text.count("<|im_start|>assistant") == 1
    assert max(map(len, verify.greedy_prompts(tokenizer, length=10, number=20))) == 10
