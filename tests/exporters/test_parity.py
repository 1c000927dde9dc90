"""Every supported architecture, exported, against transformers on the same random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.bundle import GRAPH_NAME, Bundle
from engine.session import Session
from tests.tiny_models import CONFIGS

TOLERANCE = 2e-4  # fp32, logits of about 10
NEAR_TIE = 2e-3  # two best logits closer than this may change places

PROMPT = [5 + (7 * i) % 500 for i in range(45)]


@pytest.fixture(params=CONFIGS)
def pair(request: Any, checkpoints: Callable[..., Path], bundles: Callable[..., Path]) -> tuple[Any, Session]:
    """The checkpoint in transformers, and its export in a session."""
    model = AutoModelForCausalLM.from_pretrained(checkpoints(request.param), attn_implementation="eager").eval()
    bundle = Bundle.open(bundles(request.param))
    session = Session(
        bundle.file(GRAPH_NAME),
        bundle.manifest.model,
        bundle.manifest.kv.dtype,
        num_slots=4,
        max_batch=4,
        length=128,
        threads=1,
        provider="cpu",
    )
    return model, session


def _torch_logits(model: Any, ids: list[int]) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def test_prefill_gives_the_logits_of_transformers(pair: tuple[Any, Session]) -> None:
    model, session = pair
    logits = session.prefill(0, PROMPT, 0, range(len(PROMPT)))
    np.testing.assert_allclose(logits, _torch_logits(model, PROMPT), atol=TOLERANCE, rtol=0)


def test_a_prompt_in_chunks_gives_the_same_logits(pair: tuple[Any, Session]) -> None:
    model, session = pair
    chunks = [session.prefill(1, PROMPT[at : at + 7], at, range(len(PROMPT[at : at + 7]))) for at in range(0, 45, 7)]
    np.testing.assert_allclose(np.concatenate(chunks), _torch_logits(model, PROMPT), atol=TOLERANCE, rtol=0)


def test_rows_of_unequal_length_decode_together_as_they_would_alone(pair: tuple[Any, Session]) -> None:
    model, session = pair
    texts = [PROMPT[:n] for n in (3, 45, 17, 30)]
    for slot, text in enumerate(texts):
        session.prefill(slot, text[:-1], 0, [])
    for step in range(4):
        logits = session.decode([t[-1] for t in texts], [len(t) - 1 for t in texts])
        for row, text in zip(logits, texts, strict=True):
            np.testing.assert_allclose(row, _torch_logits(model, text)[-1], atol=TOLERANCE, rtol=0)
            text.append((11 * step + len(text)) % 500)


def test_32_greedy_tokens_are_those_of_generate(pair: tuple[Any, Session]) -> None:
    model, session = pair
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([PROMPT]),
            attention_mask=torch.ones(1, len(PROMPT), dtype=torch.int64),
            max_new_tokens=32,
            min_new_tokens=32,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
    expected = output[0, len(PROMPT) :].tolist()
    logits = session.prefill(0, PROMPT, 0, [len(PROMPT) - 1])[0]
    for place, token in enumerate(expected):
        second, first = np.sort(logits)[-2:]
        if first - second < NEAR_TIE:
            assert place > 0, "the test model's very first choice is a tie; it shows nothing"
            break
        assert int(logits.argmax()) == token, f"token {place} differs"
        logits = session.decode([token], [len(PROMPT) + place])[0]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_logits_that_are_not_finite_never_pass_for_equal(checkpoints: Callable[..., Path], broken: float) -> None:
    """A graph whose every decode step is broken; a plain maximum would lose NaN."""
    from exporters.errors import ToleranceError
    from exporters.verify import check_parity, torch_logits

    model = AutoModelForCausalLM.from_pretrained(checkpoints()).eval()

    class Broken:
        def prefill(self, slot: int, tokens: list[int], past: int, wanted: Any) -> Any:
            whole = [*self.past.get(slot, [])[:past], *tokens]
            self.past[slot] = whole
            return torch_logits(model, whole)[past:][list(wanted)]

        def decode(self, tokens: list[int], lengths: list[int]) -> Any:
            return np.full((len(tokens), 512), broken, np.float32)

        past: dict[int, list[int]] = {}  # noqa: RUF012

    with pytest.raises(ToleranceError):
        check_parity(model, Broken(), [PROMPT * 2] * 4, limit=1e9)
