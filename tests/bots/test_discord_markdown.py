import random

import pytest

from bots.discord.markdown import length, render
from bots.split import split
from tests.bots.test_split import bare, is_all_of, some_markdown, some_noise


@pytest.mark.parametrize(
    "text",
    [
        "**bold** *it* __u__ ~~no~~ ||spoiler|| `code` [a](http://b) <http://c> \\* <b>html</b>",
        "# one\n## two\n### three\n-# small",
        "- a\n  - b\n1. c\n\n> quote\n>>> all",
        "```py\nx = '''\n```\n---\ntext\n***",
        "<@123> <@&4> <#5> @everyone <:name:6> <t:7:R>",
        "half **finished [te](xt",
        "  leading and\ttabs",
    ],
)
def test_what_discord_knows_stays_as_it_is(text: str) -> None:
    assert render(text) == text


def test_a_table_becomes_aligned_text_in_a_fence() -> None:
    assert render("a\n\n| x | y |\n|---|--:|\n| **1** | 2 |\n| 10 | 200 |\n\nb") == (
        "a\n\n```\nx  |   y\n---+----\n1  |   2\n10 | 200\n```\n\nb"
    )


def test_a_table_with_links_becomes_lines() -> None:
    assert render("| x | y |\n|---|---|\n| 1 | [a](http://b) |\n| 2 | c |") == "x: 1\ny: [a](http://b)\n\nx: 2\ny: c"


def test_a_table_in_a_list_item_or_quote_stays_in_it() -> None:
    assert render("- a\n\n  |x|\n  |-|\n  |1|\n- b") == "- a\n\n  ```\n  x\n  -\n  1\n  ```\n- b"
    assert render("> |x|\n> |-|\n> |1|") == "> ```\n> x\n> -\n> 1\n> ```"


def test_an_unclosed_fence_is_closed() -> None:
    assert render("a\n```py\nx = 1") == "a\n```py\nx = 1\n```"
    assert render("- a\n  ```py\n  x = 1\n") == "- a\n  ```py\n  x = 1\n  ```"
    assert render("> ```\n> x") == "> ```\n> x\n> ```"


@pytest.mark.parametrize("marks", ["~~~", "````", "~~~~~~"])
def test_a_fence_of_another_kind_becomes_the_one_that_discord_has(marks: str) -> None:
    assert render(f"{marks}python title\nx = 1\n{marks}\nafter") == "```python\nx = 1\n```\nafter"


def test_backticks_in_code_do_not_end_it() -> None:
    assert render("````\n```\nx\n```\n````") == "```\n``\u200b`\nx\n``\u200b`\n```"
    assert render('```\necho "```"\n```') == '```\necho "``\u200b`"\n```'


def test_an_image_becomes_a_link_but_not_in_code() -> None:
    assert render("![a](http://b/c_(d).png) ![](http://e) `![f](g)`") == "[a](http://b/c_(d).png) http://e `![f](g)`"
    assert render("- ![a](http://b)\n\n```\n![f](g)\n```") == "- [a](http://b)\n\n```\n![f](g)\n```"


def test_a_heading_below_the_third_level_becomes_a_bold_line() -> None:
    assert render("#### Some **bold** title ##\ntext\n###### x") == "**Some bold title**\ntext\n**x**"
    assert render("####") == "####"


def test_length_counts_utf16_units_of_what_is_sent() -> None:
    assert length("é👩🏽\u200d🚀") == 8
    assert length("```\nx") == len("```\nx\n```")
    assert length("|a|\n|-|\n|b|") == len("```\na\n-\nb\n```")


def test_half_a_character_is_not_sent() -> None:
    assert render("a\ud83d") == "a\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("write", [some_markdown, some_noise])
def test_parts_of_any_text_fit_into_a_message(write) -> None:  # type: ignore[no-untyped-def] # parametrised
    for seed in range(300):
        text = write(random.Random(seed))
        parts = split(text, 200, length)
        assert all(length(part) <= 200 for part in parts)
        assert all(render(part).strip() for part in parts)
        assert is_all_of(text, parts)


def test_any_beginning_of_a_text_closes_its_fences() -> None:
    text = "text `a`\n\n```py\nx = 1\n\ny = 2\n```\n- a\n  ```\n  b\n  ```\n"
    for end in range(len(text)):
        marks = [line for line in render(text[:end]).split("\n") if line.strip().startswith("```")]
        assert len(marks) % 2 == 0


def test_words_survive_rendering() -> None:
    for seed in range(200):
        text = "\n\n".join(f"word{n} **bold{n}**\n- item{n}\n> quote{n}\n\n#### head{n}" for n in range(seed % 7))
        assert bare(render(text)).count("word") == bare(text).count("word")
