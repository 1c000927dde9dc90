"""What an operator sees on stderr: plain lines in a log, a bar on a terminal."""

import io
import os
import pty
import re

import pytest

from exporters.progress import Progress


def ticking(step_s: float):
    """A clock that moves on by `step_s` whenever it is read."""
    now = iter(range(1_000_000))
    return lambda: next(now) * step_s


def test_a_log_gets_one_plain_line_when_a_stage_starts_and_one_when_it_ends():
    log = io.StringIO()
    progress = Progress(2, log, clock=ticking(1.5))
    with progress.stage("fetch the model"):
        pass
    with progress.stage("count", total=3) as bar:
        bar.update(3)
    assert log.getvalue().splitlines() == [
        "[1/2] fetch the model ...",
        "[1/2] fetch the model: done after 1.5 s",
        "[2/2] count ...",
        "[2/2] count: done after 1.5 s",
    ]
    assert "\r" not in log.getvalue()


def test_a_stage_that_fails_says_that_it_stopped_and_lets_the_error_through():
    log = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress(1, log, clock=ticking(1)).stage("divide"):
        raise ZeroDivisionError
    assert log.getvalue().endswith("[1/1] divide: stopped after 1.0 s\n")


def test_a_terminal_gets_a_bar_with_its_unit_that_is_gone_when_the_stage_ends():
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        progress = Progress(1, terminal)
        assert progress.is_terminal
        with progress.stage("load") as bar:
            bar.start(2_000_000, unit="B")
            bar.update(1_000_000)
        terminal.flush()
        shown = ""
        while not shown.endswith("s\r\n"):  # a terminal hands out what it has, which may be a part
            shown += os.read(master, 65536).decode()
    os.close(master)
    assert "2.00M" in shown and "\r" in shown
    assert re.search(r"\r\s*\r\[1/1\] load: done after \d+\.\d s\r?\n$", shown)


def test_progress_goes_to_stderr_and_leaves_stdout_clean(capsys):
    with Progress(1).stage("work", total=2) as bar:
        bar.update(2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("[1/1] work ...\n")
