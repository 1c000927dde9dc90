"""Measures an exported graph against the checkpoint that it came from, on text that ships with the project.

The graph runs through the engine's own session, in the ways in which serving runs it: whole prompts, prompts in
chunks, and decode steps of rows with unequal lengths. Judges by given tolerances; changes nothing.
"""

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from itertools import islice, takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.bundle import EvaluationInfo, Precision
from engine.sampling import FloatArray
from engine.session import Session
from exporters.errors import ToleranceError

PARITY_LENGTHS = (24, 57, 33, 41)  # prompts of unequal lengths, so that rows of a batch differ
PARITY_STEPS = 8
PARITY_CHUNK = 16
SHORTEST_CONTEXT = max(PARITY_LENGTHS) + PARITY_STEPS
WINDOW = 256  # tokens per forward pass when scoring
GREEDY_TOKENS = 64


@dataclass(frozen=True)
class Tolerance:
    """What an export may lose.

    Attributes:
        logit_difference: Largest absolute difference between the graph's logits and torch's in fp32.
        perplexity_ratio: Largest ratio of the bundle's perplexity to the checkpoint's in fp32.
    """

    logit_difference: float
    perplexity_ratio: float


# Before weights are quantised the graph is fp32, so int8 and int4 must pass the fp32 parity check too.
TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(1e-3, 1.001),
    "int8": Tolerance(1e-3, 1.01),
    "int4": Tolerance(1e-3, 1.5),
    "fp16": Tolerance(0.5, 1.01),
    "bf16": Tolerance(4.0, 1.02),
}


