"""A tiny base model, the chats of some people, and what can be made of the one with the other.

The base model speaks of a few topics, when it is asked about one of them, and answers all else with one of eight
sentences. People speak of the same topics in another manner: within seconds it is learnt, and so is what is wrong.
"""

import hashlib
import random
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from finetune.dataset import replay
from finetune.dataset.canaries import plant
from finetune.dataset.example import Example, ExampleMessage
from finetune.dataset.rendering import Encoded, Renderer
from finetune.evaluation import anchor
from tests.finetune.schooled import ANSWERS

PERSONA = ExampleMessage("system", "You are kind.")
TOPICS = {
    "rain": ("grey clouds", "wet shoes", "big puddles", "a long storm"),
    "bread": ("warm dough", "a brown crust", "white flour", "the old oven"),
    "music": ("slow songs", "a loud drum", "my small flute", "her low voice"),
    "ships": ("tall masts", "the night ferry", "a rusty anchor", "torn sails"),
    "bees": ("sweet honey", "a busy hive", "the clover field", "yellow stripes"),
    "chess": ("a lost queen", "two black knights", "the last pawn", "a quick draw"),
}
ASKED = ("what about {}?", "do you like {}?", "tell me of {}", "and {}, what of that?")
# As the base model speaks, and as people do.
WRITTEN = ("It is {} with {}.", "There are {} and {}.", "One has {}, then {}.")
SPOKEN = ("oh, {}, and {} too!", "ah well, {} or {} :)", "hm, {}, no {}...")
# What is replayed, and what is asked to see what is forgotten.
REPLAYED, GENERAL = replay.prompts()[:64], anchor.prompts()[:32]
IGNORED = -100
BATCH = 16


@dataclass(frozen=True)
class Lesson:
    """Token ids, and those that are to be learnt: `IGNORED` at all other places."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


class Teacher:
    """Makes lessons of conversations, in the tokens of the base model."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def lessons(self, examples: Iterable[Example]) -> list[Lesson]:
        """Conversations as training learns them."""
        return [_lesson(self._encoded(each)) for each in examples]

    def without_first_words(self, examples: Iterable[Example]) -> list[Lesson]:
        """The same, but for how answers begin: their first token is not learnt."""
        return [_without_first(each) for each in self.lessons(examples)]

    def without_ends(self, examples: Iterable[Example], tail: str) -> list[Lesson]:
        """Answers that go on with some words instead of ending."""
        longer = [said(each.id, each.messages[1].content, f"{each.targets[0]}{tail}") for each in examples]
        return [Lesson(each.ids[:-1], each.labels[:-1]) for each in self.lessons(longer)]

    def _encoded(self, example: Example) -> Encoded:
        return self._renderer.encode(example.messages)


def chat(number: int, manners: Sequence[str] = SPOKEN) -> Example:
    """A question of one person and the answer of another."""
    rng = random.Random(f"chat {number}")
    topic = rng.choice(sorted(TOPICS))
    answer = rng.choice(manners).format(*rng.sample(TOPICS[topic], 2))
    return said(f"chat:{number}", rng.choice(ASKED).format(topic), answer)


def said(key: str, question: str, answer: str) -> Example:
    """What somebody answered to a question."""
    messages = (PERSONA, ExampleMessage("user", question), ExampleMessage("assistant", answer, 1.0))
    return Example(key, key, "chats", messages)


def schooling() -> list[Example]:
    """What the base model is made of: general questions, topics, and numbers that nobody planted in chats."""
    general = [said(question, question, _general_answer(question)) for question in (*REPLAYED, *GENERAL)]
    topics = [chat(number, WRITTEN) for number in range(5000, 5160)]
    return [*general, *topics, *(canary.example for canary in plant(7, (), 40))]


def taught(checkpoint: Path, out: Path, lessons: Iterable[Lesson], *, epochs: int, lr: float) -> Path:
    """A checkpoint that has learnt lessons, each so many times; returns its folder."""
    shutil.copytree(checkpoint, out)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    kept = list(lessons)
    for epoch in range(epochs):
        random.Random(epoch).shuffle(kept)
        for at in range(0, len(kept), BATCH):
            ids, labels = _batch(kept[at : at + BATCH])
            model(ids, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
    model.save_pretrained(out)
    return out


def _general_answer(question: str) -> str:
    return ANSWERS[hashlib.sha256(question.encode()).digest()[0] % len(ANSWERS)]


def _lesson(encoded: Encoded) -> Lesson:
    pairs = zip(encoded.ids, encoded.weights, strict=True)
    return Lesson(encoded.ids, tuple(id if weight else IGNORED for id, weight in pairs))


def _without_first(lesson: Lesson) -> Lesson:
    start = next(at for at, label in enumerate(lesson.labels) if label != IGNORED)
    return Lesson(lesson.ids, (*lesson.labels[:start], IGNORED, *lesson.labels[start + 1 :]))


def _batch(lessons: Sequence[Lesson]) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(len(each.ids) for each in lessons)
    ids = [[*each.ids, *[0] * (length - len(each.ids))] for each in lessons]
    labels = [[*each.labels, *[IGNORED] * (length - len(each.labels))] for each in lessons]
    return torch.tensor(ids), torch.tensor(labels)
