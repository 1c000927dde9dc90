"""Conversations that a source has divided itself: dialogues, and what the bot's own log knows.

Nothing is inferred: each message answers what the source says, or the one before it. Knows nothing of group chats.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from finetune.conversation import Conversation, LinkKind, Turn
from finetune.message import SourceMessage


def divided(messages: Iterable[SourceMessage]) -> list[Conversation]:
    """The conversations of messages that all name theirs, in the order of their first messages."""
    groups: dict[str, list[SourceMessage]] = {}
    for message in messages:
        assert message.conversation is not None
        groups.setdefault(message.conversation, []).append(message)
    return [_conversation(group) for group in groups.values()]


def _conversation(messages: Sequence[SourceMessage]) -> Conversation:
    answered = _answered(messages)
    ordered = list(_in_order(messages, answered))
    numbers: dict[str, int] = {}
    turns: list[Turn] = []
    for message in ordered:
        parent = numbers.get(answered[message.id] or "")
        numbers[message.id] = len(turns)
        turns.append(turn_of(message, parent, LinkKind.ROOT if parent is None else LinkKind.SOURCE))
    return conversation_of(ordered, turns)


def _answered(messages: Sequence[SourceMessage]) -> dict[str, str | None]:
    """The id of what each message answers, which may be missing."""
    before = [None, *(message.id for message in messages)]
    return {m.id: m.reply_to if m.reply_to is not None else b for m, b in zip(messages, before, strict=False)}


def _in_order(messages: Sequence[SourceMessage], answered: Mapping[str, str | None]) -> Iterator[SourceMessage]:
    """Each after what it answers, otherwise as they come: a bot may be asked again while it writes an answer.

    Where links go round in a ring, one of them leads nowhere.
    """
    known = {message.id: message for message in messages}
    placed: set[str] = set()
    for message in messages:
        chain: list[SourceMessage] = []
        at: SourceMessage | None = message
        while at is not None and at.id not in placed:
            placed.add(at.id)
            chain.append(at)
            at = known.get(answered[at.id] or "")
        yield from reversed(chain)


def turn_of(message: SourceMessage, parent: int | None, link: LinkKind) -> Turn:
    """A message as a turn of its conversation."""
    return Turn(
        ids=(message.id,),
        author=message.author,
        pieces=message.pieces,
        parent=parent,
        link=link,
        sent_at_ms=message.sent_at_ms,
        role=message.role,
        kind=message.kind,
        is_bot=message.is_bot,
        ratings=message.ratings,
        model_version=message.model_version,
    )


def conversation_of(messages: Sequence[SourceMessage], turns: Sequence[Turn]) -> Conversation:
    """Turns of the messages of one conversation as that."""
    first = messages[0]
    return Conversation(
        key=first.id,
        source=first.source,
        platform=first.platform,
        chat=first.chat,
        turns=tuple(turns),
        is_shared=any(message.is_shared for message in messages),
    )
