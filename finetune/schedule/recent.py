"""What was said to the bot lately, as examples: by the rules of datasets, without those that compare many of them.

Knows nothing of models or files.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from finetune.cleaning import normalise, turns
from finetune.cleaning.messages import redacted, without_secrets
from finetune.conversation import Conversation
from finetune.dataset import quality, voices
from finetune.dataset.example import Example
from finetune.dataset.examples import ExampleMaker
from finetune.gathering import by_chat, in_order
from finetune.message import SourceMessage
from finetune.threads import conversations, names


def examples_of(messages: Iterable[SourceMessage], maker: ExampleMaker) -> Iterator[Example]:
    """The examples of some messages, cleaned as in a dataset; duplicates stay, and nobody's share is limited."""
    for conversation in _conversations(messages):
        yield from (made.example for made in maker.make(conversation)[0])


def since(messages: Iterable[SourceMessage], start: datetime) -> Iterator[SourceMessage]:
    """The messages of all conversations in which something was said from a time on."""
    kept = list(messages)
    start_ms = start.timestamp() * 1000
    alive = {message.conversation for message in kept if (message.sent_at_ms or 0) >= start_ms}
    return (message for message in kept if message.conversation in alive)


def _conversations(messages: Iterable[SourceMessage]) -> Iterator[Conversation]:
    for chat in by_chat(in_order(_cleaned(messages))):
        for found in conversations.find(list(names.call_names(chat))):
            voiced, _ = voices.voiced(found)
            joined, _ = turns.cleaned(voiced)
            worthy = joined and quality.check(joined)[0]
            if worthy is not None:
                yield worthy


def _cleaned(messages: Iterable[SourceMessage]) -> Iterator[SourceMessage]:
    for message in messages:
        if (cleaned := _passed_on(message)) is not None:
            yield cleaned


def _passed_on(message: SourceMessage) -> SourceMessage | None:
    found: SourceMessage | None = message
    for step in (normalise.normalised, without_secrets, redacted):
        if found is None:
            return None
        found, _ = step(found)
    return found
