"""Whom a message speaks to: the people named at its start.

Knows nothing of how names are found in texts (`names` does), nor of who answers whom.
"""

import re

from engine.speakers import Called
from finetune.message import SourceMessage

_BETWEEN = re.compile(r"[\s,;&+/@]*|\s*,?\s*and\s+")


def addressed(message: SourceMessage) -> tuple[str, ...]:
    """The authors who are named before anything else is said, without the message's own; mostly none or one."""
    authors: dict[str, None] = {}
    for piece in message.pieces:
        if isinstance(piece, Called):
            authors[piece.speaker] = None
        elif not _BETWEEN.fullmatch(piece):
            break
    authors.pop(message.author, None)
    return tuple(authors)


def mentioned(message: SourceMessage) -> tuple[str, ...]:
    """The authors who are named anywhere, without the message's own."""
    authors = dict.fromkeys(piece.speaker for piece in message.pieces if isinstance(piece, Called))
    authors.pop(message.author, None)
    return tuple(authors)
