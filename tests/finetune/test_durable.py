"""Files are there whole or not at all, and one process works in a folder at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.durable import replacing, write_text
from finetune.errors import StoreError
from finetune.locking import alone

ROOT = Path(__file__).parents[2]


def test_a_text_takes_the_place_of_another_for_its_owner_s_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.html"
    write_text(path, "one")
    path.chmod(0o644)
    write_text(path, "tw\u00f6")
    assert path.read_text(encoding="utf-8") == "tw\u00f6"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["a.html"]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")
    with pytest.raises(ZeroDivisionError), replacing(path) as out:
        out.write(b"two")
        raise ZeroDivisionError
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "one")]


def test_a_full_disk_is_told_of_in_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from finetune.durable import write_text\n"
        "from finetune.errors import StoreError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    write_text(Path(sys.argv[1]), 'x' * int(sys.argv[2]))\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "a.txt"
    write_text(path, "one")
    for length in (101, 1_000_000):  # fails when closed, and when written
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(length)],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{path} cannot be written (File too large); free some space or check the folder\n"
        assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "one")]


@pytest.mark.parametrize("what", ["the file is a folder", "the folder is a file"])
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a" / "b.txt"
    if what == "the file is a folder":
        (path / "full").mkdir(parents=True)
    else:
        path.parent.touch()
    with pytest.raises(StoreError, match=r"a/b\.txt cannot be written \("):
        write_text(path, "one")


def test_a_second_one_at_work_in_a_folder_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    with alone(folder, "SOME_FOLDER"):
        with pytest.raises(StoreError, match=r"another process is at work in .*here; let it finish"):
            alone(folder, "SOME_FOLDER").__enter__()
        with alone(tmp_path / "elsewhere", "SOME_FOLDER"):
            pass
    with alone(folder, "SOME_FOLDER"):
        pass


def test_a_folder_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/x cannot be written to \(.*see SOME_FOLDER"):
        alone(tmp_path / "file" / "x", "SOME_FOLDER").__enter__()
