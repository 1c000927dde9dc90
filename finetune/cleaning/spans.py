"""Where in a text something was found, and which find counts where two overlap. Knows nothing of what is looked for."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is of this type."""

    type: str
    start: int
    end: int


def without_overlaps(spans: Iterable[Span], order: tuple[str, ...]) -> tuple[Span, ...]:
    """The longest of those that overlap, in the order of the text; of two as long, the type that `order` has first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, order.index(span.type), span.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return tuple(sorted(kept, key=lambda span: span.start))
