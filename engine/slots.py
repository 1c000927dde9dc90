"""Which conversation's keys and values lie in which slot of the cache.

Plain data and decisions: says which copies and swaps are needed, performs none. A slot keeps its tokens after
the reply, least recently used first out, so that a next turn computes only what is new; a prefix that some
other slot has, such as a shared persona, is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Shorter shared prefixes cost more in copying calls than in computing.
MIN_SHARED_TOKENS = 16


@dataclass(frozen=True)
class Copy:
    """Copy the first `length` positions of slot `source` to slot `target`."""

    source: int
    target: int
    length: int


@dataclass(frozen=True)
class Swap:
    """Exchange two slots, of which the first positions are in use."""

    a: int
    b: int
    length_a: int
    length_b: int


Move = Copy | Swap


@dataclass(eq=False)
class Slot:
    """The content of one slot: the tokens whose keys and values it holds, in order."""

    tokens: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    chat: str | None = None
    is_running: bool = False
    used_at: int = 0

    def shared_prefix(self, prompt: NDArray[np.int32]) -> int:
        """How many leading tokens of `prompt` it holds."""
        size = min(self.tokens.size, prompt.size)
        different = np.flatnonzero(self.tokens[:size] != prompt[:size])
        return int(different[0]) if different.size else size


@dataclass(frozen=True)
class Acquired:
    """A slot for a prompt: its first `reused` tokens are there once `moves` are done."""

    slot: int
    reused: int
    moves: tuple[Move, ...]


class SlotTable:
    """Assigns slots 0..n-1; a running slot is never taken from its conversation."""

    def __init__(self, num_slots: int) -> None:
        self._slots = [Slot() for _ in range(num_slots)]
        self._clock = 0

    def __len__(self) -> int:
        return len(self._slots)

    def acquire(self, chat: str, prompt: Sequence[int]) -> Acquired:
        """Take a slot for a prompt, the one that the chat left behind if it is still there.

        The last token is never reused: it has to run, for its logits choose the first token of the answer.
        """
        wanted = np.asarray(prompt[:-1], dtype=np.int32)
        index = self._place_for(chat, wanted)
        reused = self._slots[index].shared_prefix(wanted)
        moves: tuple[Move, ...] = ()
        best = max(range(len(self)), key=lambda i: self._slots[i].shared_prefix(wanted))
        shared = self._slots[best].shared_prefix(wanted)
        if shared >= reused + MIN_SHARED_TOKENS:
            moves, reused = (Copy(best, index, shared),), shared
        self._clock += 1
        self._slots[index] = Slot(wanted[:reused], chat, is_running=True, used_at=self._clock)
        return Acquired(index, reused, moves)

    def extend(self, index: int, tokens: Sequence[int]) -> None:
        """Note that these tokens have run in the slot."""
        slot = self._slots[index]
        slot.tokens = np.concatenate((slot.tokens, np.asarray(tokens, dtype=np.int32)))

    def release(self, index: int) -> None:
        """The reply has ended; its tokens stay for the chat's next turn."""
        self._clock += 1
        self._slots[index].is_running = False
        self._slots[index].used_at = self._clock

    def forget(self, index: int) -> None:
        """Empty a slot whose content can't be trusted, for instance after a failed run."""
        self._slots[index] = Slot()

    def swap(self, a: int, b: int) -> Swap:
        """Exchange two slots' places."""
        slots = self._slots
        slots[a], slots[b] = slots[b], slots[a]
        return Swap(a, b, slots[b].tokens.size, slots[a].tokens.size)

    def _place_for(self, chat: str, wanted: NDArray[np.int32]) -> int:
        """The idle slot where the chat left most of the prompt, else the least recently used one."""
        idle = [i for i, slot in enumerate(self._slots) if not slot.is_running]
        assert idle, "the scheduler admits no more sequences than there are slots"
        own = [i for i in idle if self._slots[i].chat == chat]
        if own:
            return max(own, key=lambda i: self._slots[i].shared_prefix(wanted))
        return min(idle, key=lambda i: self._slots[i].used_at)
