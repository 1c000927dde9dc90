"""`python -m finetune` as an operator runs it: what it says, what it refuses, and what a kill leaves behind."""

import json
import os
import re
import resource
import select
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from finetune.__main__ import main
from tests.finetune.importing.samples import telegram, telegram_message
from tests.finetune.workplace import DIALOGUES, Workplace, dialogues

COMMANDS = ("import", "sources", "remove", "forget", "replay", "prepare", "report")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command ends with that does not do what it was told."""
    capsys.readouterr()
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    progress = r"(\[\d+/\d+\] .*\n)*"
    match = re.fullmatch(rf"{progress}error: (.*)\n", captured.err)
    assert match, captured.err
    return match[2]


def left(folder: Path) -> list[str]:
    """Files of imports and datasets."""
    files = [path for name in ("imports", "data/imports", "runs") for path in (folder / name).rglob("*")]
    return sorted(path.name for path in files if path.is_file() and path.name != ".lock")


# Importing


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.jsonl", *DIALOGUES), "nowhere.jsonl cannot be read (No such file or directory); check the path"),
        (("data", *DIALOGUES), "data cannot be read (Is a directory); check the path"),
        (("talk.jsonl", *DIALOGUES[:-1], "licence:CC0"), "'CC0' is no SPDX licence"),
        (("talk.jsonl", *DIALOGUES[:-1], "mine"), "'mine' is no right to train on a text; give one of own"),
        (("talk.jsonl", *DIALOGUES, "--platform", "discord"), "which only Discord may permit"),
        (("talk.jsonl", "--format", "discord", "--right", "own"), "which only Discord may permit"),
        (("talk.jsonl", "--format", "telegram", "--right", "own", "--platform", "x"), "leave out --platform"),
        (("talk.jsonl", "--format", "telegram", "--right", "own"), "it may be"),
        (("talk.jsonl", *DIALOGUES, "--map", "turn=x"), "there is no part 'turn' of a dialogue; did you mean turns?"),
        (("talk.jsonl", *DIALOGUES, "--map", "turns=x"), "its fields are id, turns: name the right ones with --map"),
        (("talk.jsonl", *DIALOGUES, "--timezone", "Berlin"), "time zone 'Berlin' is not known"),
        (("talk.jsonl", *DIALOGUES, "--date", "1.1.24"), "give it as 2024-12-31"),
        (("talk.jsonl", *DIALOGUES, "--name", "My Chats"), "'My Chats' is no name for an import"),
    ],
)
def test_what_cannot_be_imported_gives_one_line_and_leaves_nothing(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    workplace.write("talk.jsonl", dialogues(0, 3))
    (workplace.folder / "data").mkdir()
    line = refused(capsys, "import", *arguments)
    if said == "it may be":
        assert "talk.jsonl holds no message that reads as telegram" in line
    else:
        assert said in line
    assert left(workplace.folder) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "talk.jsonl"),
        ("import", "talk.jsonl", "--format", "dialogues"),
        ("import", "talk.jsonl", "--format", "dialog", "--right", "own"),
        ("import", "talk.jsonl", *DIALOGUES, "--map", "turns"),
        ("import", "talk.jsonl", *DIALOGUES, "--map", "=turns"),
        ("import", "talk.jsonl", *DIALOGUES, "--date-order", "myd"),
        ("remove",),
        ("prepare", "--explain"),
        ("replay", "--rounds", "many"),
        ("prepair",),
        (),
    ],
)
def test_what_is_no_command_gives_its_usage(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: python -m finetune")
    assert list(workplace.folder.iterdir()) == []


def test_a_right_is_asked_for_by_name(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import", "talk.jsonl", "--format", "dialogues"])
    assert "the following arguments are required: --right" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_what_it_does(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: python -m finetune {command}" in capsys.readouterr().out


def test_problems_of_a_file_are_listed_and_the_rest_is_kept(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [telegram_message(n, 7) for n in range(2, 20)]
    note = {"id": 99, "type": "service", "action": "pin_message"}
    (workplace.folder / "group.json").write_text(json.dumps(telegram(telegram_message(1, "fine"), *bad, note)))
    assert main(["import", "group.json", "--format", "telegram", "--right", "consent:forms"]) == 0
    lines = capsys.readouterr().out.splitlines()
    name = lines[0].partition(":")[0]
    assert name.startswith("telegram-")  # exports are called after people, or all the same
    assert lines[:3] == [
        f"{name}: 1 messages, to be trained on under consent:forms",
        "  left out: 1 service message",
        "  bad: 18 rows, among them",
    ]
    assert lines[3] == "    messages[1]: expected a string or a list in 'text', found a number"
    assert len(lines) == 3 + 10
    assert main(["import", "group.json", "--format", "telegram", "--right", "consent:forms"]) == 0
    assert capsys.readouterr().out == f"{name}: 1 messages; imported before from the same file, nothing to do\n"
    assert main(["import", "group.json", "--format", "telegram", "--right", "own"]) == 0
    assert "  in place of the 1 that were imported from it before\n" in capsys.readouterr().out


def test_sources_lists_what_is_imported_and_under_which_right(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sources"]) == 0
    assert capsys.readouterr().out == "nothing is imported; see `python -m finetune import --help`\n"
    workplace.imported("talk.jsonl", dialogues(0, 300))
    (workplace.folder / "group.json").write_text(json.dumps(telegram(telegram_message(1, "hello"))))
    assert main(["import", "group.json", "--format", "telegram", "--right", "consent:a folder", "--name", "a"]) == 0
    capsys.readouterr()
    assert main(["sources"]) == 0
    assert capsys.readouterr().out == (
        "a  1 messages  telegram  platform telegram  consent:a folder  *.json\n"
        "talk  1,200 messages  dialogues  platform dataset  licence:CC0-1.0  talk.jsonl\n"
    )


def test_only_what_is_there_can_be_removed_or_forgotten(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 3))
    for name in ("tlak", "../data", ""):
        assert f"there is no import named {name}" in refused(capsys, "remove", name)
    assert "no import has messages by ann on irc" in refused(capsys, "forget", "irc", "ann")
    assert main(["remove", "talk"]) == 0
    assert capsys.readouterr().out == "talk is removed; the next `prepare` makes a dataset without it\n"
    assert left(workplace.folder) == ["removed.rows"]  # that it was, for the models that have seen it


def test_a_damaged_import_is_told_of_by_every_command_and_can_be_removed(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 3))
    (workplace.folder / "data" / "imports" / "talk" / "manifest.json").write_text("{")
    again = ("import", "talk.jsonl", *DIALOGUES)
    for arguments in (("sources",), ("prepare",), ("forget", "dataset", "ann"), again):
        line = refused(capsys, *arguments)
        assert line.endswith("import the file again after: python -m finetune remove talk")
    assert main(["remove", "talk"]) == 0
    assert main(list(again)) == 0


# Settings


def test_a_misspelt_setting_is_told_of_with_the_nearest(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace.folder / ".env").write_text("FINETUNE_AUTHOR_SHAR=0.1\n")
    assert refused(capsys, "prepare") == (
        "FINETUNE_AUTHOR_SHAR in .env is not a setting; did you mean FINETUNE_AUTHOR_SHARE?"
    )
    (workplace.folder / ".env").unlink()
    monkeypatch.setenv("FINETUNE_CANARYS", "3")
    assert "did you mean FINETUNE_CANARIES?" in refused(capsys, "sources")
    monkeypatch.delenv("FINETUNE_CANARYS")
    monkeypatch.setenv("FINETUNE_REPLAY_SHARE", "1")
    assert "FINETUNE_REPLAY_SHARE='1'" in refused(capsys, "prepare")
    assert left(workplace.folder) == []


def test_the_persona_of_the_bots_is_that_of_the_examples(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTS_PERSONA", "You are a heron.")
    workplace.imported("talk.jsonl", dialogues(0, 3))
    workplace.prepare()
    people = [example for example in workplace.examples("train") if example.source == "talk"]
    assert people
    assert {example.messages[0].content for example in people} == {"You are a heron."}


# Trouble


def test_two_that_prepare_at_once_do_not_mix(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 3))
    with workplace.runs.alone():
        assert refused(capsys, "prepare") == "another process is at work in runs; let it finish"
    with workplace.imports.alone():
        for arguments in (("prepare",), ("remove", "talk"), ("forget", "dataset", "ann")):
            assert refused(capsys, *arguments) == "another process is at work in data/imports; let it finish"
    assert main(["prepare"]) == 0


def test_a_report_that_cannot_be_written_gives_one_line(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 3))
    workplace.prepare()
    monkeypatch.setenv("FINETUNE_REPORT", "talk.jsonl/report.html")
    assert refused(capsys, "report").startswith("talk.jsonl/report.html cannot be written (")


def limited(num_bytes: int) -> None:
    """No file may grow beyond; as on a full disk, writes fail."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def test_a_full_disk_gives_one_line_and_the_same_command_works_once_there_is_room(workplace: Workplace) -> None:
    workplace.imported("talk.jsonl", dialogues(0, 800, num_turns=5))
    (rows,) = (workplace.folder / "data" / "imports" / "talk").glob("*.rows")
    limit = rows.stat().st_size - 10_000  # what is gathered is larger, and the database smaller
    workplace.write("more.jsonl", dialogues(800, 900, num_turns=5))
    for arguments, name in (
        (("import", "more.jsonl", *DIALOGUES), r"incoming\.rows"),
        (("prepare",), r"gather/gathered\.rows"),
    ):
        before = left(workplace.folder / "data")
        process = workplace.command("-m", "finetune", *arguments, preexec_fn=lambda: limited(limit))
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 1, errors
        assert out == ""
        assert "Traceback" not in errors
        assert re.fullmatch(rf"error: .*{name} cannot be written \(File too large\); free some space .*", last(errors))
        assert left(workplace.folder / "data") == before
        assert not list(workplace.folder.rglob("*.unfinished"))
    assert main(["prepare"]) == 0


