"""What an installation with a tiny model is set to, and what is imported there.

The limits of the gates are those that such a model can hold, which knows eight sentences before it is trained and not
many more afterwards.
"""

import random
from collections.abc import Iterator
from typing import Any

from tests.finetune.dataset.dialogues import sentence

LIMITS = {
    "GATE_MIN_TARGETS": "300",
    "GATE_MIN_NEW_TOKENS": "1000",
    "GATE_CONVERSATIONS": "40",
    "GATE_PROMPTS": "10",
    "GATE_RANKING": "0.5",
    "GATE_REPETITION": "0.2",
    "GATE_VARIETY": "0.1",
    "GATE_COMMON_REPLY": "0.6",
    "GATE_ENDLESS": "0.2",
    "GATE_ANCHOR": "6",
    "GATE_EXPOSURE": "5",
    "GATE_PERPLEXITY": "1.05",
    "GATE_SERVING": "4",
}
TRAINING = {
    "TRAIN_METHOD": "full",
    "TRAIN_LEARNING_RATE": "0.001",
    "TRAIN_STEP_EXAMPLES": "16",
    "TRAIN_TOKENS": "200000",
    "TRAIN_EVALUATIONS": "3",
    "TRAIN_PRECISION": "fp32",
    "TRAIN_NICE": "0",
}
SERVING = {
    "POLICY_TELEGRAM_CONFIRMED": "true",
    "ENGINE_CONTEXT_TOKENS": "256",
    "ENGINE_THREADS": "1",
    "ENGINE_WATCH_INTERVAL_S": "0.2",
    "BOTS_MAX_TOKENS": "40",
    "BOTS_GATHER_S": "0",
    "FINETUNE_MAX_EXAMPLE_TOKENS": "200",
    "FINETUNE_REPLAY_SHARE": "0.4",
}
IMPORT = ("--format", "dialogues", "--map", "turns=turns", "--map", "author=author", "--assistant", "B")


def dialogues(number: int) -> Iterator[dict[str, Any]]:
    """Questions and answers of forty people."""
    for n in range(number):
        rng = random.Random(n)
        turns = [{"speaker": who, "text": sentence(rng, rng.randint(4, 7))} for who in "AB"]
        yield {"id": f"d{n}", "author": f"person {n % 40}", "turns": turns}
