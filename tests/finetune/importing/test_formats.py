"""What holds for all formats: files that are none, files that break off, bytes that are no text, memory, progress."""

import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from finetune.errors import FinetuneError, SourceFileError
from finetune.importing import FORMATS, ImportOptions, Problems, guess, reading
from finetune.message import Role, SourceMessage
from tests.finetune.importing.samples import (
    BEN,
    discord,
    discord_message,
    imported,
    telegram,
    telegram_message,
    texts,
    write,
)

NAMES = {
    "discord": "a.json",
    "telegram": "a.json",
    "openai": "a.jsonl",
    "sharegpt": "a.jsonl",
    "irc": "2024-01-01.log",
    "whatsapp": "a.txt",
    "dialogues": "a.jsonl",
}
SAMPLES: dict[str, Any] = {
    "discord": discord(discord_message(1, "Grüße 💐"), discord_message(2, "hello", BEN)),
    "telegram": telegram(
        telegram_message(1, "Grüße 💐"), telegram_message(2, ["hello ", {"type": "bold", "text": "x"}])
    ),
    "openai": [
        {"messages": [{"role": "user", "content": "Grüße 💐"}]},
        {"messages": [{"role": "user", "content": "b"}]},
    ],
    "sharegpt": [{"conversations": [{"from": "human", "value": "Grüße 💐"}]}, {"conversations": []}],
    "irc": "[10:00] <ann> Grüße 💐\n[10:01] <ben> hello\n",
    "whatsapp": "31/01/24, 10:00 - Ann: Grüße 💐\nline\n31/01/24, 10:01 - Ben: hello\n",
    "dialogues": [{"text": "Grüße 💐", "speaker": "a"}, {"text": "hello", "speaker": "b"}],
}
JSON_FORMATS = ["discord", "telegram", "openai", "sharegpt", "dialogues"]
TEXT_FORMATS = ["irc", "whatsapp"]


@pytest.fixture(params=list(FORMATS))
def format(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def sample(folder: Path, format: str) -> Path:
    return write(folder, NAMES[format], SAMPLES[format])


def test_every_format_has_a_sample_and_a_line_of_its_own() -> None:
    assert set(SAMPLES) == set(FORMATS)
    assert len({format.summary for format in FORMATS.values()}) == len(FORMATS)


def test_reading_a_file_again_gives_the_same_messages(tmp_path: Path, format: str) -> None:
    path = sample(tmp_path, format)
    messages, problems = imported(path, format)
    assert imported(path, format)[0] == messages
    assert len({message.id for message in messages}) == len(messages) >= 1
    assert "Grüße 💐" in messages[0].text
    assert problems.count == 0


def test_a_message_survives_a_round_trip_through_json(tmp_path: Path, format: str) -> None:
    for message in imported(sample(tmp_path, format), format)[0]:
        assert SourceMessage.from_json(json.loads(json.dumps(message.to_json()))) == message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_files_with_a_byte_order_mark_read_alike(tmp_path: Path, format: str, encoding: str) -> None:
    path = sample(tmp_path, format)
    expected, _ = imported(path, format)
    mark = "\ufeff" if encoding.endswith("e") else ""
    path.write_bytes((mark + path.read_text(encoding="utf-8")).encode(encoding))
    messages, problems = imported(path, format)
    assert messages == expected
    assert problems.count == 0


def test_a_compressed_file_reads_alike_and_progress_counts_its_bytes_on_disk(tmp_path: Path, format: str) -> None:
    path = sample(tmp_path, format)
    expected, _ = imported(path, format)
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, packed):
        steps: list[int] = []
        messages = list(FORMATS[format].read(file, ImportOptions(), Problems(), steps.append))
        assert messages == expected
        assert sum(steps) == file.stat().st_size


