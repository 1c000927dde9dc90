import asyncio
import os
import signal
import subprocess
import sys

import console_process
import pytest

from bots.console import PipeAdapter
from bots.console.local import LOCAL_CHAT
from bots.testing import settle


def test_each_line_gets_one_reply_on_the_output_and_all_else_goes_to_the_error_output():
    code, output, errors = console_process.run(b"one\n/help\ntwo\n")
    assert code == 0
    assert output == "You said: one\nYou said: two\n"
    assert "loading model" in errors
    assert "/reset" in errors


def test_blank_lines_are_skipped_and_the_last_line_needs_no_line_end():
    assert console_process.run(b"\n  \none\r\n\n\t\ntwo")[:2] == (0, "You said: one\nYou said: two\n")


def test_no_input_is_no_error():
    assert console_process.run(b"")[:2] == (0, "")


def test_invalid_utf8_is_replaced():
    assert console_process.run(b"caf\xe9 \xe2\x82\xac\n")[:2] == (0, "You said: caf� €\n")


def test_a_reply_that_failed_is_reported_and_the_lines_after_it_are_answered():
    code, output, errors = console_process.run(b"one\nbusy\nbreak\ntwo\n")
    assert code == 1
    assert output == "You said: one\nYou said: two\n"
    assert "too busy" in errors
    assert "ZeroDivisionError" in errors
    assert "went wrong" in errors


def test_a_reply_of_many_lines_is_whole_and_ends_in_one_line_feed():
    numbers = "".join(f"{number}\n" for number in range(1, 31))
    assert console_process.run(b"count\nnext\n")[1] == numbers + "You said: next\n"


def test_what_was_said_is_remembered_from_line_to_line():
    output = console_process.run(b"one\nrecall\n/reset\nrecall\n")[1]
    assert output.splitlines()[1:] == ["Be kind. | one | You said: one | recall", "Be kind. | recall"]


def test_stop_in_the_input_stops_nothing_as_the_lines_are_answered_one_by_one():
    _, output, errors = console_process.run(b"one\n/stop\n")
    assert output == "You said: one\n"
    assert "nothing to stop" in errors


def test_control_sequences_never_reach_the_output():
    assert console_process.run(b"evil\n")[1] == "�]0;title��[2J\n"


def test_a_line_is_answered_before_the_next_one_is_there():
    with console_process.start() as process:
        for text in (b"one", b"two"):
            process.stdin.write(text + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"You said: " + text + b"\n"
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_a_reply_larger_than_the_pipe_arrives_whole():
    assert console_process.run(b"long\n")[:2] == (0, "x" * 1_000_000 + "\n")


async def test_a_reader_that_is_slow_holds_up_nothing_but_its_own_reply():
    read_end, write_end = os.pipe()
    pipe = PipeAdapter(stdin=read_end, stdout=write_end, stderr=write_end, is_live=False)
    reply = "x" * 300_000
    async with pipe, asyncio.TaskGroup() as group:
        sending = group.create_task(pipe.send(LOCAL_CHAT, reply))
        await settle()  # the pipe is full now, and the loop still turns
        assert not sending.done()
        received = b""
        while len(received) <= len(reply):
            received += os.read(read_end, 65536)
            await settle()
    assert received.decode() == reply + "\n"
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("text", ["one\ntwo\n", ""])
def test_files_do_for_input_and_output(tmp_path, text):
    (tmp_path / "in").write_text(text)
    with (
        (tmp_path / "in").open("rb") as given,
        (tmp_path / "out").open("wb") as output,
        console_process.start(stdin=given, stdout=output) as process,
    ):
        assert process.wait(timeout=30) == 0
    assert (tmp_path / "out").read_text() == "".join(f"You said: {line}\n" for line in text.splitlines())


def test_an_output_that_nobody_reads_any_more_ends_the_program_quietly():
    with console_process.start() as process:
        process.stdout.close()
        process.stdin.write(b"one\ntwo\n")  # and never closed: the program must not wait for more
        process.stdin.flush()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read().decode().count("\n") == 1  # the line about loading


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("line", [b"one\n", b"hang\n"])
def test_a_signal_ends_the_program_without_a_traceback(number, code, line):
    with console_process.start() as process:
        while b"ready" not in process.stderr.readline():
            pass
        process.stdin.write(line)
        process.stdin.flush()
        if line == b"one\n":
            process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        assert process.stderr.read() == b""


def test_without_a_model_the_engine_s_own_line_is_all_that_is_said():
    code, output, errors = console_process.run(b"one\n", "--no-model")
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()[1:]
    assert line == "mynah: models holds no model yet"


def test_standard_streams_may_be_closed():
    command = [*console_process.COMMAND]
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command],
        capture_output=True,
        env=console_process.environment(),
        timeout=30,
        check=False,
    )
    assert (closed.returncode, closed.stdout) == (0, b"")


def test_importing_bots_loads_no_training_library_and_reads_no_environment():
    program = (
        "import os, sys, logging, threading\n"
        "before = dict(os.environ)\n"
        "import bots, bots.console, bots.testing\n"
        "assert dict(os.environ) == before\n"
        "assert not logging.getLogger().handlers\n"
        "assert threading.active_count() == 1\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        env=console_process.environment(BOTS_NONSENSE="1"),
        timeout=60,
        check=False,
    )
    assert (result.stdout, result.stderr) == (b"[]\n", b"")
