"""How likely a checkpoint finds tokens that it is shown, asked through torch.

Knows token ids only, as `finetune.evaluation.scoring` does, whose protocol it follows.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from engine.sampling import FloatArray
from finetune.evaluation.scoring import Scored, TooLongError, check_places, scored


class TorchScorer:
    """Scores with a model of transformers in memory, wherever it is."""

    def __init__(self, model: Any) -> None:
        """`model` is put into evaluation mode, as dropout would make every score another one."""
        self._model = model.eval()

    def score(self, ids: Sequence[int], places: Sequence[int]) -> Scored:
        """As the protocol has it."""
        check_places(places)
        if not places:
            return scored((), ())
        self._make_room(places[-1])
        output = self._run(ids[: places[-1]], [place - 1 for place in places], use_cache=False)
        return scored([_rows(output)], [ids[place] for place in places])

    def score_after(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Scored]:
        """As the protocol has it."""
        self._make_room(len(prefix) + max(map(len, continuations), default=1) - 1)
        before = self._run(prefix, [len(prefix) - 1], use_cache=True)
        return [self._after(before, continuation) for continuation in continuations]

    def _after(self, before: Any, continuation: Sequence[int]) -> Scored:
        pieces = [_rows(before)]
        if rest := continuation[:-1]:
            # A copy, since running writes into it, and the cache of a sliding window cannot be cut back.
            cache = copy.deepcopy(before.past_key_values)
            pieces.append(_rows(self._run(rest, range(len(rest)), use_cache=True, past_key_values=cache)))
        return scored(pieces, continuation)

    def _run(self, ids: Sequence[int], wanted: Sequence[int], **options: Any) -> Any:
        """The model's output, with logits of the wanted places alone."""
        device = self._model.device
        inputs = torch.tensor([list(ids)], device=device)
        kept = torch.tensor(list(wanted), device=device)
        with torch.inference_mode():
            return self._model(input_ids=inputs, logits_to_keep=kept, **options)

    def _make_room(self, num_tokens: int) -> None:
        limit = self._model.config.max_position_embeddings
        if num_tokens > limit:
            raise TooLongError(num_tokens, limit)


def _rows(output: Any) -> FloatArray:
    """[n, V] float32 logits of a model's output."""
    rows: FloatArray = output.logits[0].float().cpu().numpy()
    return rows
