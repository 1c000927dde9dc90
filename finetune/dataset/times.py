"""Which times are believed.

Exports come with clocks that were never set, and with whatever somebody has written into them; one import from the
year 9999 would be the newest for ever, and all of validation. Knows nothing of sources.
"""

# 1990: before the first of the protocols that exports come from. 2100: a fixed day, as the same chats have to give the
# same dataset whenever it is made. In milliseconds since 1970.
NOT_BEFORE_MS = 631_152_000_000
BEFORE_MS = 4_102_444_800_000


def believed(sent_at_ms: int | None) -> int | None:
    """A time, or None if it is none that a chat can have."""
    if sent_at_ms is None or not NOT_BEFORE_MS <= sent_at_ms < BEFORE_MS:
        return None
    return sent_at_ms
