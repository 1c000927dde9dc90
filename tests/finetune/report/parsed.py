"""What a browser would make of a page of ours."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br"}


class Page(HTMLParser):
    """What a browser would make of it: the tags with their attributes, and the text, apart."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        (self.styles if self._open and self._open[-1] == "style" else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def with_tag(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def assert_loads_nothing(page: Page) -> None:
    """Nothing is loaded, run or sent, and no link leads out."""
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "image", "iframe", "object", "embed", "base", "form", "audio", "video"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert name not in {"src", "srcset", "action", "background", "poster", "xlink:href"}, tag
            assert not name.startswith("on"), (tag, name)
            assert name != "href" or (value or "").startswith("#"), value
            assert not re.search(r"url\((?!#)", value or ""), value
            assert "//" not in (value or ""), value
    assert not re.search(r"url\(|@import|//", " ".join(page.styles))