def last(text: str) -> str:
    return text.splitlines()[-1]


def interrupted(workplace: Workplace, stage: str, number: signal.Signals) -> tuple[int, str]:
    """Send a signal to a run of `prepare` as soon as a stage begins; returns its exit code and what it has said."""
    environment = {"FINETUNE_WORKERS": "2"}
    process = workplace.command("-m", "finetune", "prepare", env=environment, start_new_session=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.endswith(f"] {stage} ...\n"):
            break
    started = [os.pidfd_open(pid) for pid in children_of(process.pid)]
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C in a terminal does
    else:
        process.send_signal(number)
    _, rest = process.communicate(timeout=120)
    assert len(started) >= 2  # the workers, and what watches over their queues
    for descriptor in started:
        with closing(os.fdopen(descriptor)):
            assert select.select([descriptor], [], [], 30)[0], "a worker goes on without whom it works for"
    return process.returncode, "".join(said) + rest


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def done(workplace: Workplace) -> dict[str, int]:
    """The stages that are done, and when they were."""
    paths = (workplace.folder / "runs").glob("*/*/manifest.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


def test_a_run_that_was_killed_comes_to_the_same_as_one_that_was_not_and_does_nothing_twice(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Workplace(tmp_path / "elsewhere")
    rows = dialogues(0, 500, num_turns=6)
    for each in (elsewhere, workplace):
        each.folder.mkdir(exist_ok=True)
        monkeypatch.chdir(each.folder)
        each.imported("talk.jsonl", rows)
    whole = elsewhere.prepare()

    code, said = interrupted(workplace, "personal", signal.SIGINT)
    assert code == 130
    assert last(said) == "interrupted; the same command goes on where this one was"
    assert "Traceback" not in said
    first = done(workplace)
    assert {"gather", "normalise", "secrets"} <= first.keys()
    assert "mix" not in first

    code, _ = interrupted(workplace, "duplicates", signal.SIGKILL)
    assert code == -signal.SIGKILL
    second = done(workplace)
    assert second.keys() >= first.keys() | {"personal", "quality"}
    assert "mix" not in second
    assert {name: second[name] for name in first} == first

    assert main(["prepare"]) == 0
    assert {name: done(workplace)[name] for name in second} == second
    assert workplace.dataset() == whole
    assert workplace.parts() == elsewhere.parts()
    assert not list((workplace.folder / "runs").rglob("*.unfinished"))
    shutil.rmtree(workplace.folder / "runs")