def test_a_compressed_file_that_breaks_off_gives_what_is_before(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": f"{number} {os.urandom(99).hex()}"}) + "\n" for number in range(9999))
    packed = gzip.compress(rows.encode())
    messages, problems = imported(write(tmp_path, "a.jsonl.gz", packed[: len(packed) // 2]), "dialogues")
    assert 1000 < len(messages) < 9000
    assert any("compressed file" in problem.expected for problem in problems.first)


def test_a_damaged_compressed_file_gives_what_is_before(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b'{"text": "a"}\n'))
    packed[-6] ^= 1  # the length
    messages, problems = imported(write(tmp_path, "a.jsonl.gz", bytes(packed)), "dialogues")
    assert texts(messages) == ["a"]
    assert problems.count == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_reads_like_a_file(tmp_path: Path, format: str) -> None:
    path = sample(tmp_path, format)
    expected, _ = imported(path, format)
    (tmp_path / "pipe").mkdir()
    pipe = tmp_path / "pipe" / path.name
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(path.read_bytes(),))
    writer.start()
    messages, _ = imported(pipe, format, date_order="dmy")
    writer.join()
    assert messages == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\6\0\0\0\x5cr\xa8f",
        b"[1, 2, 3]",
        b"17",
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"lorem ipsum\ndolor sit amet\n",
        b"\xff\xfe",
        b"\x1f\x8b",
        gzip.compress(b""),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, format: str, content: bytes) -> None:
    path = write(tmp_path, "a.dat", content)
    with pytest.raises(SourceFileError, match=r"a\.dat"):
        imported(path, format)


def test_what_cannot_be_read_is_refused(tmp_path: Path, format: str) -> None:
    with pytest.raises(SourceFileError, match=r"is a folder; name a file in it"):
        imported(tmp_path, format)
    with pytest.raises(SourceFileError, match=r"nothing\.json is not there"):
        imported(tmp_path / "nothing.json", format)
    with pytest.raises(SourceFileError, match=r"zip archive; unpack it"):
        imported(write(tmp_path, "a.zip", b"PK\x03\x04\x14\0"), format)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user who owns nothing here, if this is root, who may read everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_file_without_permission_is_refused(tmp_path: Path, format: str) -> None:
    path = sample(tmp_path, format)
    path.chmod(0)
    with somebody_else(), pytest.raises(SourceFileError, match="permissions"):
        imported(path, format)


# A mapping for dialogues that fits nothing names the fields that there are instead.
@pytest.mark.parametrize(("format", "other"), list(permutations(sorted(FORMATS.keys() - {"dialogues"}), 2)))
def test_a_refusal_names_the_format_that_a_file_seems_to_have(tmp_path: Path, format: str, other: str) -> None:
    path = sample(tmp_path, other)
    assert guess(path) == other
    with pytest.raises(SourceFileError, match=f"--format {other}"):
        imported(path, format)


def test_a_guess_at_what_is_no_file_is_none(tmp_path: Path) -> None:
    assert guess(tmp_path) is None
    assert guess(tmp_path / "nothing") is None
    assert guess(write(tmp_path, "a.zip", b"PK\x03\x04")) is None


def cut_files(path: Path) -> Iterator[Path]:
    """The file broken off at every byte."""
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        yield path


@pytest.mark.parametrize("format", JSON_FORMATS)
def test_a_json_file_that_breaks_off_anywhere_gives_only_whole_messages(tmp_path: Path, format: str) -> None:
    path = sample(tmp_path, format)
    whole, _ = imported(path, format)
    for cut in cut_files(path):
        messages: list[SourceMessage] = []
        problems = Problems()
        try:
            messages.extend(FORMATS[format].read(cut, ImportOptions(), problems, lambda _: None))
        except SourceFileError:
            assert not messages
        assert messages == whole[: len(messages)]


@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_a_text_that_breaks_off_anywhere_gives_whole_messages_and_at_most_one_beginning(
    tmp_path: Path, format: str
) -> None:
    path = sample(tmp_path, format)
    whole, _ = imported(path, format)
    for cut in cut_files(path):
        try:
            messages, _ = imported(cut, format, date_order="dmy")
        except SourceFileError:
            continue
        *before, last = messages or whole[:1]
        assert before == whole[: len(before)]
        # What is left of the line that would begin the next message may look like one more line of this one.
        said, should = last.text.rstrip("\N{REPLACEMENT CHARACTER}"), whole[len(before)].text
        assert should.startswith(said) or said.startswith(should)


@pytest.mark.parametrize("damage", [b"", b"\xff", b'"', b"}", b"\n", b"9" * 30, b"null"])
def test_damage_anywhere_does_no_more_than_refuse_a_file_or_lose_messages(
    tmp_path: Path, format: str, damage: bytes
) -> None:
    path = sample(tmp_path, format)
    content = path.read_bytes()
    num_whole = len(imported(path, format)[0])
    for start in range(0, len(content), 5):
        path.write_bytes(content[:start] + damage + content[start + 1 :])
        try:
            messages, _ = imported(path, format)
        except SourceFileError:
            continue
        assert 0 <= len(messages) <= num_whole
        for message in messages:
            json.dumps(message.to_json(), ensure_ascii=False).encode()


def test_a_document_that_breaks_off_says_where(tmp_path: Path) -> None:
    text = json.dumps(discord(discord_message(1, "ä"), discord_message(2, "b")), ensure_ascii=False)
    start = len(text[: text.index('{"id": "2", "type": "Default"')].encode())
    path = write(tmp_path, "a.json", text.encode()[: start + 20])
    messages, problems = imported(path, "discord")
    assert texts(messages) == ["ä"]
    (problem,) = problems.first
    assert int(problem.place.removeprefix("byte ")) in range(start, start + 21)
    assert "the rest is lost" in problem.expected
    assert "the end of the file" in problem.found


def test_an_error_inside_a_document_keeps_what_is_before(tmp_path: Path) -> None:
    text = json.dumps(discord(discord_message(1, "a"), discord_message(22, "b"), discord_message(3, "c")))
    messages, problems = imported(write(tmp_path, "a.json", text.replace('"22", ', '"22" ')), "discord")
    assert texts(messages) == ["a"]
    assert [problem.found for problem in problems.first] == ["an error: Expecting ',' delimiter"]


def test_text_behind_a_document_is_a_problem(tmp_path: Path) -> None:
    text = json.dumps(discord(discord_message(1, "a")))
    messages, problems = imported(write(tmp_path, "a.json", text + "\n{}"), "discord")
    assert texts(messages) == ["a"]
    assert [problem.found for problem in problems.first] == ["more text"]


@pytest.mark.parametrize("escaped", ["\\ud83d", "\\udc90 x", "\\u0000", "\0"])
def test_what_is_no_character_is_replaced_and_noted(tmp_path: Path, escaped: str) -> None:
    text = json.dumps(discord(discord_message(1, "bad: HERE"), discord_message(2, "good")))
    messages, problems = imported(write(tmp_path, "a.json", text.replace("HERE", escaped)), "discord")
    assert messages[0].text.startswith("bad: \N{REPLACEMENT CHARACTER}")
    assert [problem.place for problem in problems.first] == ["discord:2:1"]
    for message in messages:
        json.dumps(message.to_json(), ensure_ascii=False).encode()


def test_a_pair_of_escapes_is_one_character(tmp_path: Path) -> None:
    text = json.dumps(discord(discord_message(1, "💐")))
    assert "\\ud83d\\udc90" in text
    (message,), problems = imported(write(tmp_path, "a.json", text), "discord")
    assert (message.text, problems.count) == ("💐", 0)


def test_bytes_that_are_no_utf_8_are_replaced_and_noted(tmp_path: Path, format: str) -> None:
    path = sample(tmp_path, format)
    path.write_bytes(path.read_bytes().replace("Grüße".encode(), b"Gr\xfc\xdfe"))
    messages, problems = imported(path, format)
    assert "Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e" in messages[0].text
    assert [(problem.place, problem.expected) for problem in problems.first] == [(messages[0].id, "UTF-8 without NUL")]


def test_a_line_that_is_far_too_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_CHARACTERS", 300_000)
    long = "x" * 1_000_000
    log = f"[10:00] <ann> a\n[10:01] <ann> {long}\n[10:02] <ann> b\n"
    messages, problems = imported(write(tmp_path, "2024-01-01.log", log), "irc")
    assert texts(messages) == ["a", "b"]
    assert [problem.place for problem in problems.first] == ["line 2"]
    assert messages[1].id.endswith(":3")


def test_a_value_that_is_far_too_long_ends_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.importing.documents.MAX_CHARACTERS", 300_000)
    export = discord(discord_message(1, "a"), discord_message(2, "x" * 1_000_000), discord_message(3, "b"))
    messages, problems = imported(write(tmp_path, "a.json", export), "discord")
    assert texts(messages) == ["a"]
    assert ["300000 characters" in problem.expected for problem in problems.first] == [True]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7])
