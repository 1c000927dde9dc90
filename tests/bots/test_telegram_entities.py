import random
import re
from collections.abc import Callable
from itertools import combinations

import pytest
from telegram import MessageEntity

from bots.split import split
from bots.telegram.entities import Rendered, length, render, utf16_length
from tests.bots.test_split import is_all_of, some_markdown, some_noise

MENTION = re.compile(r"(?<!\w)@[A-Za-z0-9_]{2,}")
EMPHASIS = {"bold", "italic", "underline", "strikethrough", "spoiler"}


def units(text: str) -> bytes:
    return text.encode("utf-16-le")


def covered(rendered: Rendered, entity: MessageEntity) -> str:
    return units(rendered.text)[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le")


def marks(markdown: str) -> list[tuple[str, str]]:
    """The entities of a text by type and what they cover."""
    rendered = render(markdown)
    return [(str(entity.type), covered(rendered, entity)) for entity in rendered.entities]


def check(rendered: Rendered) -> None:
    """Fail unless Telegram takes it as it is; after "Formatting options" of the Bot API."""
    assert rendered.text == rendered.text.strip() or any(
        entity.type in {"pre", "code"} and entity.offset == 0 for entity in rendered.entities
    )
    size = len(units(rendered.text)) // 2
    assert len(rendered.entities) <= 100
    offsets = [(entity.offset, -entity.length) for entity in rendered.entities]
    assert offsets == sorted(offsets)
    for entity in rendered.entities:
        assert 0 <= entity.offset < entity.offset + entity.length <= size
        assert covered(rendered, entity).strip()  # decoding fails on half a character
        assert (entity.url is not None) == (entity.type == "text_link")
        assert entity.language is None or entity.type == "pre"
    for first, second in combinations(rendered.entities, 2):
        a, b = sorted([first, second], key=lambda entity: (entity.offset, -entity.length))
        if b.offset >= a.offset + a.length:
            continue
        assert b.offset + b.length <= a.offset + a.length, "one has to contain the other"
        kinds = {str(a.type), str(b.type)}
        assert len(kinds) == 2, "nothing contains its own kind"
        if kinds & {"pre", "code"}:
            assert "blockquote" in kinds, "code stands alone, or in a quote"
            if a.type in {"pre", "code"}:
                assert a.length == b.length
        if not kinds & (EMPHASIS | {"blockquote"}):
            raise AssertionError(f"{kinds} may not contain each other")
    outside = list(rendered.text)
    for entity in rendered.entities:
        if entity.type in {"pre", "code"}:
            begin = len(units(rendered.text)[: 2 * entity.offset].decode("utf-16-le"))
            inside = covered(rendered, entity)
            outside[begin : begin + len(inside)] = ["\n"] * len(inside)
    assert not MENTION.search("".join(outside))


@pytest.mark.parametrize("write", [some_markdown, some_noise])
def test_any_text_is_rendered_as_telegram_takes_it(write: Callable[[random.Random], str]) -> None:
    for seed in range(600):
        rng = random.Random(seed)
        text = write(rng)
        check(render(text))
        check(render(text[: rng.randrange(len(text))]))
        assert length(text) == len(units(render(text).text)) // 2


@pytest.mark.parametrize("write", [some_markdown, some_noise])
def test_parts_of_any_text_fit_and_lose_nothing(write: Callable[[random.Random], str]) -> None:
    for seed in range(200):
        text = write(random.Random(seed))
        parts = split(text, 150, length)
        assert all(0 < length(part) <= 150 for part in parts)
        assert is_all_of(text, parts), seed


def test_emphasis_becomes_entities() -> None:
    assert render("**a** *b* ~~c~~ `d`").text == "a b c d"
    assert marks("**a** *b* ~~c~~ `d`") == [("bold", "a"), ("italic", "b"), ("strikethrough", "c"), ("code", "d")]


def test_offsets_count_utf16_units() -> None:
    (entity,) = render("👩🏽\u200d🚀 **שלום 👍🏽** x").entities
    assert (entity.offset, entity.length) == (8, 9)


def test_emphasis_does_not_contain_code() -> None:
    assert marks("**a `b` *c `d`***") == [
        *[("bold", "a "), ("code", "b"), ("bold", " c "), ("italic", "c "), ("code", "d")]
    ]
    assert marks("[a `b`](http://c.d)") == [("text_link", "a b")]


def test_a_heading_is_bold_and_not_twice() -> None:
    assert marks("## A **b** *c*\ntext") == [("bold", "A b c"), ("italic", "c")]


def test_a_fence_is_code_with_its_language() -> None:
    (entity,) = render("```python\n    x = 1\n\n```").entities
    assert (entity.type, entity.language, entity.offset, entity.length) == ("pre", "python", 0, 9)
    assert render("```python\n    x = 1\n\n```").text == "    x = 1"


def test_lists_have_bullets_numbers_and_indentation() -> None:
    text = "- a\n  more\n  - b\n    - c\n- d\n\n3. x\n4. y\n   - z"
    assert render(text).text == "• a\n  more\n  ◦ b\n    ▪ c\n• d\n\n3. x\n4. y\n   ◦ z"


def test_code_in_a_list_keeps_its_own_indentation_only() -> None:
    text = "- a\n  - b\n    ```py\n    if x:\n        y\n    ```\n    c"
    assert render(text).text == "• a\n  ◦ b\nif x:\n    y\n    c"
    assert marks(text) == [("pre", "if x:\n    y")]


def test_a_quote_may_contain_code_but_no_other_quote() -> None:
    assert marks("> a **b**\n> > c\n> ```\n> d\n> ```") == [
        ("blockquote", "a b\n\nc\n\nd"),
        *[("bold", "b"), ("pre", "d")],
    ]


def test_blocks_are_as_far_from_each_other_as_in_the_source() -> None:
    assert render("# a\nb\n\n\n\nc\n***\nd").text == "a\nb\n\nc\n────────────\nd"


def test_a_table_is_aligned_code() -> None:
    assert marks("|a|b|\n|-|-|\n|10|**2**|") == [("pre", "a  | b\n---+--\n10 | 2")]


def test_a_table_with_links_becomes_lines() -> None:
    text = "|a|b|\n|-|-|\n|1|[x](http://y.z)|\n|2||"
    assert render(text).text == "a: 1\nb: x\n\na: 2"
    assert ("text_link", "x") in marks(text)


@pytest.mark.parametrize("url", ["http://a.b", "https://a.b/c?d=e#f", "mailto:a@b.cd", "tg://resolve?domain=x"])
def test_links_that_are_followed_become_links(url: str) -> None:
    (entity,) = render(f"[text]({url})").entities
    assert (entity.type, entity.url) == ("text_link", url)


@pytest.mark.parametrize(
    "url",
    ["tg://user?id=1", "TG:user?id=1", "tg://%75ser?id=1", "tg://openmessage?user_id=1", "ftp://a.b", "/a/b", "a.b"],
)
def test_other_links_are_shown_as_text(url: str) -> None:
    rendered = render(f"[text]({url})")
    assert rendered.text.startswith("text (")
    assert rendered.entities == ()


@pytest.mark.parametrize("url", ["javascript:x", "data:text/html,x", "file:///etc"])
def test_links_that_markdown_refuses_are_shown_as_they_are(url: str) -> None:
    assert render(f"[text]({url})") == Rendered(f"[text]({url})")


def test_an_image_is_a_link() -> None:
    assert marks("![alt](http://a.b/c.png) ![](http://d.e)") == [("text_link", "alt"), ("text_link", "http://d.e")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hi @some_one!", "hi @\u2060some_one!"),
        ("@a1 (@b2)", "@\u2060a1 (@\u2060b2)"),
        ("@**some**one", "@\u2060someone"),
        ("*x*@some_one **x**/@some_one", "x@some_one x/@\u2060some_one"),
        ("x@some_one a@b.cd", "x@some_one a@b.cd"),
        ("[@someone](http://a.b)", "@\u2060someone"),
        ("@ one @x", "@ one @x"),
        ("@some\\_one &#64;other", "@\u2060some_one @\u2060other"),
        ("@`someone`", "@\u2060someone"),
    ],
)
def test_nobody_is_pinged(text: str, shown: str) -> None:
    assert render(text).text == shown


