"""The newest checkpoint is one that is as it was written, whatever has happened to newer ones."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.errors import StoreError
from finetune.training.checkpoints import COMPLETE, newest, prune, staged, step_of

ROOT = Path(__file__).parents[3]
JOB = "5eed"


def write(folder: Path, step: int, job: str = JOB, text: str = "weights") -> Path:
    with staged(folder, step, job) as work:
        (work / "adapter").mkdir()
        (work / "adapter" / "weights.bin").write_text(f"{text} of {step}")
        (work / "state.json").write_text(json.dumps({"step": step}))
    return folder / f"step-{step:06d}"


def test_the_newest_checkpoint_is_that_of_the_latest_step(tmp_path: Path) -> None:
    assert newest(tmp_path / "none yet", JOB) is None
    for step in (90, 15, 1_000_000, 120):
        write(tmp_path, step)
    found = newest(tmp_path, JOB)
    assert found == tmp_path / "step-1000000"
    assert step_of(found) == 1_000_000
    assert (found / "adapter" / "weights.bin").read_text() == "weights of 1000000"


def truncated(path: Path) -> None:
    file = path / "adapter" / "weights.bin"
    file.write_bytes(file.read_bytes()[:-1])


def flipped(path: Path) -> None:
    data = bytearray((path / "adapter" / "weights.bin").read_bytes())
    data[3] ^= 1
    (path / "adapter" / "weights.bin").write_bytes(data)


def without_file(path: Path) -> None:
    (path / "state.json").unlink()


def without_list(path: Path) -> None:
    (path / COMPLETE).unlink()


def half_listed(path: Path) -> None:
    text = (path / COMPLETE).read_text()
    (path / COMPLETE).write_text(text[: len(text) // 2])


def listed_otherwise(path: Path) -> None:
    (path / COMPLETE).write_text("[]")


def emptied(path: Path) -> None:
    for each in sorted(path.rglob("*"), reverse=True):
        each.rmdir() if each.is_dir() else each.unlink()


DAMAGES = (truncated, flipped, without_file, without_list, half_listed, listed_otherwise, emptied)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it_and_named(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    for step in (10, 20, 30):
        damaged = write(tmp_path, step)
    damage(damaged)
    with caplog.at_level(logging.WARNING):
        assert newest(tmp_path, JOB) == tmp_path / "step-000020"
    assert [f"{damaged}: " in message for message in caplog.messages] == [True]
    write(tmp_path, 30)
    assert newest(tmp_path, JOB) == damaged, "it can be written anew"


def test_another_job_s_checkpoint_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 10, "0ther")
    assert newest(tmp_path, JOB) is None
    assert newest(tmp_path, "0ther") is not None
    assert "it is another job's" in caplog.text


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_a_process_that_is_killed_while_it_writes_leaves_no_checkpoint(tmp_path: Path, signal_name: str) -> None:
    write(tmp_path, 10)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from finetune.training.checkpoints import staged\n"
        "with staged(Path(sys.argv[1]), 20, sys.argv[2]) as work:\n"
        "    (work / 'weights.bin').write_text('all of them')\n"
        "    os.kill(os.getpid(), getattr(signal, sys.argv[3]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), JOB, signal_name], cwd=ROOT, check=False)
    assert done.returncode < 0
    assert newest(tmp_path, JOB) == tmp_path / "step-000010"
    assert {each.name for each in tmp_path.iterdir()} == {"step-000010", "tmp-step-000020"}
    write(tmp_path, 20)
    assert newest(tmp_path, JOB) == tmp_path / "step-000020"
    assert {each.name for each in tmp_path.iterdir()} == {"step-000010", "step-000020"}


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = write(tmp_path, 10)
    with pytest.raises(ZeroDivisionError), staged(tmp_path, 10, JOB) as work:
        (work / "other.bin").write_text("other")
        raise ZeroDivisionError
    assert [*tmp_path.iterdir()] == [path]
    assert newest(tmp_path, JOB) == path


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch, safetensors.torch
from finetune.errors import StoreError
from finetune.training.checkpoints import staged

tensors = {"a": torch.zeros(100_000)}
writers = (
    lambda path: torch.save(tensors, path),
    lambda path: safetensors.torch.save_file(tensors, path),
    lambda path: path.write_bytes(bytes(400_000)),
)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for writer in writers:
    try:
        with staged(Path(sys.argv[1]), 20, "job") as work:
            writer(work / "weights")
    except StoreError as error:
        print(error)
"""


def test_a_full_disk_is_told_of_by_whatever_library_meets_it_and_leaves_the_older_ones(tmp_path: Path) -> None:
    write(tmp_path, 10)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True
    )
    expected = f"{tmp_path}/step-000020 cannot be written (no space left, or a quota); free some space\n"
    assert done.stdout == 3 * expected
    assert [*tmp_path.iterdir()] == [tmp_path / "step-000010"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/step-000001 cannot be written"):
        write(tmp_path / "file", 1)


def test_pruning_keeps_what_it_is_told_to_and_nothing_unfinished(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        write(tmp_path, step)
    (tmp_path / "tmp-step-000050").mkdir()
    (tmp_path / "step-of-somebody-else").mkdir()
    prune(tmp_path, {20, 40, 60})
    assert {each.name for each in tmp_path.iterdir()} == {"step-000020", "step-000040", "step-of-somebody-else"}
