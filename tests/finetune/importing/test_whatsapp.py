from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.speakers import Called
from finetune.errors import SourceFileError
from tests.finetune.importing.samples import imported, texts, write

FORMS = [
    ("dmy", "{d:%d/%m/%y, %H:%M} - {rest}"),
    ("mdy", "{d:%m/%d/%y, %H:%M} - {rest}"),
    ("mdy", "[{d:%m/%d/%y %H:%M}] {rest}"),
    ("mdy", "{d:%m/%d/%Y, %I:%M %p} - {rest}"),
    ("dmy", "\u200e[{d:%d.%m.%y, %H:%M:%S}] {rest}"),
    ("dmy", "[{d:%d/%m/%Y, %I:%M:%S\u202f%p}] {rest}"),
    ("ymd", "{d:%Y/%m/%d, %H:%M} - {rest}"),
    ("ymd", "[{d:%Y-%m-%d, %H:%M:%S}] {rest}"),
]
SAID = [
    (datetime(2024, 1, 2, 9, 30, tzinfo=UTC), "Ann", "Good morning"),
    (datetime(2024, 1, 2, 12, 5, tzinfo=UTC), "Ben B.", "1: yes\n2: no\n\nend"),
    (datetime(2024, 1, 30, 0, 7, tzinfo=UTC), "+49 151 0000", "Good night"),
]


def chat(form: str) -> str:
    return "\n".join(form.format(d=day, rest=f"{name}: {text}") for day, name, text in SAID)


@pytest.mark.parametrize(("order", "form"), FORMS)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_phone_s_way_to_write_times_is_read(tmp_path: Path, order: str, form: str, ending: str) -> None:
    text = chat(form).replace("\n", ending)
    messages, problems = imported(write(tmp_path, "a.txt", text), "whatsapp")
    assert [(message.sent_at_ms, message.author, message.text) for message in messages] == [
        (int(day.timestamp() * 1000), name, text) for day, name, text in SAID
    ]
    assert problems.count == 0
    assert imported(write(tmp_path, "a.txt", text), "whatsapp", date_order=order)[0] == messages


@pytest.mark.parametrize("half", ["p. m.", "p.m.", "PM", "p.\u00a0m.", "pm"])
def test_halves_of_the_day_are_read_in_all_spellings(tmp_path: Path, half: str) -> None:
    text = f"30/01/2024, 12:05 {half} - Ann: noon\n30/01/2024, 11:05 {half} - Ann: late\n"
    messages, _ = imported(write(tmp_path, "a.txt", text), "whatsapp")
    times = [datetime.fromtimestamp((message.sent_at_ms or 0) / 1000, UTC) for message in messages]
    assert [(time.hour, time.minute) for time in times] == [(12, 5), (23, 5)]


def test_where_no_number_decides_time_must_not_go_back(tmp_path: Path) -> None:
    # As day/month these would be in the wrong order.
    text = "".join(f"{date}/24, 10:00 - Ann: x\n" for date in ("01/05", "02/03", "02/04", "03/01"))
    messages, problems = imported(write(tmp_path, "a.txt", text), "whatsapp")
    assert messages[0].sent_at_ms == int(datetime(2024, 1, 5, 10, tzinfo=UTC).timestamp() * 1000)
    assert problems.count == 0


def test_where_nothing_decides_the_day_comes_first_and_that_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "01/02/24, 10:00 - Ann: x\n")
    (message,), problems = imported(path, "whatsapp")
    assert message.sent_at_ms == int(datetime(2024, 2, 1, 10, tzinfo=UTC).timestamp() * 1000)
    assert [problem.found for problem in problems.first] == ["neither; read as dmy"]
    (message,), problems = imported(path, "whatsapp", date_order="mdy")
    assert message.sent_at_ms == int(datetime(2024, 1, 2, 10, tzinfo=UTC).timestamp() * 1000)
    assert problems.count == 0