@dataclass(frozen=True)
class Score:
    """Next-token quality on a text.

    Attributes:
        negative_log_likelihood: Sum over predicted tokens, in nats.
        best: [n] int64 the model's own choice at each place.
    """

    negative_log_likelihood: float
    best: NDArray[np.int64]

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood per token."""
        return math.exp(self.negative_log_likelihood / self.best.size)


def shipped_dialogues() -> list[list[dict[str, str]]]:
    """The dialogues in exporters/data: each a list of messages with role and content."""
    text = resources.files("exporters").joinpath("data/dialogues.jsonl").read_text(encoding="utf-8")
    return [json.loads(line)["messages"] for line in text.splitlines()]


def evaluation_texts(tokenizer: Any, length: int, limit_tokens: int) -> list[list[int]]:
    """Token ids of rendered dialogues, each cut to `length`, about `limit_tokens` in all."""
    texts: list[list[int]] = []
    for messages in shipped_dialogues():
        if sum(map(len, texts)) >= limit_tokens:
            break
        texts.append(tokenizer.encode(_render(tokenizer, messages), add_special_tokens=False)[:length])
    return texts


def greedy_prompts(tokenizer: Any, length: int, number: int) -> list[list[int]]:
    """Token ids of `number` rendered dialogues up to their first answer, each cut to `length`."""
    prompts: list[list[int]] = []
    for messages in islice(shipped_dialogues(), number):
        before = list(takewhile(lambda message: message["role"] != "assistant", messages))
        rendered = _render(tokenizer, before, add_generation_prompt=True)
        prompts.append(tokenizer.encode(rendered, add_special_tokens=False)[:length])
    return prompts


def _render(tokenizer: Any, messages: list[dict[str, str]], *, add_generation_prompt: bool = False) -> str:
    """A dialogue as text; a template that knows no system role (Gemma) gets it without."""
    render = partial(tokenizer.apply_chat_template, tokenize=False, add_generation_prompt=add_generation_prompt)
    try:
        return str(render(messages))
    except Exception:  # templates raise whatever they like
        return str(render(messages[1:]))


def check_parity(model: Any, session: Session, texts: Sequence[Sequence[int]], limit: float) -> float:
    """Compare logits with torch in every way in which serving runs the graph; returns the largest difference.

    Raises:
        ToleranceError: It is over `limit`.
    """
    prompts = [list(text[:n]) for text, n in zip(texts, PARITY_LENGTHS, strict=False)]
    worst = max(_prefill_difference(model, session, prompt) for prompt in prompts)
    worst = max(worst, _decode_difference(model, session, prompts))
    if not worst <= limit:
        raise ToleranceError("largest difference of the graph's logits to torch's", worst, limit)
    return worst


def _prefill_difference(model: Any, session: Session, prompt: list[int]) -> float:
    """All logits of a prompt, run whole and in chunks."""
    expected = torch_logits(model, prompt)
    whole = session.prefill(0, prompt, 0, range(len(prompt)))
    chunked = np.concatenate(
        [
            session.prefill(0, prompt[at : at + PARITY_CHUNK], at, range(len(prompt[at : at + PARITY_CHUNK])))
            for at in range(0, len(prompt), PARITY_CHUNK)
        ]
    )
    return max(_difference(whole, expected), _difference(chunked, expected))


def _decode_difference(model: Any, session: Session, prompts: list[list[int]]) -> float:
    """Some greedy steps of all prompts in one batch, each step against torch on the whole text so far."""
    texts = [list(prompt) for prompt in prompts]
    for slot, text in enumerate(texts):
        logits = session.prefill(slot, text, 0, [len(text) - 1])
        text.append(int(logits[0].argmax()))
    worst = 0.0
    for _ in range(PARITY_STEPS):
        logits = session.decode([text[-1] for text in texts], [len(text) - 1 for text in texts])
        for row, text in zip(logits, texts, strict=True):
            worst = max(worst, _difference(row, torch_logits(model, text)[-1]))
            text.append(int(row.argmax()))
    return worst


def greedy_equality(
    model: Any,
    session: Session,
    prompts: Sequence[Sequence[int]],
    stop_ids: Collection[int],
    advance: Callable[[int], object],
) -> float:
    """Share of prompts that torch and the graph continue greedily with the same tokens.

    Compared are GREEDY_TOKENS of each, or those up to the end of the answer. `advance` is told how many are done.
    """
    num_equal = 0
    for at in range(0, len(prompts), session.num_slots):
        some = prompts[at : at + session.num_slots]
        expected = _torch_greedy(model, some, GREEDY_TOKENS)
        found = _session_greedy(session, some, GREEDY_TOKENS)
        for ours, theirs in zip(found, expected, strict=True):
            num_equal += _until_stop(ours, stop_ids) == _until_stop(theirs, stop_ids)
        advance(len(some) * GREEDY_TOKENS)
    return num_equal / len(prompts)


def _torch_greedy(model: Any, prompts: Sequence[Sequence[int]], number: int) -> list[list[int]]:
    """`number` tokens behind each prompt, all prompts in one batch with room on the left.

    Not by `generate`, which goes by what the checkpoint has set, such as a penalty for repetition.
    """
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    cache, steps = None, []
    with torch.inference_mode():
        for _ in range(number):
            places = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            output = model(ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            ids = output.logits[:, -1].argmax(-1, keepdim=True)
            mask = torch.cat([mask, torch.ones_like(ids)], 1)
            steps.append(ids)
        tokens: list[list[int]] = torch.cat(steps, 1).tolist()
    return tokens


def _session_greedy(session: Session, prompts: Sequence[Sequence[int]], number: int) -> list[list[int]]:
    """The same by the graph: each prompt in a slot of its own, then all of them step by step."""
    texts = [list(prompt) for prompt in prompts]
    for slot, text in enumerate(texts):
        text.append(int(session.prefill(slot, text, 0, [len(text) - 1])[0].argmax()))
    for _ in range(number - 1):
        logits = session.decode([text[-1] for text in texts], [len(text) - 1 for text in texts])
        for row, text in zip(logits, texts, strict=True):
            text.append(int(row.argmax()))
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]


def _until_stop(tokens: Sequence[int], stop_ids: Collection[int]) -> list[int]:
    """An answer with the token that ends it."""
    end = next((place for place, token in enumerate(tokens) if token in stop_ids), len(tokens))
    return list(tokens[: end + 1])


def _difference(found: FloatArray, expected: FloatArray) -> float:
    """Largest absolute difference; infinite if either side is not finite, for NaN would slip through a maximum."""
    worst = float(np.abs(found - expected).max())
    return worst if math.isfinite(worst) else math.inf


def torch_logits(model: Any, ids: Sequence[int]) -> FloatArray:
    """[S, V] logits of the checkpoint itself, in fp32."""
    with torch.inference_mode():
        logits: FloatArray = model(torch.tensor([list(ids)])).logits[0].float().numpy()
        return logits


def score(
    logits_of: Callable[[Sequence[int]], FloatArray],
    texts: Sequence[Sequence[int]],
    advance: Callable[[int], object],
) -> Score:
    """Score texts with any source of logits [S, V]; `advance` is told how many tokens are done."""
    total, best = 0.0, []
    for text in texts:
        logits = logits_of(text)[:-1]
        targets = np.asarray(text[1:])
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_norm = np.log(np.exp(shifted).sum(axis=1, dtype=np.float64))
        total += float((log_norm - shifted[np.arange(targets.size), targets]).sum())
        best.append(logits.argmax(axis=1))
        advance(len(text))
    return Score(total, np.concatenate(best))


def session_logits(session: Session, text: Sequence[int]) -> FloatArray:
    """[S, V] logits of an exported graph, run in windows."""
    pieces = [(at, text[at : at + WINDOW]) for at in range(0, len(text), WINDOW)]
    return np.concatenate([session.prefill(0, piece, at, range(len(piece))) for at, piece in pieces])


def judge(bundle: Score, reference: Score, parity: float, limit: float, greedy: float | None = None) -> EvaluationInfo:
    """The figures for bundle.json; `greedy` goes by no limit here.

    Raises:
        ToleranceError: The perplexity ratio is over `limit`.
    """
    ratio = bundle.perplexity / reference.perplexity
    if not ratio <= limit:
        raise ToleranceError("perplexity of the bundle divided by the checkpoint's in fp32", ratio, limit)
    return EvaluationInfo(
        max_logit_difference=parity,
        greedy_agreement=float((bundle.best == reference.best).mean()),
        perplexity=bundle.perplexity,
        perplexity_fp32=reference.perplexity,
        num_tokens=bundle.best.size,
        greedy_equality=greedy,
    )
