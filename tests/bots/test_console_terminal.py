import signal
import stat

import console_process
import pytest

CTRL_C, CTRL_D, UP, TAB = "\x03", "\x04", "\x1b[A", "\t"


@pytest.fixture
def terminal(tmp_path):
    with console_process.terminal(tmp_path) as terminal:
        terminal.until("\n>")
        yield terminal


def test_the_first_screen_tells_the_version_the_persona_and_how_to_stop_and_quit(terminal):
    text = terminal.screen.text
    for words in ("loading model", "scripted", "Be kind.", "Ctrl-C", "Ctrl-D", "/help"):
        assert words in text


def test_a_conversation_reads_like_a_dialogue(terminal):
    terminal.type("one\r")
    terminal.until("You said: one\n\n>")
    terminal.type("two\r")
    text = terminal.until("You said: two\n\n>")
    assert "> one\nYou said: one\n\n> two\nYou said: two\n\n>" in text


def test_a_reply_of_many_lines_stands_there_once_and_in_order(terminal):
    terminal.type("count\r")
    text = terminal.until("\n30\n\n>")
    assert "> count\n" + "\n".join(map(str, range(1, 31))) + "\n\n>" in text


def test_ctrl_c_stops_the_reply_keeps_what_it_said_and_what_is_being_typed(terminal):
    terminal.type("hang\r")
    terminal.until("begun")
    terminal.type("my next")
    terminal.until("> my next")
    terminal.type(CTRL_C)
    text = terminal.until("Stopped.\n\n> my next")
    assert "> hang\nbegun\n\nStopped.\n\n> my next" in text
    terminal.type(" words\r")
    terminal.until("You said: my next words")


def test_what_is_typed_ahead_waits_below_the_reply_and_is_answered_after_it(terminal):
    terminal.type("hang\r")
    terminal.until("begun")
    terminal.type("first\rsecond\r")
    terminal.until("next: first\nnext: second\n>")
    terminal.type("/stop\r")
    text = terminal.until("You said: second\n\n>")
    assert "next:" not in text
    assert "begun\n\nStopped.\n\n> first\nYou said: first\n\n> second\nYou said: second\n\n>" in text


def test_ctrl_c_clears_a_line_and_on_an_empty_one_says_how_to_quit(terminal):
    terminal.type("never mind")
    terminal.until("> never mind")
    terminal.type(CTRL_C)
    terminal.until("never mind", gone=True)
    terminal.type(CTRL_C)
    assert terminal.until("Ctrl-D quits;").count("Ctrl-D quits;") == 1
    terminal.type("still here\r")
    terminal.until("You said: still here")


@pytest.mark.parametrize("running", ["", "hang\r"])
def test_ctrl_d_quits_and_a_reply_under_way_keeps_what_it_said(terminal, running):
    terminal.type(running)
    if running:
        terminal.until("begun")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    assert "Traceback" not in terminal.screen.text
    if running:
        assert terminal.screen.text.endswith("> hang\nbegun")


def test_commands_are_completed(terminal):
    terminal.type("/pers")
    terminal.until("Show who I am to be")
    terminal.type(TAB)
    terminal.until("> /persona")
    terminal.type(" You are a pirate.\r")
    terminal.until("My persona is now: You are a pirate.")


def test_an_error_is_told_below_what_was_said_and_a_bug_does_not_run_into_the_prompt(terminal, tmp_path):
    terminal.type("break\r")
    text = terminal.until("Please try again.\n\n>")
    assert "> break\nhalf\n\nSomething went wrong" in text
    assert "Traceback" not in text
    log = tmp_path / "mynah" / "console.log"
    assert "ZeroDivisionError: a bug" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_the_model_cannot_steer_the_terminal(terminal):
    terminal.type("evil\r")
    terminal.until("�]0;title��[2J\n\n>")


def test_the_history_outlives_the_program_and_is_for_its_owner_alone(tmp_path):
    with console_process.terminal(tmp_path) as terminal:
        terminal.until("\n>")
        terminal.type("remember me\r")
        terminal.until("You said: remember me\n\n>")
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    file = tmp_path / "mynah" / "console_history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    with console_process.terminal(tmp_path) as terminal:
        terminal.until("\n>")
        terminal.type(UP)
        terminal.until("> remember me")


def test_a_state_folder_that_cannot_be_written_costs_the_history_alone(tmp_path):
    (tmp_path / "mynah").write_text("a file where the folder should be")
    with console_process.terminal(tmp_path) as terminal:
        terminal.until("\n>")
        terminal.type("one\r")
        terminal.until("You said: one")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_signals_from_outside_end_cleanly_or_count_as_ctrl_c(terminal, number, code):
    terminal.process.send_signal(number)
    if number == signal.SIGINT:
        terminal.until("Ctrl-D quits;")
        terminal.type(CTRL_D)
    assert terminal.wait() == code
    assert "Traceback" not in terminal.screen.text


def test_a_conversation_goes_on_the_next_time_until_it_is_reset(tmp_path):
    for first_words in ("/help lists", "I remember"):
        with console_process.terminal(tmp_path) as terminal:
            terminal.until(first_words)
            terminal.until("\n>")
            terminal.type("recall\r")
            text = terminal.until("recall\n\n>" if first_words == "/help lists" else "recall | ")
            assert ("I remember" in text) is (first_words == "I remember")
            terminal.until("\n>")
            assert "went wrong" not in terminal.screen.text
            if first_words == "I remember":
                terminal.type("/reset\r")
                assert "went wrong" not in terminal.until("forgotten")
            terminal.type(CTRL_D)
            assert terminal.wait() == 0
    with console_process.terminal(tmp_path) as terminal:
        assert "I remember" not in terminal.until("/help lists")
