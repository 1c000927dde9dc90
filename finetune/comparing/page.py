"""The page of a comparison as HTML: an item, the end, or the result; everything that is foreign is escaped.

It works without scripts; the only one that it has presses buttons by keys. Knows how things are laid out, and nothing
of requests. Before the end nothing that would tell which model is which is handed to the template.
"""

from dataclasses import dataclass
from functools import cache

import jinja2

from finetune.comparing.blinding import Choice
from finetune.comparing.judging import Judging
from finetune.comparing.votes import Outcome


@dataclass(frozen=True)
class _Button:
    """One thing to say; `keys` as JavaScript calls them."""

    choice: Choice
    label: str
    keys: str


_BUTTONS = (
    _Button(Choice.LEFT, "Left is better", "1 ArrowLeft"),
    _Button(Choice.RIGHT, "Right is better", "2 ArrowRight"),
    _Button(Choice.SAME, "Just as good", "3"),
    _Button(Choice.BAD, "Both are bad", "4"),
    _Button(Choice.SKIP, "Skip", "5"),
)
_SAID = {
    Outcome.WIN: "better",
    Outcome.LOSS: "worse",
    Outcome.TIE: "just as good",
    Outcome.BOTH_BAD: "both bad",
    Outcome.SKIP: "skipped",
    None: "not judged",
}


def render(judging: Judging, nonce: str) -> str:
    """The page as it is now: the next item, or the end of the sitting, or, once it is over, the result.

    Args:
        nonce: What the response's policy allows this page's style and script by.

    Raises:
        StoreError: The votes of the result cannot be read.
    """
    html = _environment().get_template("page.html.jinja").render(nonce=nonce, **_shown(judging))
    # A response in UTF-8 cannot hold a lone surrogate, which JSON can.
    return html.encode("utf-8", "replace").decode("utf-8")


def _shown(judging: Judging) -> dict[str, object]:
    if judging.is_over:
        version, against = judging.versions
        judged = [(each.pair, _SAID[each.outcome]) for each in judging.reveal()]
        return {"result": judging.result(), "version": version, "against": against, "judged": judged}
    return {
        "result": None,
        "total": judging.total,
        "last": judging.last,
        "item": judging.next(),
        "buttons": _BUTTONS,
    }


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("finetune.comparing", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return environment
