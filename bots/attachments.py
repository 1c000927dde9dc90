"""Files that come with a message: text is read, anything else stays what it is called.

Knows nothing of how a platform hands files out.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from bots.adapter import Adapter
from bots.errors import BotError
from bots.message import Attachment, Segment

logger = logging.getLogger(__name__)

READ_BYTES = 4096
"""As much of a file as is read: about a thousand tokens, half of the default context."""

_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/x-yaml", "application/toml")
_TEXT_SUFFIXES = re.compile(
    r"\.(txt|md|rst|csv|tsv|json|ya?ml|toml|ini|cfg|log|xml|html?|css|js|ts|py|sh|sql|c|h|cpp|hpp|java|kt|go|rs|rb|php|"
    r"lua|pl|r|tex|diff|patch)$",
    re.IGNORECASE,
)


def is_text(attachment: Attachment) -> bool:
    """Whether a file says of itself that it is text."""
    return attachment.media_type.startswith(_TEXT_TYPES) or bool(_TEXT_SUFFIXES.search(attachment.name))


async def read_attachments(adapter: Adapter, segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The same segments, with what the text files among them say."""
    return tuple([await _read(adapter, s) if isinstance(s, Attachment) else s for s in segments])


async def _read(adapter: Adapter, attachment: Attachment) -> Attachment:
    if attachment.text is not None or not is_text(attachment):
        return attachment
    try:
        data = await adapter.read(attachment, READ_BYTES + 1)
    except BotError as exc:
        logger.info("an attachment could not be read: %s", exc)
        return attachment
    if b"\0" in data:
        return attachment  # not text, whatever it is called
    text = data[:READ_BYTES].decode("utf-8-sig", errors="replace")
    if len(data) > READ_BYTES:
        text = text.rstrip("\N{REPLACEMENT CHARACTER}") + "\n(the rest of the file was left out)"
    return replace(attachment, text=text)
