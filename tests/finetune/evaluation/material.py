"""Invented held-out conversations and ratings, small enough for tiny models."""

import random

from finetune.dataset.example import Example, ExampleMessage, Label
from tests.finetune.dataset.dialogues import sentence

PERSONA = ExampleMessage("system", "You are a bot.")


def example(number: int, *, source: str = "chats") -> Example:
    """A conversation of two questions and two answers, unlike any of another number."""
    rng = random.Random(f"{source} {number}")
    said = [sentence(rng, 4) for _ in range(4)]
    messages = (
        PERSONA,
        ExampleMessage("user", said[0]),
        ExampleMessage("assistant", said[1], 1.0),
        ExampleMessage("user", said[2]),
        ExampleMessage("assistant", said[3], 1.0),
    )
    return Example(f"{source}:{number}:3", f"{source}:{number}", source, messages)


def question(number: int, *, source: str = "anchor") -> Example:
    """A general question with an answer."""
    rng = random.Random(f"{source} {number}")
    messages = (
        PERSONA,
        ExampleMessage("user", f"{sentence(rng, 5)}?"),
        ExampleMessage("assistant", sentence(rng, 5), 1.0),
    )
    return Example(f"{source}:{number}", f"{source}:{number}", source, messages)


def label(number: int, *, is_good: bool) -> Label:
    """A rated answer."""
    *prompt, answer = question(number, source="rated").messages
    return Label(f"l{number}", f"rated:{number}", tuple(prompt), answer.content, is_good, ("ann",))