def test_what_the_app_says_is_left_out_and_counted(tmp_path: Path) -> None:
    lines = [
        "30/01/24, 10:00 - Messages are end-to-end encrypted.",
        '30/01/24, 10:00 - Ann created group "Garden"',
        "30/01/24, 10:01 - Ann: <Media omitted>",
        "30/01/24, 10:01 - Ann: <Medien ausgeschlossen>",
        "30/01/24, 10:01 - Ann: image omitted",
        "30/01/24, 10:01 - Ann: \u200eBild weggelassen",
        "30/01/24, 10:01 - Ann: IMG-1.jpg (file attached)",
        "30/01/24, 10:02 - Ann: This message was deleted",
        "30/01/24, 10:02 - Ann: You deleted this message.",
        "30/01/24, 10:03 - Ann:",
    ]
    messages, problems = imported(
        write(tmp_path, "a.txt", "\n".join([*lines, "30/01/24, 10:04 - Ann: hi"])), "whatsapp"
    )
    assert texts(messages) == ["hi"]
    assert problems.skipped == {
        "system line": 2,
        "media": 4,
        "media or system line": 1,
        "deleted message": 2,
        "no text": 1,
    }


def test_what_the_app_adds_to_words_goes(tmp_path: Path) -> None:
    text = (
        "30/01/24, 10:00 - Ann: helo \u200e<This message was edited>\n"
        "30/01/24, 10:01 - Ann: \u200eIMG-1.jpg (file attached)\nmy rose\n"
        "30/01/24, 10:02 - Ann: <3 this > that\n"
    )
    messages, _ = imported(write(tmp_path, "a.txt", text.replace("\u200eIMG", "IMG")), "whatsapp")
    assert texts(messages) == ["helo", "my rose", "<3 this > that"]


def test_a_marked_name_is_a_call(tmp_path: Path) -> None:
    text = "30/01/24, 10:00 - Ann: hi @\u2068Ben B.\u2069!"
    (message,), _ = imported(write(tmp_path, "a.txt", text), "whatsapp")
    assert message.pieces == ("hi ", Called("Ben B."), "!")


def ids(path: Path, **options: str) -> list[str]:
    return [message.id for message in imported(path, "whatsapp", **options)[0]]


@pytest.mark.parametrize("form", [form for _, form in FORMS])
def test_a_message_is_known_by_what_it_is_on_whatever_phone_and_wherever_it_stands(tmp_path: Path, form: str) -> None:
    whole = ids(write(tmp_path, "whole.txt", chat(FORMS[0][1])), chat="garden")
    assert len(set(whole)) == len(SAID)
    assert all(id.startswith("whatsapp:garden:") for id in whole)
    assert ids(write(tmp_path, "other.txt", chat(form)), chat="garden") == whole
    # The app exports the newest messages only, of a long chat; day and month are as in the whole.
    newer = "\n".join(form.format(d=day, rest=f"{name}: {text}") for day, name, text in SAID[1:])
    assert ids(write(tmp_path, "newer.txt", newer), chat="garden") == whole[1:]


def test_the_same_words_in_the_same_minute_are_different_messages(tmp_path: Path) -> None:
    said = ["Ann: no", "Ann: no", "Ben: no", "Ann: no", "Ann: yes"]
    found = ids(write(tmp_path, "a.txt", "".join(f"30/01/24, 10:00 - {each}\n" for each in said)))
    assert len(set(found)) == 5
    assert [found[1], found[3]] == [f"{found[0]}.2", f"{found[0]}.3"]


def test_a_day_that_there_is_not_and_lines_before_the_first_are_listed(tmp_path: Path) -> None:
    text = "lost\n30/01/24, 10:00 - Ann: a\n31/02/24, 10:00 - Ann: b\n30/01/24, 24:61 - Ann: c\n"
    messages, problems = imported(write(tmp_path, "a.txt", text), "whatsapp")
    assert texts(messages) == ["a"]
    assert [problem.place for problem in problems.first] == ["line 1", "line 3", "line 4"]


def test_the_order_of_dates_is_asked_for_where_a_file_reads_only_once(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="--date-order"):
        imported(Path("/dev/null"), "whatsapp")


def test_a_message_that_is_far_too_long_is_left_out_with_all_its_lines(tmp_path: Path) -> None:
    line = "x" * 99 + "\n"
    text = f"30/01/24, 10:00 - Ann: a\n{line * 20_000}30/01/24, 10:01 - Ann: b\n"
    messages, problems = imported(write(tmp_path, "a.txt", text), "whatsapp")
    assert texts(messages) == ["b"]
    assert [(problem.place, problem.found) for problem in problems.first] == [("line 1", "a longer message")]
