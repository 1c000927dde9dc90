import asyncio
import io
import random
import stat
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import get_cwidth
from sample_commands import command

from bots.commands import CommandTable
from bots.console import TerminalAdapter
from bots.console.__main__ import main
from bots.console.local import LOCAL_CHAT
from bots.console.printable import printable
from bots.console.rows import GrowingText, rows
from bots.console.state import save_new, state_folder
from bots.console.terminal import CommandCompleter
from bots.errors import UnsupportedError
from bots.message import MessageId

WORDS = ["a", "be", "hello", "漢字", "🙂", "\n", " ", " ", " ", "extraordinarily", "x" * 30, "é"]


def test_rows_break_between_words_and_inside_what_is_too_long():
    assert rows("one two three", 9) == ["one two", "three"]
    assert rows("one\n\ntwo", 9) == ["one", "", "two"]
    assert rows("abcdefghijkl", 5) == ["abcde", "fghij", "kl"]
    assert rows("漢字漢字漢", 5) == ["漢字", "漢字", "漢"]
    assert rows("12345 678", 5) == ["12345", "678"]


def test_a_text_that_grows_is_cut_like_one_that_is_there_at_once():
    rng = random.Random(7)
    for _ in range(300):
        text = "".join(rng.choices(WORDS, k=rng.randint(0, 40)))
        columns = rng.randint(3, 25)
        growing, complete = GrowingText(), []
        for end in [*sorted(rng.choices(range(len(text) + 1), k=5)), len(text)]:
            complete += growing.update(text[:end], columns)
            assert sum(map(get_cwidth, growing.rest.rstrip())) <= columns
        assert [*complete, growing.rest] == rows(text, columns)
        assert all(sum(map(get_cwidth, row)) <= columns for row in complete)
        assert "".join("".join([*complete, growing.rest]).split()) == "".join(text.split())


def test_every_control_character_but_the_line_end_is_made_visible():
    controls = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]}
    for character in controls - {"\n", "\r", "\t"}:
        assert printable(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"
    assert printable("a\tb\r\nc\rd\n") == "a    b\nc\nd\n"
    assert printable("漢字 🙂 é נ") == "漢字 🙂 é נ"


def test_the_state_folder_follows_the_xdg_specification():
    home = Path("/home/ann")
    assert state_folder({}, home) == home / ".local/state/mynah"
    assert state_folder({"XDG_STATE_HOME": "/state"}, home) == Path("/state/mynah")
    assert state_folder({"XDG_STATE_HOME": "relative"}, home) == home / ".local/state/mynah"


def test_a_file_is_written_under_a_name_that_no_other_has_and_for_its_owner_alone(tmp_path):
    for number, name in enumerate(["data.json", "data-2.json", "data-3.json"]):
        file = save_new(tmp_path, "data.json", b"%d" % number)
        assert (file, file.read_bytes()) == (tmp_path / name, b"%d" % number)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert save_new(tmp_path, "link", b"").name == "link-2"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("a\\b\nc\x00", "a_b_c_"),
        (".bashrc", "bashrc"),
        ("..", "file"),
        ("", "file"),
        ("größe 1.txt", "größe 1.txt"),
    ],
)
def test_a_file_is_never_written_anywhere_else(tmp_path, name, written):
    (folder := tmp_path / "a" / "b").mkdir(parents=True)
    assert save_new(folder, name, b"x") == folder / written
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [folder / written]


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path, monkeypatch):
    def fail(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        save_new(tmp_path, "data", b"x")
    assert list(tmp_path.iterdir()) == []


def test_commands_are_completed_as_they_are_now():
    table = CommandTable([command("help"), command("hello", is_listed=False)])
    completer = CommandCompleter(table)

    def offered(typed):
        return [each.text for each in completer.get_completions(Document(typed), CompleteEvent())]

    assert offered("/he") == ["/help"]
    table.add(command("heal"))
    table.remove(table["help"])
    assert offered("/HE") == ["/heal"]
    assert offered("he") == offered("") == []


async def test_many_commands_leave_room_for_the_prompt_and_a_folder_that_is_gone_takes_no_files(tmp_path, monkeypatch):
    table = CommandTable(command(f"command{number}") for number in range(50))
    written = io.StringIO()
    output = Vt100_Output(written, lambda: Size(rows=24, columns=80), enable_cpr=False)
    with create_pipe_input() as keyboard:
        async with TerminalAdapter(greeting="Hi.", commands=table, input=keyboard, output=output) as terminal:
            event = asyncio.ensure_future(anext(terminal.events()))
            keyboard.send_text("/comm")
            async with asyncio.timeout(10):
                while "command9" not in written.getvalue():
                    await asyncio.sleep(0)  # a terminal draws when it gets to it, and tells nobody
            keyboard.send_text("and1\r")
            assert (await event).text == "/command1"
            (folder := tmp_path / "folder").mkdir()
            monkeypatch.chdir(folder)
            folder.rmdir()
            with pytest.raises(UnsupportedError, match="data cannot be saved here: No such file"):
                await terminal.hand_over(LOCAL_CHAT, "data", b"x", reply_to=MessageId("1"))


@pytest.mark.parametrize("arguments", [["--max-tokens", "0"], ["--max-tokens", "x"], ["--sed", "1"], ["--seed", "x"]])
def test_wrong_arguments_are_refused_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_misspelt_setting_stops_the_program_and_names_the_nearest(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOTS_PERSNA", "You are a pirate.")
    assert main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "BOTS_PERSONA" in line


def test_a_bundle_that_is_not_there_is_one_line_and_code_2(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--bundle", "nowhere"]) == 2
    assert "python -m exporters SOURCE OUT" in capsys.readouterr().err.splitlines()[-1]


def test_no_champion_is_one_line_and_code_2(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENGINE_REGISTRY", raising=False)
    assert main([]) == 2
    loading, line = capsys.readouterr().err.splitlines()
    assert "loading" in loading
    assert "make model" in line