def test_where_a_file_is_divided_in_reading_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, chunk_bytes: int
) -> None:
    path = sample(tmp_path, format)
    expected, _ = imported(path, format)
    monkeypatch.setattr(reading, "CHUNK_BYTES", chunk_bytes)
    assert imported(path, format)[0] == expected


def endless(format: str, num_rows: int) -> Iterator[str]:
    """A large file of a format, piece by piece."""
    if format == "discord":
        before, after = json.dumps(discord()).split("[]", 1)
        rows = (json.dumps(discord_message(number, "word " * 100)) for number in range(num_rows))
        yield from (before, "[", next(rows), *(f",{row}" for row in rows), "]", after)
    elif format == "telegram":
        before, after = json.dumps(telegram()).split("[]", 1)
        rows = (json.dumps(telegram_message(number, "word " * 100)) for number in range(num_rows))
        yield from (before, "[", next(rows), *(f",{row}" for row in rows), "]", after)
    elif format in {"irc", "whatsapp"}:
        line = "[10:00] <ann> " if format == "irc" else "31/01/24, 10:00 - Ann: "
        yield from (f"{line}{'word ' * 100}\n" for _ in range(num_rows))
    else:
        row = json.dumps(SAMPLES[format][0]).replace("Gr", "word " * 100)
        yield from (f"{row}\n" for _ in range(num_rows))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, format: str) -> None:
    path = tmp_path / NAMES[format]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(endless(format, 8_000))
    assert path.stat().st_size > 4_000_000
    tracemalloc.start()
    try:
        num_messages = sum(1 for _ in FORMATS[format].read(path, ImportOptions(), Problems(), lambda _: None))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert num_messages == 8_000
    # Some windows of 256 KiB, as bytes and as text; no part of it is there for each message.
    assert peak_bytes < 3_000_000


