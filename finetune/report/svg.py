"""Makes an SVG document of matplotlib's into an element that can stand inside an HTML page.

Knows nothing of what is drawn.
"""

import re
from xml.etree import ElementTree as ET


def inline(document: str) -> str:
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
