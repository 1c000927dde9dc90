from datetime import UTC, datetime
from pathlib import Path

import pytest

from finetune.message import Kind
from tests.finetune.importing.samples import imported, texts, write


def minutes(*times: str) -> list[int]:
    return [int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000) for time in times]


UBUNTU = """\
[23:58] <Ann> ben: hello
=== ben [~ben@example.org] has joined #garden
[23:59]  * Ann waves
[00:01] <ben> hi < there >
"""
ZNC = """\
[23:58:00] <Ann> ben: hello
[23:58:30] *** Joins: ben (~ben@example.org)
[23:59:00] * Ann waves
[00:01:00] <ben> hi < there >
"""
IRSSI = """\
--- Log opened Thu Feb 29 23:00:00 2024
23:58 <@Ann> ben: hello
23:58 -!- ben [~ben@example.org] has joined #garden
23:58 -ChanServ- Welcome to #garden
23:59  * Ann waves
--- Day changed Fri Mar 01 2024
00:01 < ben> hi < there >
--- Log closed Fri Mar 01 00:02:00 2024
"""
WEECHAT = """\
2024-02-29 23:58:00\t@Ann\tben: hello
2024-02-29 23:58:30\t-->\tben (~ben@example.org) has joined #garden
2024-02-29 23:59:00\t *\tAnn waves
2024-03-01 00:01:00\tben\thi < there >
"""


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("2024-02-29.raw.txt", UBUNTU),
        ("#garden_20240229.log", ZNC),
        ("garden.log", IRSSI),
        ("irc.garden.weechatlog", WEECHAT),
    ],
)
def test_every_client_s_log_reads_alike(tmp_path: Path, name: str, log: str) -> None:
    messages, problems = imported(write(tmp_path, name, log), "irc", chat="#garden")
    assert [(message.author, message.name, message.kind, message.text) for message in messages] == [
        ("ann", "Ann", Kind.MESSAGE, "ben: hello"),
        ("ann", "Ann", Kind.ACTION, "waves"),
        ("ben", "ben", Kind.MESSAGE, "hi < there >"),
    ]
    expected = minutes("2024-02-29T23:58", "2024-02-29T23:59", "2024-03-01T00:01")
    assert [message.sent_at_ms for message in messages] == expected
    assert {message.chat for message in messages} == {"#garden"}
    assert problems.count == 0
    assert set(problems.skipped) == {"system line"}


def test_a_message_is_known_by_its_line(tmp_path: Path) -> None:
    messages, _ = imported(write(tmp_path, "2024-02-29.log", UBUNTU), "irc")
    assert [message.id for message in messages] == ["irc:2024-02-29:1", "irc:2024-02-29:3", "irc:2024-02-29:4"]


def test_the_day_of_the_first_line_can_be_given(tmp_path: Path) -> None:
    messages, _ = imported(write(tmp_path, "a.log", UBUNTU), "irc", date="2020-01-31")
    assert messages[-1].sent_at_ms == minutes("2020-02-01T00:01")[0]


def test_times_are_read_in_the_given_zone(tmp_path: Path) -> None:
    messages, _ = imported(write(tmp_path, "2024-02-29.log", UBUNTU), "irc", timezone="America/New_York")
    assert messages[0].sent_at_ms == minutes("2024-03-01T04:58")[0]


def test_a_clock_that_is_set_back_an_hour_has_not_passed_midnight(tmp_path: Path) -> None:
    log = "[03:00] <ann> a\n[02:00] <ann> b\n"
    messages, _ = imported(write(tmp_path, "2024-10-27.log", log), "irc")
    assert [message.sent_at_ms for message in messages] == minutes("2024-10-27T03:00", "2024-10-27T02:00")


def test_without_a_day_there_are_no_times_and_that_is_said_once(tmp_path: Path) -> None:
    messages, problems = imported(write(tmp_path, "a.log", UBUNTU), "irc")
    assert {message.sent_at_ms for message in messages} == {None}
    assert [problem.found for problem in problems.first] == ["a time alone"]


@pytest.mark.parametrize(
    "change",
    [
        "=== Ann is now known as Ann|away",
        "[10:00] *** Ann is now known as Ann|away",
        "10:00\t--\tAnn is now known as Ann|away",
    ],
)
def test_whoever_changes_nick_stays_the_same_author(tmp_path: Path, change: str) -> None:
    log = f"[10:00] <Ann> a\n{change}\n[10:01] <ann|AWAY> b\n[10:02] <Ann> c\n"
    messages, _ = imported(write(tmp_path, "2024-01-01.log", log), "irc")
    assert [(message.author, message.name) for message in messages] == [
        ("ann", "Ann"),
        ("ann", "ann|AWAY"),
        ("ann", "Ann"),
    ]


def test_colours_and_empty_lines_go(tmp_path: Path) -> None:
    log = "[10:00] <\x0304Ann\x03> \x02bold\x02 \x0304,01red\x03 end\n\n[10:01] <Ann> \n"
    messages, problems = imported(write(tmp_path, "2024-01-01.log", log), "irc")
    assert [(message.name, message.text) for message in messages] == [("Ann", "bold red end")]
    assert (problems.count, problems.skipped) == (0, {"no text": 1})


def test_lines_of_no_known_form_are_listed(tmp_path: Path) -> None:
    log = "[10:00] <Ann> a\nlorem ipsum\n[25:61] <Ann> b\n[10:01] <Ann> c\n"
    messages, problems = imported(write(tmp_path, "2024-01-01.log", log), "irc")
    assert texts(messages) == ["a", "c"]
    assert [(problem.place, problem.found) for problem in problems.first] == [
        ("line 2", "a string of 11 characters"),
        ("line 3", "a string of 15 characters"),
    ]