def test_all_problems_are_counted_and_the_first_are_kept(tmp_path: Path) -> None:
    rows = [discord_message(1, "a"), *range(500)]
    messages, problems = imported(write(tmp_path, "a.json", discord(*rows)), "discord")
    assert len(messages) == 1
    assert (problems.count, len(problems.first)) == (500, 100)
    assert str(problems.first[0]) == "messages[1]: expected an object, found a number"


def test_what_was_found_is_cut_to_a_line() -> None:
    problems = Problems()
    problems.note("line 1", "x", "a\x1b[31m\n" + "b" * 100)
    assert len(problems.first[0].found) == 60
    assert problems.first[0].found.isprintable()


@pytest.mark.parametrize("assistant", ["12", "ben"])
def test_one_speaker_may_be_the_assistant_by_id_or_name(tmp_path: Path, assistant: str) -> None:
    messages, problems = imported(sample(tmp_path, "discord"), "discord", assistant=assistant)
    assert [message.role for message in messages] == [Role.USER, Role.ASSISTANT]
    assert problems.count == 0


def test_an_assistant_who_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="no message by 'Ben', who is to be the assistant"):
        imported(sample(tmp_path, "discord"), "discord", assistant="Ben")


@pytest.mark.parametrize(
    "options", [{"timezone": "Mars/Olympus"}, {"timezone": "../etc"}, {"date": "1.2.2024"}, {"date_order": "ydm"}]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(FinetuneError, match="give"):
        ImportOptions(**options)  # type: ignore[arg-type]  # each is a string
