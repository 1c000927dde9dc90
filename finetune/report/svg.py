"""Draws with matplotlib and gives back SVG that can stand inside an HTML page.

Text stays text, colours that a dark page needs otherwise are left to the page's style, and the same drawing has the
same bytes, whatever matplotlib settings its user has. Knows nothing of what is drawn.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure

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


def draw(name: str, paint: Callable[[Figure], None], width_px: float, height_px: float) -> str:
    """An `<svg>` element for an HTML page; it has no size, only proportions.

    Args:
        name: Sets its ids apart from those of other drawings on the page; any text.
        paint: Puts something on an empty figure.
    """
    written = io.StringIO()
    with mpl.rc_context(), warnings.catch_warnings():
        # matplotlib measures with its own font, which lacks what the reader's browser has.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS | {"svg.hashsalt": name})
        figure = Figure(figsize=(width_px / 72, height_px / 72), layout="constrained")
        paint(figure)
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    return _inline(written.getvalue())


def _inline(document: str) -> str:
    """The document's root without what HTML does not need: doctype, namespaces, metadata, style, size, unused ids."""
    root = ET.fromstring(document)  # noqa: S314 - matplotlib has just written it
    used = set(re.findall(r"#([\w-]+)", document))
    for element in root.iter():
        for child in list(element):
            if _local(child.tag) in {"metadata", "style"}:
                element.remove(child)
        element.tag = _local(element.tag)
        attributes = {_local(name): value for name, value in element.attrib.items()}
        if attributes.get("id") not in used:
            attributes.pop("id", None)
        element.attrib.clear()
        element.attrib.update(attributes)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    return ET.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]
