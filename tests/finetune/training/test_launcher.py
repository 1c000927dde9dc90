"""A training runs in processes of its own, none of which outlives the run; and a failed one says why in one line."""

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from finetune.errors import StoreError
from finetune.training.errors import TrainingError
from finetune.training.launcher import command, launch, reason

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60.0


def template(tmp_path: Path, code: str) -> str:
    """A launcher with a program of ours in the place of a cluster's."""
    path = tmp_path / "program.py"
    path.write_text(dedent(code), encoding="utf-8")
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))} {{command}}"


def ends(pid: int) -> bool:
    """Whether a process, which need not be a child of ours, ends in good time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], DEADLINE_S)[0])
    finally:
        os.close(descriptor)


def test_commands_start_one_process_or_several_or_what_an_operator_wants(tmp_path: Path) -> None:
    folder = tmp_path / "a run's"
    module = ["-m", "finetune.training", str(folder)]
    assert command(folder, "inline") == [sys.executable, *module]
    assert command(folder, "torchrun:3") == [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3"),
        *module,
    ]
    assert command(folder, "srun --gpus 8 torchrun --nproc-per-node 8 {command}") == [
        *("srun", "--gpus", "8", "torchrun", "--nproc-per-node", "8"),
        *module,
    ]
    inner = command(folder, "ssh far 'cd here && python {command}'")
    assert inner[:2] == ["ssh", "far"]
    assert shlex.split(inner[2]) == ["cd", "here", "&&", "python", *module]


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("torchrun", "TRAIN_LAUNCHER is 'torchrun'; set it to inline, torchrun:2"),
        ("srun python", "TRAIN_LAUNCHER is 'srun python'; set it to .* a command with {command} in it"),
        ("torchrun:two", "torchrun:two; set a number of processes"),
        ("torchrun:0", "torchrun:0; set a number of processes"),
        ("srun 'python {command}", "close its quotation marks"),
    ],
)
def test_a_launcher_that_is_none_is_refused_with_what_to_set(launcher: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        command(Path("run"), launcher)


def test_what_a_training_says_is_shown_and_logged_by_lines_and_it_stands_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = """
        import os, sys
        print(os.nice(0), os.getsid(0) == os.getpid(), sys.stdin.read(), sys.argv[1:], flush=True)
        sys.stderr.write("\\r 10% |#         |\\r100% |##########|\\n")
        sys.stderr.write("it \\N{CHECK MARK} is done")
    """
    log = tmp_path / "log.txt"
    log.write_text("from before\n")
    launch(tmp_path, template(tmp_path, program), nice=7, log=log)
    first = f"{min(19, os.nice(0) + 7)} True  ['-m', 'finetune.training', '{tmp_path}']"
    assert log.read_text().splitlines() == ["from before", first, "100% |##########|", "it \N{CHECK MARK} is done"]
    shown = capfd.readouterr()
    assert "10% |#         |" in shown.err
    assert first in shown.err
    assert shown.out == ""


def test_what_a_training_says_is_for_its_owner_only(tmp_path: Path) -> None:
    launch(tmp_path, template(tmp_path, "print('it is done')"), nice=0, log=tmp_path / "log.txt")
    assert (tmp_path / "log.txt").stat().st_mode & 0o777 == 0o600


FAILURES = {
    "sys.exit('error: no job in the folder; write one')": "has failed with status 1: no job in the folder; write one",
    "sys.stderr.write('\\r 40%'); sys.exit('error: it is full')": "has failed with status 1: it is full",
    "raise ValueError('odd number\\nof rows')": "has failed with status 1: ValueError: odd number",
    "print('at step 3'); sys.stdout.flush(); os.kill(os.getpid(), 9)": "was killed, for want of memory .*: at step 3",
    "os.kill(os.getpid(), 15)": "was ended by signal 15: it said nothing",
    "sys.exit(3)": "has failed with status 3: it said nothing",
}


@pytest.mark.parametrize("code", FAILURES)
def test_a_failed_training_tells_why_in_one_line(tmp_path: Path, code: str) -> None:
    launcher = template(tmp_path, f"import os, sys\n{code}\n")
    with pytest.raises(TrainingError, match=f"^the training {FAILURES[code]}; see .*log.txt$"):
        launch(tmp_path, launcher, nice=0, log=tmp_path / "log.txt")


def test_what_is_shown_in_the_log_already_stands_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log.txt"
    with log.open("a", encoding="utf-8") as shown:  # as of a run that the scheduler began
        monkeypatch.setattr(sys, "stderr", shown)
        launch(tmp_path, template(tmp_path, "print('half of it is done')"), nice=0, log=log)
    assert log.read_text(encoding="utf-8") == "half of it is done\n"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"127: srun-of-ours cannot be started \(No such file or directory\); see"):
        launch(tmp_path, "srun-of-ours {command}", nice=0, log=tmp_path / "log.txt")


def test_the_reason_of_a_torchrun_worker_is_found_before_torchrun_s_own_report(tmp_path: Path) -> None:
    program = tmp_path / "worker.py"
    program.write_text("import os\nprint('at step 3', flush=True)\nos.kill(os.getpid(), 9)\n")
    launcher = (
        f"{shlex.quote(sys.executable)} -m torch.distributed.run --standalone {shlex.quote(str(program))} {{command}}"
    )
    with pytest.raises(TrainingError, match=r"^the training was killed, for want of memory perhaps: at step 3; see"):
        launch(tmp_path, launcher, nice=0, log=tmp_path / "log.txt")


def test_our_own_message_goes_before_what_libraries_say_after_it() -> None:
    said = "error: too little data\nException ignored in: <function f>\nWARNING: leaked 1 object\n"
    assert reason(said) == "too little data"
    assert reason("Loading\nsome.library.OddError: no\n  a note\n") == "some.library.OddError: no"
    assert reason("Loading\n======\n") == "Loading"


# Starts one that does as torchrun's workers do: it has a session of its own, and does not listen.
STUBBORN = """
    import os, signal, subprocess, sys
    from pathlib import Path
    def save(*_):
        print("saving", flush=True)
        Path(sys.argv[-1], "saved").touch()
        sys.exit(143)
    code = (
        "import os, signal, sys; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)];"
        "print(os.getppid(), os.getpid(), flush=True); sys.stdout.close(); signal.pause()"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    signal.signal(signal.SIGTERM, save)
    signal.pause()
"""
RUN = """
import sys
from pathlib import Path
from finetune.training.launcher import launch
folder = Path(sys.argv[1])
launch(folder, sys.argv[2], nice=0, log=folder / "log.txt", grace_s=20)
"""


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_nothing_of_a_training_outlives_a_run_that_is_killed_and_it_has_time_to_save(
    tmp_path: Path, signal_name: str
) -> None:
    arguments = [sys.executable, "-c", RUN, str(tmp_path), template(tmp_path, STUBBORN)]
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
        assert run.stderr is not None
        processes = [int(each) for each in run.stderr.readline().split()]
        assert len(processes) == 2
        run.send_signal(getattr(signal, signal_name))
        said = run.stderr.read()
        assert all(map(ends, processes))
    assert run.returncode < 0
    # Without a run to pass it on, the training can still say something, and is not stopped by that.
    assert ("saving" in said) == (signal_name == "SIGINT")
    assert (tmp_path / "saved").exists()


def test_a_run_waits_for_the_training_of_one_that_was_killed_to_end(tmp_path: Path) -> None:
    slow = """
        import signal, sys, time
        from pathlib import Path
        def save(*_):
            time.sleep(1)
            Path(sys.argv[-1], "saved").touch()
            sys.exit(143)
        signal.signal(signal.SIGTERM, save)
        print("ready", flush=True)
        signal.pause()
    """
    arguments = [sys.executable, "-c", RUN, str(tmp_path), template(tmp_path, slow)]
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        assert run.stderr.readline() == "ready\n"
        run.kill()
    check = "import sys\nfrom pathlib import Path\nassert Path(sys.argv[-1], 'saved').exists(), 'too early'"
    launch(tmp_path, template(tmp_path, check), nice=0, log=tmp_path / "log.txt")


def test_a_training_that_does_not_end_when_it_is_asked_to_is_killed(tmp_path: Path) -> None:
    code = RUN.replace("grace_s=20", "grace_s=0.2")
    program = "import os, signal\nsignal.signal(15, signal.SIG_IGN)\nprint(os.getpid(), flush=True)\nsignal.pause()"
    arguments = [sys.executable, "-c", code, str(tmp_path), template(tmp_path, program)]
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        pid = int(run.stderr.readline())
        run.send_signal(signal.SIGINT)
        assert ends(pid)


def test_orphans_of_a_training_that_has_ended_are_killed(tmp_path: Path) -> None:
    program = """
        import subprocess, sys
        code = "import os, signal, sys; print(os.getpid(), flush=True); sys.stdout.close(); signal.pause()"
        worker = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
        print(worker.stdout.readline().decode())
    """
    launch(tmp_path, template(tmp_path, program), nice=0, log=tmp_path / "log.txt")
    assert ends(int((tmp_path / "log.txt").read_text().split()[0]))


def test_a_second_training_in_a_folder_is_refused(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", RUN, str(tmp_path), template(tmp_path, STUBBORN)]
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
        assert run.stderr is not None
        run.stderr.readline()
        with pytest.raises(StoreError, match=r"another process is training in .*; let it finish"):
            launch(tmp_path, "true {command}", nice=0, log=tmp_path / "log.txt", grace_s=-0.5)
        run.send_signal(signal.SIGINT)
        run.stderr.read()


def test_on_a_terminal_a_training_sees_one_as_wide(tmp_path: Path) -> None:
    program = """
        import json, os, sys
        print(json.dumps([sys.stderr.isatty(), os.get_terminal_size(2).columns]), file=sys.stderr)
    """
    ours, theirs = pty.openpty()
    import termios

    termios.tcsetwinsize(theirs, (24, 91))
    arguments = [sys.executable, "-c", RUN, str(tmp_path), template(tmp_path, program)]
    subprocess.run(arguments, cwd=ROOT, stderr=theirs, check=True)
    assert json.loads(os.read(ours, 1000)) == [True, 91]
    assert json.loads((tmp_path / "log.txt").read_text()) == [True, 91]
    for each in (ours, theirs):
        os.close(each)
