import random
from pathlib import Path

import pytest
from prompt_toolkit.utils import get_cwidth

from bots.console.__main__ import main
from bots.console.printable import printable
from bots.console.rows import GrowingText, rows
from bots.console.state import state_folder

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
