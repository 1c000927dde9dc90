"""How much worse the champion knows what is said to the bot now than what was said when it was promoted.

Only the chat log is compared, with itself: a model that has learnt from imports needs other figures for them, whatever
people say today. Loads the model; knows nothing of what follows from the figure.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bots.chatlog import ChatLog
from engine.bundle import Bundle
from finetune import logged
from finetune.dataset.example import Example
from finetune.dataset.examples import ExampleMaker
from finetune.dataset.rendering import Renderer
from finetune.evaluation.figures import Loss
from finetune.evaluation.losses import bits_per_byte, chosen, loss_of
from finetune.evaluation.scoring import Scorer, SessionScorer
from finetune.flywheel.folder import RunFolder
from finetune.installation import Installation
from finetune.message import LOG
from finetune.schedule import recent

# With fewer, a difference cannot be told from luck.
MIN_TARGETS = 30
# Of the default model, a minute on two cores.
MAX_CONVERSATIONS = 100
PROMOTED = "challenger"  # what the champion was when its run measured it


async def measured(at: Installation, log: ChatLog, champion: Bundle, since: datetime) -> float | None:
    """How many more bits per byte the champion needs for what was said since, as a share of those that it needed.

    Args:
        champion: A model of ours.
        since: After it was trained: what it has learnt itself says nothing.

    Returns:
        Below 0 if it needs fewer; None if there is too little on either side.
    """
    assert champion.manifest.training is not None
    figures = RunFolder(at.finetune.trainings / champion.manifest.training.run).figures(PROMOTED)
    before = [] if figures is None else of_log(figures.held_out)
    renderer, limit = Renderer.open(champion), at.finetune.max_example_tokens
    messages = recent.since([message async for message in logged.messages(log)], since)
    lately = chosen(recent.examples_of(messages, ExampleMaker(renderer, at.finetune.persona, limit)), MAX_CONVERSATIONS)
    if not is_enough(before, lately):
        return None
    engine = at.engine
    scorer = SessionScorer.open(champion, provider=engine.provider, threads=engine.threads, length=limit)
    return drift(scorer, renderer, lately, before)


def of_log(held_out: Mapping[str, Loss]) -> list[Loss]:
    """What was needed for conversations of the chat log."""
    return [loss for key, loss in held_out.items() if key.startswith(f"{LOG}:")]


def is_enough(before: Sequence[Loss], lately: Sequence[Example]) -> bool:
    """Whether both sides have so much that a difference means something."""
    return len(before) >= MIN_TARGETS and sum(len(example.targets) for example in lately) >= MIN_TARGETS


def drift(scorer: Scorer, renderer: Renderer, lately: Iterable[Example], before: Iterable[Loss]) -> float | None:
    """How many more bits per byte some examples need than was needed before; None if that is no number."""
    found = bits_per_byte(loss_of(scorer, renderer, lately).values()) / bits_per_byte(before) - 1
    return found if math.isfinite(found) else None
