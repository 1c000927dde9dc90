"""All that is measured of one model, as plain numbers; what gates and reports go by.

Every model of a run is measured on the same data in the same process. Knows nothing of limits, nor of how it is
measured.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Loss:
    """Negative log-likelihood of what is to be said, and how much that is.

    Attributes:
        nats: Summed over target tokens.
        bytes: UTF-8 bytes of the target texts; special tokens are left out of both.
        tokens: Target tokens.
    """

    nats: float
    bytes: int
    tokens: int


@dataclass(frozen=True)
class Health:
    """What is to be seen of generated answers without reading them; shares from 0 to 1.

    Attributes:
        answers: How many were generated.
        distinct_2: Different pairs of words, of all pairs of words.
        repetition: 4-grams of words that stood in the same answer before, of all.
        verbatim: Answers with 50 characters of a training target that is not in three conversations or more.
    """

    answers: int
    empty: float
    endless: float
    repetition: float
    distinct_2: float
    common_reply: float
    other_speaker: float
    blocked: float
    verbatim: float


@dataclass(frozen=True)
class Exposure:
    """How well planted secrets are known, in bits; Carlini et al., 2019 (arXiv:1802.08232).

    Attributes:
        mean: Of the canaries in this model's training data; None if there are none.
        extracted: How many secrets the model gives away when asked.
        forgotten_mean: Of canaries that went with people who were forgotten; None if there are none.
    """

    mean: float | None
    num_canaries: int
    extracted: int
    forgotten_mean: float | None = None
    num_forgotten: int = 0


@dataclass(frozen=True)
class Serving:
    """How fast it answers here, measured in turns with the champion.

    Attributes:
        first_token_s: 95th percentile; `token_s` is the mean time of one more token.
        first_token_ratio: To the champion's, the median of rounds; `token_ratio` likewise. 1 for the champion itself.
        file_bytes: Of the graph and its weights.
    """

    first_token_s: float
    token_s: float
    first_token_ratio: float
    token_ratio: float
    file_bytes: int


@dataclass(frozen=True)
class Parity:
    """How far the exported model says what the checkpoint says.

    Attributes:
        logits: Largest difference between the fp32 graph and torch, as the export has measured.
        greedy: Share of prompts that both answer with the same 64 tokens; None where the export has not looked.
        perplexity: Of the bundle as served, as a multiple of the checkpoint's, on held-out answers.
        top_1: Share of target tokens on which both have the same best one.
        same_text: Whether template, tokeniser and the tokens that end an answer are those of the base model.
    """

    logits: float
    greedy: float | None
    perplexity: float
    top_1: float
    same_text: bool


@dataclass(frozen=True)
class Preference:
    """Whether answers that people liked are preferred to those that they did not.

    Attributes:
        auc: Probability that a liked one has the larger margin over the base model than a disliked one.
    """

    auc: float
    num_good: int
    num_bad: int


@dataclass(frozen=True)
class Figures:
    """Everything that was measured of one bundle version.

    Attributes:
        held_out: By conversation, in the frozen test; under names that tell nothing, see `losses.name_of`.
        anchor: By prompt, likewise, on answers of the base model to general questions.
        hits_at_1: How often the true reply is preferred to nine others; `num_ranked` is of how many.
        checkpoint_held_out: Of the checkpoint in torch, on the same conversations; empty where there is none.
        samples: A few prompts and answers of the model's own, to be shown; nothing that people said.
    """

    version: str
    held_out: Mapping[str, Loss]
    anchor: Mapping[str, Loss]
    hits_at_1: float
    num_ranked: int
    health: Health
    exposure: Exposure
    serving: Serving
    parity: Parity | None = None
    preference: Preference | None = None
    checkpoint_held_out: Mapping[str, Loss] = field(default_factory=dict)
    samples: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `to_json`."""
        losses = {
            name: {key: Loss(**loss) for key, loss in row[name].items()}
            for name in ("held_out", "anchor", "checkpoint_held_out")
        }
        parts = {
            "health": Health(**row["health"]),
            "exposure": Exposure(**row["exposure"]),
            "serving": Serving(**row["serving"]),
            "parity": Parity(**row["parity"]) if row["parity"] else None,
            "preference": Preference(**row["preference"]) if row["preference"] else None,
            "samples": tuple((question, answer) for question, answer in row["samples"]),
        }
        return cls(**{**row, **losses, **parts})
