"""What a model writes, as lines for IRC; what a person types, as words for the bot; what travels, byte by byte."""

import random
import re
import string

import pytest
from bots.message import Addressed

from mynah_irc.protocol import MAX_LINE, Server, encode_line, parse_line
from mynah_irc.text import cut, length, meaning, rows_of

NASTY = "\r\n\0\x01\x02\x03\x0f\x16\x1d\x1f\x7f\x85\x9b\u2028\ud800\t :!/.@#*_`>[]()|-0 aé漢🙂"


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice(NASTY + string.ascii_letters) for _ in range(rng.randrange(1, 400)))


def test_whatever_a_model_writes_becomes_lines_that_fit_and_nothing_obeys():
    rng = random.Random(1)
    for _ in range(2000):
        text = random_text(rng)
        for row in rows_of(text, 60):
            assert 0 < len(row.encode()) <= 60
            assert not re.search("[\x00-\x1f\x7f-\x9f]", row)
            assert not re.match(r"[!.@&~$%?]\w", row)


def test_a_line_that_is_sent_is_one_line_whatever_it_holds():
    rng = random.Random(2)
    for _ in range(2000):
        data = encode_line(f"PRIVMSG #x :{random_text(rng)}")
        assert data.endswith(b"\r\n")
        assert len(data) <= MAX_LINE + 2
        assert not re.search(b"[\r\n\0]", data[:-2])


def test_cutting_loses_nothing_but_the_space_at_a_cut():
    rng = random.Random(3)
    for _ in range(500):
        text = "".join(rng.choice("aé漢🙂 ") for _ in range(rng.randrange(1, 300))).strip()
        pieces = list(cut(text, 30))
        assert all(len(piece.encode()) <= 30 for piece in pieces)
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["x" * 1000, "one two " * 200, "é" * 700, "a\nb\nc", "* a\n* b", "🙂", "a"])
def test_length_bounds_the_lines(text):
    rows = rows_of(text, 100)
    assert (len(rows) - 1) * 100 < length(text, 100) <= len(rows) * 100
    assert length("x" * 400, 100) == 400


def test_a_text_that_says_nothing_is_no_line():
    assert rows_of(" \n\n ", 100) == ()
    assert length("", 100) == 0


MARKDOWN = """# Birds

Some **bold** words
and [a link](https://example.org).

1. one
2. two
   - deeper
     still

> quoted *twice*
> over

```py
if x:
    return "*"
```

| a | b |
|---|---|
| 1 | `2` |

---
"""


def test_markdown_is_said_without_its_marks():
    assert rows_of(MARKDOWN, 400) == (
        "Birds",
        "Some bold words",
        "and a link (https://example.org).",
        "1. one",
        "2. two",
        "   - deeper",
        "     still",
        "> quoted twice",
        "> over",
        "if x:",
        '    return "*"',
        "a | b",
        "1 | 2",
        "---",
    )


COMMANDS = ("help", "stop")
SAID = {
    "mynah: hello": ("hello", {Addressed.MENTION}),
    "MYNAH, hello": ("hello", {Addressed.MENTION}),
    "@mynah hello": ("hello", {Addressed.MENTION}),
    "@Mynah: hello": ("hello", {Addressed.MENTION}),
    "mynah:": ("", {Addressed.MENTION}),
    "\x02mynah\x02: \x0304,05red\x03 \x1dhello": ("red hello", {Addressed.MENTION}),
    "what do you say, @mynah?": ("what do you say, @mynah?", {Addressed.MENTION}),
    "mynah is a bird": ("mynah is a bird", set()),
    "mynah_: hello": ("mynah_: hello", set()),
    "@mynahs hello": ("@mynahs hello", set()),
    "mail me at ann@mynah or x@mynah-bird": ("mail me at ann@mynah or x@mynah-bird", set()),
    "!help": ("/help", {Addressed.COMMAND}),
    "!Help me": ("/Help me", {Addressed.COMMAND}),
    "!helpme": ("!helpme", set()),
    "!help-me": ("!help-me", set()),
    "!kick ann": ("!kick ann", set()),
    "/help": ("/help", set()),
    "mynah: /help me": ("/help me", {Addressed.MENTION, Addressed.COMMAND}),
    "mynah: !stop": ("/stop", {Addressed.MENTION, Addressed.COMMAND}),
    "mynah: /nothing": ("/nothing", {Addressed.MENTION}),
    "! help": ("! help", set()),
    "   ": ("", set()),
}


@pytest.mark.parametrize("text", SAID)
def test_what_people_type_means_what_they_mean(text):
    assert meaning(text, "Mynah", Server().fold, COMMANDS) == SAID[text]


def test_a_nick_with_marks_in_it_is_recognised_in_all_its_spellings():
    fold = Server({"CASEMAPPING": "rfc1459"}).fold
    assert meaning("bot{a}|: hi", "Bot[A]\\", fold, ())[0] == "hi"
    assert Server({"CASEMAPPING": "ascii"}).fold("Bot[A]\\~") == "bot[a]\\~"
    assert Server({"CASEMAPPING": "strict-rfc1459"}).fold("A[~") == "a{~"


@pytest.mark.parametrize(
    ("data", "command", "params", "source", "tags"),
    [
        (b"PING :abc\r\n", "PING", ("abc",), "", {}),
        (b":a!b@c PRIVMSG #x ::) hi :there\r\n", "PRIVMSG", ("#x", ":) hi :there"), "a!b@c", {}),
        (b"@account=ann;bot;+x=1 :a!b@c privmsg  #x hi\n", "PRIVMSG", ("#x", "hi"), "a!b@c",
         {"account": "ann", "bot": "", "+x": "1"}),
        (b":s 005 me A=1 B :are supported\r\n", "005", ("me", "A=1", "B", "are supported"), "s", {}),
        (b"PRIVMSG #x :\xff\xe9\r\n", "PRIVMSG", ("#x", "\ufffd\ufffd"), "", {}),
        (b"\r\n", "", (), "", {}),
        (b":only\r\n", ":ONLY", (), "", {}),
    ],
)  # fmt: skip
def test_a_line_is_read_as_the_specification_says(data, command, params, source, tags):
    line = parse_line(data)
    assert (line.command, line.params, line.source, dict(line.tags)) == (command, params, source, tags)


def test_any_bytes_can_be_read():
    rng = random.Random(4)
    for _ in range(2000):
        parse_line(bytes(rng.choice(b" :@!;=\0\x01\xffaP01#\t") for _ in range(rng.randrange(40))))
