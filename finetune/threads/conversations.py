"""The conversations of one chat: those that its source knows, or those that follow from who answers whom.

Knows nothing of how links are found.
"""

from collections.abc import Sequence

from finetune.conversation import Conversation
from finetune.message import SourceMessage
from finetune.threads.divided import conversation_of, divided, turn_of
from finetune.threads.linking import link
from finetune.threads.trees import trees

VERSION = 1  # of all that decides who answers whom


def find(messages: Sequence[SourceMessage]) -> list[Conversation]:
    """The conversations of one chat, whose messages are in order of time; by their first messages."""
    known = [message for message in messages if message.conversation is not None]
    others = [message for message in messages if message.conversation is None]
    return [*divided(known), *_inferred(others)]


def _inferred(messages: Sequence[SourceMessage]) -> list[Conversation]:
    conversations = []
    links = link(messages)
    for tree in trees(messages, links):
        members = [messages[number] for number in tree.numbers]
        kinds = [links[number].kind for number in tree.numbers]
        turns = [
            turn_of(message, parent, kind) for message, parent, kind in zip(members, tree.parents, kinds, strict=True)
        ]
        conversations.append(conversation_of(members, turns))
    return conversations
