import random
import time

import pytest
from markdown_it import MarkdownIt

from bots.markdown import Block, atoms, blocks, code_spans, lines, parse, parse_inline, plain

PIECES = ["a", "b c", "- ", "* ", "1. ", "2) ", "> ", "```", "```py", "~~~~", "~~~", "    ", "  ", "\t", "\n", "\n"]
PIECES += ["\n\n", "|", "|a|b|\n|-|-|\n", "|1|2|\n", "# ", "---", "***", "*", "**", "_", "`", "[x](y)", "\\", "==="]
PIECES += ["\r\n", "\x0c", "é"]


def some_noise(seed: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 40)))


def reference() -> MarkdownIt:
    """CommonMark with tables and strikethrough by the library alone, but for the rules that ours has not."""
    md = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return md.disable(["reference", "lheading", "html_block", "html_inline"])


def test_blocks_give_the_source_back() -> None:
    for seed in range(2000):
        text = some_noise(seed)
        assert "".join(block.source + block.after for block in blocks(text)) == text


def test_blocks_are_where_the_library_sees_them() -> None:
    md = reference()
    for seed in range(2000):
        text = some_noise(seed)
        starts = [0]
        for line in lines(text):
            starts.append(starts[-1] + len(line))
        expected = [starts[token.map[0]] for token in md.parse(text) if token.level == 0 and token.map]
        found, at = [], 0
        for block in blocks(text):
            if block.kind != "other":
                found.append(at)
            at += len(block.source) + len(block.after)
        assert found == expected, (seed, text)


def test_text_means_what_it_means_to_the_library() -> None:
    md = reference()
    same = 0
    for seed in range(2000):
        text = some_noise(seed)
        same += md.render(text) == md.renderer.render(parse(text), md.options, {})
    assert same >= 1990  # the others are nested deeper than we read


def test_a_block_means_the_same_alone() -> None:
    for seed in range(2000):
        for block in blocks(some_noise(seed)):
            if block.kind != "other":
                (alone,) = blocks(block.source)
                assert (alone.kind, alone.source, alone.language) == (block.kind, block.source, block.language)


def test_blocks_know_their_kinds() -> None:
    text = "# h\ntext\n---\n```py x\ncode\n\n```\n- a\n\n  b\n\n> q\n\n|a|\n|-|\n|b|\n\n    code\n\n<b>html</b>"
    kinds = [block.kind for block in blocks(text)]
    assert kinds == ["heading", "paragraph", "rule", "fence", "list", "quote", "table", "code", "paragraph"]
    assert [block.language for block in blocks(text) if block.kind == "fence"] == ["py"]


def test_a_fence_that_nothing_closes_goes_on_to_the_end() -> None:
    assert blocks("a\n\n~~~js\nx\n\n```\n\ny\n") == [
        Block("paragraph", "a", "\n\n"),
        Block("fence", "~~~js\nx\n\n```\n\ny", "\n", "js", is_open=True),
    ]
    assert [block.is_open for block in blocks("```\nx\n\ny\n```")] == [False]
    assert [block.is_open for block in blocks("```")] == [True]


def test_white_space_alone_is_no_block_of_text() -> None:
    assert blocks("") == []
    assert blocks("\n \n") == [Block("other", "", "\n \n")]


def test_html_and_definitions_of_links_are_text() -> None:
    (block,) = blocks("<script>x</script>\n[a]: http://e.org")
    (_, inline, _) = parse(block.source)
    assert plain(inline.children or []) == block.source


def test_what_is_nested_too_deep_is_text_and_not_lost() -> None:
    for text in ("> " * 100 + "x", "- " * 100 + "x", "\n".join("  " * depth + f"- {depth}" for depth in range(60))):
        said = "".join(plain(token.children or []) for token in parse(text) if token.type == "inline")
        assert text.split()[-1] in said


def test_plain_text_keeps_addresses_that_are_not_shown() -> None:
    assert plain(parse_inline("**a** `b` [c](http://d) <http://e> ![f](http://g) [](http://h)")) == (
        "a b c (http://d) http://e f (http://g) http://h"
    )


def test_atoms_are_links_addresses_code_and_emphasis() -> None:
    text = "a **b `c` d** [x](http://y.z/(a)) <http://a.b> http://q.r/s snake_case_word *it* ~~no~~ ![i](j) \\*a\\*"
    text += " ``a`b``"
    assert [text[start:end] for start, end in atoms(text)] == [
        *["**b `c` d**", "`c`", "[x](http://y.z/(a))", "<http://a.b>", "http://q.r/s", "*it*", "~~no~~", "![i](j)"],
        "``a`b``",
    ]


@pytest.mark.parametrize("text", ["**a", "a**", "`a", "[a](b", "[a", "a](b)", "<a:b", "* a *", "5 * 3 * 2"])
def test_marks_without_their_other_half_are_no_atoms(text: str) -> None:
    assert atoms(text) == []


def test_code_spans_end_with_as_many_backticks_as_they_begin_with() -> None:
    text = "`a` ``b`c`` \\`d` ```e"
    assert [text[start:end] for start, end in code_spans(text)] == ["`a`", "``b`c``"]


SLOW = [
    "[",
    "*",
    "_",
    "`",
    "![",
    "*a_",
    "a**b",
    "<",
    "[a](",
    "> ",
    "- ",
    "|",
    "](",
    "\\",
    "&",
    "~~a ",
    "![[]()",
    "\n",
    "a\n",
]


@pytest.mark.parametrize("piece", SLOW, ids=repr)
def test_no_text_takes_time_that_grows_out_of_bounds(piece: str) -> None:
    """100 kB take at most 0.3 s on two slow cores; what would be quadratic takes minutes."""
    text = piece * (100_000 // len(piece))
    started_s = time.process_time()
    blocks(text)
    parse(text)
    atoms(text)
    assert time.process_time() - started_s < 5
