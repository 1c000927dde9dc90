"""Conversations from links: what hangs together, cut where a conversation would go on for ever.

Knows nothing of how links are found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.conversation import LinkKind
from finetune.message import SourceMessage
from finetune.threads.linking import Link

LONGEST_TREE = 200  # messages; one wrong link a day would else make one conversation of a whole chat, and of its split
LONGEST_PAUSE_MS = 24 * 3600 * 1000  # nobody remembers what was said without a look at it


@dataclass(frozen=True, slots=True)
class Tree:
    """The messages of one conversation.

    Attributes:
        numbers: Which of the chat's messages, ascending; the first is the root.
        parents: For each of `numbers`, the place in `numbers` of what it answers; None at the root alone.
    """

    numbers: tuple[int, ...]
    parents: tuple[int | None, ...]


def trees(messages: Sequence[SourceMessage], links: Sequence[Link]) -> list[Tree]:
    """The conversations of one chat, by their first messages; each message is in one.

    Where a link is inferred and would make a conversation longer than `LONGEST_TREE`, or answer after more than
    `LONGEST_PAUSE_MS`, the message starts another. Replies are never cut: their writers saw what they answer.
    """
    numbers = {message.id: number for number, message in enumerate(messages)}
    groups: list[list[int]] = []  # for each message, the conversation that it is in
    parents: list[int | None] = []
    for number, link in enumerate(links):
        parent = None if link.parent is None else numbers[link.parent]
        if parent is not None and link.kind is not LinkKind.REPLY:
            is_cut = len(groups[parent]) >= LONGEST_TREE or _pause_ms(messages, parent, number) > LONGEST_PAUSE_MS
            parent = None if is_cut else parent
        group = [] if parent is None else groups[parent]
        group.append(number)
        groups.append(group)
        parents.append(parent)
    return [_tree(group, parents) for number, group in enumerate(groups) if group[0] == number]


def _pause_ms(messages: Sequence[SourceMessage], earlier: int, later: int) -> int:
    before, after = messages[earlier].sent_at_ms, messages[later].sent_at_ms
    return 0 if before is None or after is None else after - before


def _tree(group: Sequence[int], parents: Sequence[int | None]) -> Tree:
    places = {number: place for place, number in enumerate(group)}
    return Tree(
        numbers=tuple(group),
        parents=tuple(None if (parent := parents[number]) is None else places[parent] for number in group),
    )
