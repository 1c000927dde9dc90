"""Held-out bits per byte: how many bits a model needs for each byte of what is to be said.

The negative log-likelihood of the words of answers, divided by the bytes that they have as UTF-8; the marks that a
template puts around them count in neither. Unlike perplexity it can be compared between tokenisers. Knows nothing of
what is good or bad.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from finetune.dataset.example import Example
from finetune.dataset.rendering import Renderer
from finetune.evaluation.figures import Loss
from finetune.evaluation.scoring import Scorer
from finetune.message import LOG


def loss_of(
    scorer: Scorer, renderer: Renderer, examples: Iterable[Example], on_done: Callable[[], None] = lambda: None
) -> dict[str, Loss]:
    """What a model needs for the answers of each conversation, by `name_of` it.

    Args:
        on_done: Called after each example.

    Raises:
        TooLongError: An example does not fit into the model's context.
        RenderingError: The model's template does not render an example.
        ChatTemplateError: It refuses one.
    """
    found: defaultdict[str, list[Loss]] = defaultdict(list)
    for example in examples:
        found[name_of(example.conversation)].append(_loss(scorer, renderer, example))
        on_done()
    return {conversation: total(losses) for conversation, losses in found.items()}


def name_of(conversation: str) -> str:
    """What a conversation is called in figures, which lie there in the clear: its key may hold the name of a chat.

    The same in each run, for each model. That one comes from the chat log still shows.
    """
    name = order(conversation)[0].hex()
    return f"{LOG}:{name}" if conversation.startswith(f"{LOG}:") else name


def total(losses: Iterable[Loss]) -> Loss:
    """The sum of some losses."""
    kept = list(losses)
    return Loss(
        math.fsum(loss.nats for loss in kept), sum(loss.bytes for loss in kept), sum(loss.tokens for loss in kept)
    )


def bits_per_byte(losses: Iterable[Loss]) -> float:
    """Bits per byte of all of them together; NaN if they have no byte."""
    loss = total(losses)
    return loss.nats / math.log(2) / loss.bytes if loss.bytes else math.nan


def chosen(examples: Iterable[Example], number: int) -> list[Example]:
    """The examples of so many conversations, in the order that they came in.

    By hash of the conversation, so that of more data of the same kind most of the same ones are chosen.
    """
    kept = list(examples)
    conversations = sorted({example.conversation for example in kept}, key=order)[:number]
    wanted = frozenset(conversations)
    return [example for example in kept if example.conversation in wanted]


def order(key: str) -> tuple[bytes, str]:
    """Sorts keys as if by chance, and always alike."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), key


def _loss(scorer: Scorer, renderer: Renderer, example: Example) -> Loss:
    encoded = renderer.encode(example.messages)
    places = renderer.word_places(encoded)
    nats = scorer.score(encoded.ids, places).nats
    return Loss(float(nats.sum()), _bytes(example.targets), len(places))


def _bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
