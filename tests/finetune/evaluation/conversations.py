"""Conversations for a tiny model, and a way to teach it some of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.rendering import Renderer

PERSONA = ExampleMessage("system", "You are kind.")
TOPICS = ("rain", "bread", "trains", "music", "cats", "ships", "tea", "snow", "chess", "bees", "maps", "soup", "clay")


def example(conversation: str, *said: tuple[str, str, float], id: str | None = None) -> Example:
    """Turns of role, text and weight."""
    messages = tuple(ExampleMessage(*turn) for turn in said)
    return Example(id or conversation, conversation, "talk", messages)


def asked_and_answered() -> list[Example]:
    """As many conversations as there are topics; each reply is about its topic, and about no other."""
    return [
        example(
            topic,
            ("system", PERSONA.content, 0.0),
            ("user", f"what about {topic}?", 0.0),
            ("assistant", f"the {topic} of number {number} is here", 1.0),
        )
        for number, topic in enumerate(TOPICS)
    ]


def taught(checkpoint: Path, renderer: Renderer, examples: Iterable[Example], steps: int) -> Any:
    """A tiny checkpoint after so many steps of plain training on all of some examples."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    encoded = [renderer.encode(each.messages) for each in examples]
    length = max(len(each.ids) for each in encoded)
    ids = torch.tensor([[*each.ids, *[0] * (length - len(each.ids))] for each in encoded])
    weights = torch.tensor([[*each.weights, *[0.0] * (length - len(each.ids))] for each in encoded])
    labels = torch.where(weights > 0, ids, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model


def log_probabilities(model: Any, ids: list[int]) -> Any:
    """[S, V] of the next token, by transformers, all of the text at once."""
    with torch.inference_mode():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1).numpy()
