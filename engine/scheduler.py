"""Chooses what the model runs next: which sequences, how many of their tokens, in which slots.

Plain synchronous code over plain data: no clock, no I/O, no model, no text; token ids only. A step is either
one chunk of one prompt or one token of every running reply, because the attention operator takes
several rows with a past for single tokens only.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass, field

from engine.slots import Move, SlotTable
from engine.waiting import WaitingQueue


@dataclass(eq=False)
class Sequence:
    """One request's tokens and how far they have run.

    Attributes:
        tokens: Prompt and answer so far.
        num_prompt: How many of them are the prompt.
        num_computed: How many have their keys and values in the cache.
        num_reused: How many the cache had from before.
        slot: Where, None while waiting.
    """

    chat: str
    tokens: list[int]
    num_prompt: int = field(init=False)
    num_computed: int = 0
    num_reused: int = 0
    slot: int | None = None

    def __post_init__(self) -> None:
        self.num_prompt = len(self.tokens)

    @property
    def is_prefilling(self) -> bool:
        """Whether a part of the prompt has yet to run."""
        return self.num_computed < self.num_prompt


@dataclass(frozen=True)
class Prefill:
    """Run `tokens` of one sequence behind `past`; its logits are needed if the prompt ends here."""

    sequence: Sequence
    slot: int
    past: int
    tokens: tuple[int, ...]
    is_last: bool


@dataclass(frozen=True)
class Decode:
    """Run the newest token of each sequence; the i-th sequence lies in slot i."""

    sequences: tuple[Sequence, ...]


@dataclass(frozen=True)
class StepPlan:
    """Moves in the cache, to be done first, and the run that follows."""

    moves: tuple[Move, ...]
    run: Prefill | Decode


class Scheduler:
    """Admits, prefills and decodes; each `plan_step` is to be followed by `commit`."""

    def __init__(self, *, num_slots: int, max_batch: int, chunk_tokens: int) -> None:
        """`chunk_tokens` bounds the prompt tokens between two decodes, and so how long running replies wait."""
        assert num_slots >= max_batch, "each running sequence has a slot"
        self._slots = SlotTable(num_slots)
        self._max_batch, self._chunk_tokens = max_batch, chunk_tokens
        self.waiting: WaitingQueue[Sequence] = WaitingQueue()
        self._running: list[Sequence] = []  # in order of admission
        self._pending_moves: list[Move] = []
        self._prefill_budget = chunk_tokens  # prompt tokens that may run before the next decode

    @property
    def running(self) -> tuple[Sequence, ...]:
        """Sequences that hold a slot, oldest first."""
        return tuple(self._running)

    def add(self, sequence: Sequence) -> None:
        """Put a new sequence in line."""
        self.waiting.push(sequence)

    def plan_step(self) -> StepPlan | None:
        """Choose the next run, None if there is nothing to do.

        Prompts run in chunks, and after a chunk's worth of them every running reply gets a token, so that a
        long prompt slows the others but never stalls them, and short ones don't wait for one another.
        Iteration-level scheduling: Yu et al., "Orca", OSDI 2022. Chunked prefill: Agrawal et al.,
        "Sarathi-Serve", OSDI 2024 (arXiv:2403.02310); we alternate chunks and decodes where they share a step.
        """
        self._admit()
        prefilling = [s for s in self._running if s.is_prefilling]
        decoding = [s for s in self._running if not s.is_prefilling]
        prefill = self._plan_prefill(prefilling[0]) if prefilling else None
        run: Prefill | Decode
        if prefill is not None and (not decoding or len(prefill.tokens) <= self._prefill_budget):
            run = prefill
            self._prefill_budget -= len(run.tokens)
        elif decoding:
            run = self._plan_decode(decoding)
            self._prefill_budget = self._chunk_tokens
        else:
            return None
        moves, self._pending_moves = tuple(self._pending_moves), []
        return StepPlan(moves, run)

    def commit(self, run: Prefill | Decode) -> None:
        """Note that a planned run has been carried out. Append sampled tokens after this."""
        if isinstance(run, Prefill):
            self._advance(run.sequence, run.tokens)
        else:
            for sequence in run.sequences:
                self._advance(sequence, sequence.tokens[-1:])

    def remove(self, sequence: Sequence, *, keep_cache: bool = True) -> None:
        """Take a sequence out, waiting or running; its slot stays for its chat unless told otherwise."""
        if sequence.slot is None:
            self.waiting.remove(sequence)
            return
        self._slots.release(sequence.slot)
        if not keep_cache:
            self._slots.forget(sequence.slot)
        self._running.remove(sequence)
        sequence.slot = None

    def forget_cache(self) -> None:
        """Empty all slots, none of which may be in use: what they hold is no longer known."""
        assert not self._running, "a running sequence would lose its past"
        self._slots = SlotTable(len(self._slots))
        self._pending_moves = []

    def _admit(self) -> None:
        while len(self.waiting) and len(self._running) < self._max_batch:
            sequence = self.waiting.pop()
            acquired = self._slots.acquire(sequence.chat, sequence.tokens)
            sequence.slot = acquired.slot
            sequence.num_computed = sequence.num_reused = acquired.reused
            self._pending_moves.extend(acquired.moves)
            self._running.append(sequence)

    def _plan_prefill(self, sequence: Sequence) -> Prefill:
        assert sequence.slot is not None
        past = sequence.num_computed
        tokens = tuple(sequence.tokens[past : past + self._chunk_tokens])
        return Prefill(sequence, sequence.slot, past, tokens, past + len(tokens) == len(sequence.tokens))

    def _plan_decode(self, sequences: Items[Sequence]) -> Decode:
        """Bring the decoding sequences into the first slots, moving as few as possible."""
        by_slot = {s.slot: s for s in self._running}
        outside = [s for s in sequences if s.slot is not None and s.slot >= len(sequences)]
        decoding = set(sequences)
        for row in range(len(sequences)):
            if by_slot.get(row) not in decoding:
                self._swap(outside.pop(), row, by_slot.get(row))
        return Decode(tuple(sorted(sequences, key=_slot)))

    def _swap(self, sequence: Sequence, row: int, occupant: Sequence | None) -> None:
        old = _slot(sequence)
        self._pending_moves.append(self._slots.swap(old, row))
        sequence.slot = row
        if occupant is not None:
            occupant.slot = old

    def _advance(self, sequence: Sequence, tokens: Items[int]) -> None:
        sequence.num_computed += len(tokens)
        if sequence.slot is not None:
            self._slots.extend(sequence.slot, tokens)


def _slot(sequence: Sequence) -> int:
    assert sequence.slot is not None, "only sequences that hold a slot are decoded"
    return sequence.slot
