"""How templates of pages are found and filled in: strictly, with everything that is foreign escaped.

A page of any package of ours may build on `frame.html.jinja` and `parts.html.jinja`, which stand beside this module.
Knows nothing of what is on a page.
"""

import jinja2
from markupsafe import Markup

from finetune.report.drawing import Drawing
from finetune.report.wording import count, plain, plural, printable, ranked, share


def environment(package: str) -> jinja2.Environment:
    """Jinja for the templates of a package, and those that all pages share."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, "") for name in (package, "finetune.report")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=count, share=share, ranked=ranked, plural=plural, plain=plain, printable=printable, svg=_svg
    )
    return environment


def _svg(drawing: Drawing) -> Markup:
    return Markup(drawing.svg())  # noqa: S704 - drawn and escaped by finetune.report.drawing