def test_names_in_code_stay_as_they_are() -> None:
    assert render("`@someone`\n```\n@someone\n```").text == "@someone\n@someone"


def test_an_address_with_a_name_in_it_still_leads_there() -> None:
    (entity,) = render("see https://a.b/@some_one.").entities
    assert entity.url == "https://a.b/@some_one"
    assert render("see https://a.b/@some_one.").text == "see https://a.b/@\u2060some_one."


@pytest.mark.parametrize(
    "text", ["**", "```", "```\n```", "[a", "**a", "`a", "[a](b", "> ", "- ", "![](", "~~", "|a|", "<b>", "&nbsp;"]
)
def test_half_finished_or_empty_marks_show_as_what_they_are(text: str) -> None:
    assert render(text).text
    assert length(text) > 0


def test_text_that_shows_nothing_is_empty() -> None:
    assert render(" \n\u200b\u00ad ") == Rendered("")


def test_halves_of_characters_and_controls_are_replaced() -> None:
    assert render("a\ud83d\x00**b\x1b**").text == "a\ufffd\ufffdb\ufffd"


def test_no_more_than_100_entities_and_the_least_important_go_first() -> None:
    text = "*i* **b** `c` " * 60 + "\n\n```\npre\n```\n\n[l](http://a.b)"
    rendered = render(text)
    check(rendered)
    kinds = [str(entity.type) for entity in rendered.entities]
    assert len(kinds) == 100
    assert (kinds.count("pre"), kinds.count("text_link"), kinds.count("code")) == (1, 1, 60)
    assert "italic" not in kinds


def test_utf16_length_counts_what_is_beyond_the_first_plane_twice() -> None:
    assert utf16_length("aé日👍") == 5
