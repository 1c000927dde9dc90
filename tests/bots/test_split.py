import random
import re
from collections.abc import Callable, Iterator

import pytest

from bots.split import split, utf16_length

FENCE_LINE = re.compile(r"[> \t]*(?:`{3,}[^`\n]*|~{3,}[^\n]*)")
DELIMITER_LINE = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t|:-]*")


def bare(text: str) -> str:
    """`text` without its white space."""
    return "".join(text.split())


def openings(part: str) -> Iterator[str]:
    """What may stand before a part because something is repeated: nothing, marks of a fence or quote, a header."""
    first, second, *_ = [*part.split("\n"), ""]
    yield ""
    yield from quote_marks(first)
    if FENCE_LINE.fullmatch(first):
        yield first
        yield from (first + marks for marks in quote_marks(second))
    if DELIMITER_LINE.fullmatch(second):
        yield first + second


def quote_marks(line: str) -> list[str]:
    found = re.match(r"(?:> )*", line)
    return [">" * number for number in range(1, len(found[0]) // 2 + 1)] if found else []


def is_all_of(source: str, parts: list[str]) -> bool:
    """Whether `parts` hold all that is not white space in `source`, in order, and nothing else.

    Except for what is repeated: marks that open and close a fence, the header of a table, the marks of a quote.
    """
    whole = bare(source)
    fences = {bare(line) for line in source.split("\n") if FENCE_LINE.fullmatch(line)}
    places = {0}
    for part in parts:
        last = part.rsplit("\n", 1)[-1]
        closings = {"", bare(last)} if FENCE_LINE.fullmatch(last) else {""}
        after = set()
        for at in places:
            for opening in {bare(o) for o in openings(part)}:
                for closing in closings:
                    body = bare(part)[len(opening) :]
                    body = body[: len(body) - len(closing)]
                    # A fence without code in this part is not opened here.
                    for skipped in {"", *(f for f in fences if whole.startswith(f, at))}:
                        if whole.startswith(body, at + len(skipped)):
                            after.add(at + len(skipped) + len(body))
        places = after
    return len(whole) in places or any(whole[at:] in fences for at in places)


def rendered(text: str) -> int:
    """A length as of a platform that drops some marks and adds others."""
    return len(re.sub(r"\]\([^)]*\)|[*`]", "", text)) + text.count("@") + text.count("|")


LENGTHS: list[Callable[[str], int]] = [len, utf16_length, rendered]

WORDS = [
    "a",
    "word",
    "Another,",
    "sentence.",
    "é",
    "日本語",
    "👩🏽\u200d🚀",
    "**bold text**",
    "*it*",
    "`co de`",
    "snake_case",
]
WORDS += [
    "[li nk](https://e.org/a_b(c))",
    "https://e.org/x?y=1",
    "<https://e.org>",
    "@someone",
    "1.",
    "- ",
    "#",
    "|",
    "end!",
]


def some_words(rng: random.Random, most: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def some_block(rng: random.Random, depth: int = 0) -> str:
    kind = rng.choice(["paragraph"] * 3 + ["lines", "heading", "fence", "table", "list", "list", "quote", "rule"])
    match kind:
        case "paragraph":
            return some_words(rng, 40)
        case "lines":
            return "\n".join(some_words(rng, 8) for _ in range(rng.randint(2, 6)))
        case "heading":
            return "#" * rng.randint(1, 6) + " " + some_words(rng, 4)
        case "fence":
            marks = rng.choice(["```", "~~~", "````"])
            code = [
                "".join(rng.choice(["    ", "x = 1", "y()", " # z", "\n"]) for _ in range(4))
                for _ in range(rng.randint(0, 9))
            ]
            return "\n".join([marks + rng.choice(["", "python", "js"]), *code, marks])
        case "table":
            columns = rng.randint(1, 4)
            rows = [
                [rng.choice(["a", "`b`", "c d", "é", ""]) for _ in range(columns)] for _ in range(rng.randint(1, 12))
            ]
            return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * columns, *rows[1:]])
        case "list" | "quote" if depth < 3:
            if kind == "quote":
                return "\n".join("> " + line for line in some_block(rng, depth + 1).split("\n"))
            is_numbered, glue = rng.random() < 0.4, rng.choice(["\n", "\n\n"])
            items = []
            for number in range(1, rng.randint(2, 6)):
                marker = f"{number}. " if is_numbered else "- "
                inner = "\n".join(
                    [some_words(rng, 10), *(some_block(rng, depth + 1) for _ in range(rng.choice([0, 0, 0, 1])))]
                )
                items.append(marker + inner.replace("\n", "\n" + " " * len(marker)))
            return glue.join(items)
    return "---"


def some_markdown(rng: random.Random, blocks: int = 8) -> str:
    return "".join(
        some_block(rng) + rng.choice(["\n\n", "\n\n", "\n", "\n\n\n"]) for _ in range(rng.randint(1, blocks))
    )


NOISE = [
    "`",
    "```",
    "~~~",
    "\n",
    "\n\n",
    " ",
    "  ",
    "    ",
    "\t",
    "*",
    "**",
    "_",
    "[",
    "](",
    ")",
    "|",
    "|-|-|\n",
    "> ",
    "- ",
    "1. ",
    "a",
    "b c",
    "é",
    "𝄢",
]


def some_noise(rng: random.Random) -> str:
    return "".join(rng.choice(NOISE) for _ in range(rng.randint(1, 150)))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("write", [some_markdown, some_noise])
def test_parts_of_any_text_fit_and_lose_nothing(
    write: Callable[[random.Random], str], length: Callable[[str], int]
) -> None:
    for seed in range(400):
        rng = random.Random(seed)
        text, limit = write(rng), rng.choice([20, 40, 60, 100, 200, 500])
        parts = split(text, limit, length)
        assert all(part.strip() for part in parts), seed
        assert max(map(length, parts), default=0) <= limit, seed
        assert is_all_of(text, parts), (seed, text, parts)


def test_the_check_that_nothing_is_lost_sees_a_loss_a_repetition_and_a_swap() -> None:
    text = "one two\n\n```\nx\ny\n```\n"
    parts = ["one two", "```\nx\n```", "```\ny\n```"]
    assert is_all_of(text, parts)
    assert not is_all_of(text, parts[:2])
    assert not is_all_of(text, [*parts, "two"])
    assert not is_all_of(text, [parts[1], parts[0], parts[2]])


@pytest.mark.parametrize("length", [len, utf16_length])
def test_a_growing_text_keeps_all_parts_but_the_last_two(length: Callable[[str], int]) -> None:
    for seed in range(150):
        rng = random.Random(seed)
        text, limit = some_markdown(rng, 10), rng.choice([60, 100, 200, 400])
        parts: list[str] = []
        end = 0
        while end < len(text):
            end += rng.randint(1, 30)
            before, parts = parts, split(text[:end], limit, length)
            kept = max(len(before) - 2, 0)
            assert parts[:kept] == before[:kept], (seed, end)


def test_a_text_that_fits_is_one_part_without_the_white_space_around_it() -> None:
    assert split("  two *words*\n\nand more  \n\n", 40) == ["  two *words*\n\nand more"]


def test_a_text_without_words_has_no_parts() -> None:
    assert split("", 10) == []
    assert split(" \n" * 5000, 10) == []


def test_text_is_cut_between_blocks_before_anything_else() -> None:
    first, second = "One. Two. " * 6, "Three. Four. " * 6
    assert split(f"{first}\n\n{second}", 100) == [first.strip(), second.strip()]


def test_a_list_is_cut_between_its_items() -> None:
    items = [f"- item {n}\n  with a second line" for n in range(4)]
    assert split("\n".join(items), 75) == ["\n".join(items[:2]), "\n".join(items[2:])]


def test_a_paragraph_is_cut_between_sentences_and_a_sentence_between_words() -> None:
    assert split("One two three. Four five six. Seven", 30) == ["One two three. Four five six.", "Seven"]
    assert split("one two three four five six seven", 20) == ["one two three four", "five six seven"]


def test_chinese_is_cut_between_sentences_though_it_has_no_spaces() -> None:
    assert split("今天天气很好。我们去公园吧。" * 2, 18) == ["今天天气很好。我们去公园吧。"] * 2


def test_a_heading_stays_with_what_follows_it() -> None:
    text = "x" * 60 + "\n\n## Head\n\n" + "y" * 60
    assert split(text, 100) == ["x" * 60, "## Head\n\n" + "y" * 60]


def test_a_cut_before_a_mark_does_not_make_it_a_block() -> None:
    for part in split("the difference of a - b and 1. is # of > c " * 20, 50):
        assert not re.match(r"- |1\. |# |> ", part)


def test_a_fence_that_fits_begins_a_message_of_its_own() -> None:
    fence = "```py\n" + "x = 1\n" * 10 + "```"
    assert split(f"Look:\n\n{fence}\n\nOk", 75) == ["Look:", fence + "\n\nOk"]


@pytest.mark.parametrize("marks", ["```", "~~~", "`````"])
def test_a_fence_that_does_not_fit_is_closed_and_reopened_with_its_language(marks: str) -> None:
    text = f"{marks}py title\n" + "".join(f"x = {n}\n" for n in range(10, 30)) + f"{marks}\nend"
    parts = split(text, 60)
    assert len(parts) > 2
    assert all(part.startswith(f"{marks}py") and part.endswith(f"\n{marks}") for part in parts[:-1])
    assert "".join(re.findall(r"x = \d+\n", "".join(parts))) == "".join(f"x = {n}\n" for n in range(10, 30))
    assert parts[-1].endswith("end")


def test_a_fence_larger_than_a_message_begins_in_the_one_before_it() -> None:
    parts = split("Look:\n\n```\n" + "x = 1\n" * 40 + "```", 100)
    assert parts[0].startswith("Look:\n\n```\nx = 1\n")


def test_backticks_in_code_do_not_end_it() -> None:
    text = "````\n" + "```\nx\n```\n" * 10 + "````"
    parts = split(text, 50)
    assert all(part.startswith("````\n") and part.endswith("\n````") for part in parts)


def test_a_fence_in_a_list_item_goes_on_at_the_margin_with_its_own_indentation() -> None:
    text = "- item\n  - inner\n    ```py\n    def f():\n        return 1\n" + "    x = 1\n" * 10 + "    ```\n- next"
    first, *others = split(text, 90)
    assert first.endswith("\n    ```")
    assert "    def f():\n        return 1\n" in first
    assert others[0].startswith("```py\nx = 1\n")
    assert others[-1].endswith("\nx = 1\n```\n- next")


def test_a_nested_list_that_is_cut_goes_on_at_the_margin() -> None:
    text = "- a\n" + "".join(f"    - nested {n}\n" for n in range(20)) + "- b"
    assert all(part.startswith("- ") for part in split(text, 100))


def test_a_quote_that_is_cut_in_a_line_goes_on_as_a_quote() -> None:
    assert all(part.startswith("> ") for part in split("> " + "word " * 50, 60))


def test_a_table_that_fits_begins_a_message_of_its_own() -> None:
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 5
    assert split(f"Look:\n\n{table}", 75) == ["Look:", table.strip()]


def test_a_table_that_does_not_fit_is_cut_between_rows_and_its_header_repeated() -> None:
    rows = [f"| {n} | x |\n" for n in range(10, 40)]
    parts = split("| a | b |\n|---|---|\n" + "".join(rows), 90)
    assert all(part.startswith("| a | b |\n|---|---|\n| ") for part in parts)
    assert re.findall(r"\d+", "".join(parts)) == [str(n) for n in range(10, 40)]


ATOMS = ["[two words](https://e.org/a_(b)?c)", "https://e.org/a/b/c?d=e", "<https://e.org/x>", "`two words`"]
ATOMS += [
    "**two words**",
    "*two words*",
    "__two words__",
    "~~two words~~",
    "``a ` b``",
    "![two words](https://e.org/i.png)",
]
ATOMS += ["**two `words [and](https://e.org) link`**"]


@pytest.mark.parametrize("atom", ATOMS)
def test_links_code_and_emphasis_are_not_cut(atom: str) -> None:
    for before in range(60):
        parts = split("x " * before + atom + " y" * 60, 60)
        assert any(atom in part for part in parts), before


def test_a_link_longer_than_a_message_is_cut_all_the_same() -> None:
    parts = split(f"[text](https://e.org/{'x' * 200})", 50)
    assert "".join(parts) == f"[text](https://e.org/{'x' * 200})"


@pytest.mark.parametrize(
    "character", ["👩🏽\u200d🚀", "e\u0301", "🇩🇪", "👨\u200d👩\u200d👧\u200d👦", "ש\u05c1\u05bc", "한"], ids=ascii
)
def test_a_character_is_not_cut(character: str) -> None:
    for offset in range(12):
        parts = split("a" * offset + character * 40, 30, utf16_length)
        assert all(
            part.removeprefix("a" * offset).count(character) * len(character) == len(part.lstrip("a")) for part in parts
        )


def test_a_character_longer_than_a_message_is_cut() -> None:
    assert split("a" + "\u0301" * 50, 20) == ["a" + "\u0301" * 19, "\u0301" * 20, "\u0301" * 11]


def test_a_word_longer_than_a_message_is_cut_into_full_ones() -> None:
    assert [len(part) for part in split("x" * 10_000, 4096)] == [4096, 4096, 1808]


def test_a_limit_in_which_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        split("😀😀", 1, utf16_length)


def test_a_long_text_asks_for_few_lengths() -> None:
    """What a platform counts may take as long as rendering does."""
    text = "".join(f"Paragraph {n} has a few words in it, **bold** and plain.\n\n" for n in range(300))
    asked: list[str] = []

    def length(part: str) -> int:
        asked.append(part)
        return len(part)

    parts = split(text, 4096, length)
    assert len(asked) <= 10 * len(parts)
    assert sum(map(len, asked)) <= 10 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        *["[" * 20_000, "*" * 20_000, "*a_" * 7000, "`" * 20_000, "![" * 10_000, "[a](" * 5000, "|" * 20_000],
        *["\n" * 5000, "a\n" * 5000, "- " * 10_000, "```\n" * 5000, " " * 20_000 + "x", "> " * 10_000],
        "> " * 30 + "a\n" + "> b\n" * 4000,
    ],
    ids=lambda text: repr(text[-8:]),
)
def test_a_text_made_to_be_slow_is_split_and_loses_nothing(text: str) -> None:
    parts = split(text, 2000)
    assert all(len(part) <= 2000 for part in parts)
    if "```" not in text and "> " not in text:
        assert bare("".join(parts)) == bare(text)
