"""A drawing: SVG to stand inside an HTML page, or PNG to stand anywhere, from the same strokes of matplotlib's.

Text stays text in SVG, colours that a dark page needs otherwise are left to the page's style, and the same drawing has
the same bytes, whatever matplotlib settings its user has. Knows nothing of what is drawn.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from finetune.report.svg import inline

_SETTINGS: dict[Any, Any] = {  # matplotlib's types want each key literally
    "text.parse_math": False,  # a foreign "$" is no formula
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": "#888888",
    "axes.axisbelow": True,
    "grid.color": "#888888",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.dpi": 72,  # then a point is a pixel
    "savefig.dpi": 72,
    "savefig.transparent": True,
}
# Without these there is no RDF block, whose addresses are no links but read as such.
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_PNG_DPI = 144  # two pixels to a point: sharp on the screens of today
_TITLE_PX = 26


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn, and how large.

    Attributes:
        name: Sets its ids apart from those of other drawings on the page; any text.
        paint: Puts something on an empty figure.
        width_px: In the page's pixels; letters have 12. `height_px` likewise.
    """

    name: str
    paint: Callable[[Figure], None]
    width_px: float
    height_px: float

    def svg(self) -> str:
        """An `<svg>` element for an HTML page; it has no size, only proportions."""
        written = io.StringIO()
        with _figure(self.width_px, self.height_px, {"svg.hashsalt": self.name}) as figure:
            self.paint(figure)
            figure.savefig(written, format="svg", metadata=_NO_METADATA)
        return inline(written.getvalue())

    def png(self, title: str) -> bytes:
        """A PNG file on white, with a title, as it has no page around it."""
        written = io.BytesIO()
        with _figure(self.width_px, self.height_px + _TITLE_PX, {"savefig.transparent": False}) as figure:
            figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=14, fontweight="bold")
            self.paint(figure)
            figure.savefig(written, format="png", dpi=_PNG_DPI, metadata={"Software": None})
        return written.getvalue()


@contextmanager
def _figure(width_px: float, height_px: float, settings: dict[Any, Any]) -> Iterator[Figure]:
    """An empty figure, and our settings in place of the user's as long as the block lasts."""
    with mpl.rc_context(), warnings.catch_warnings():
        # matplotlib measures with its own font, which lacks what the reader's browser has.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS | settings)
        yield Figure(figsize=(width_px / 72, height_px / 72), layout="constrained")
