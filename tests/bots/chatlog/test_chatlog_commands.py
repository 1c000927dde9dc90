"""`python -m bots.chatlog`, as an operator runs it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chatlog_samples import CHAT, CONFIRMED, decide, settings, talk, talk_now

from bots.chatlog import ChatLog, DatabaseSettings, FeedbackSource, PolicySettings
from bots.chatlog.__main__ import main
from bots.message import MessageId
from bots.policy import CLOSED, Policy

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatabaseSettings:
    log_settings = settings(database_url, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DATABASE_KEY_FILE", str(log_settings.key_file))
    monkeypatch.delenv("DATABASE_RETENTION_DAYS", raising=False)
    for name in ("DISCORD_PERMISSION", "TELEGRAM_CONFIRMED", "OTHER_PLATFORMS", "TRAINING_RETENTION_DAYS"):
        monkeypatch.delenv(f"POLICY_{name}", raising=False)
    monkeypatch.chdir(tmp_path)  # where no .env is
    return log_settings


async def use(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)


def test_the_commands_look_after_a_log(environment: DatabaseSettings, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    assert "format 0003" in said("migrate")
    asyncio.run(use(environment))
    assert "1 answered" in said("stats")
    assert "2 rows are encrypted anew" in said("rotate-key")
    assert "0 messages older than 99999 days" in said("purge", "--older-than-days", "99999")
    assert "2 messages older than 0 days" in said("purge", "--older-than-days", "0")
    assert "oldest    none" in said("stats")


def test_purge_keeps_to_the_setting(
    environment: DatabaseSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(use(environment))  # a question of March 2026, answered just now
    assert main(["purge"]) == 0
    monkeypatch.setenv("DATABASE_RETENTION_DAYS", "0")
    assert main(["purge"]) == 0
    out = capsys.readouterr().out
    assert "messages older than 30 days are removed" in out
    assert "nothing was removed" in out


async def agree(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings, policy=CONFIRMED) as log:
        await talk(log, 1)
        await decide(log)
        await talk_now(log, 2)
        await log.give_feedback(CHAT, MessageId("21"), "7", 1, FeedbackSource.BUTTON)


def test_policy_tells_what_may_be_trained_on_and_what_to_set(
    environment: DatabaseSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> list[str]:
        assert main(["policy"]) == 0
        return capsys.readouterr().out.splitlines()

    asyncio.run(agree(environment))
    out = said()
    assert any("discord" in line and "POLICY_DISCORD_PERMISSION" in line for line in out)
    assert any("telegram" in line and "POLICY_TELEGRAM_CONFIRMED=true" in line for line in out)
    assert any("others" in line and "POLICY_OTHER_PLATFORMS" in line for line in out)
    assert "copies for training are kept for 365 days; see POLICY_TRAINING_RETENTION_DAYS" in out
    assert "may be trained on: 0 turns of the training log" in out
    assert next(line.split() for line in out if "telegram-not-confirmed" in line)[0] == "2"
    monkeypatch.setenv("POLICY_TELEGRAM_CONFIRMED", "true")
    monkeypatch.setenv("POLICY_DISCORD_PERMISSION", "case 123")
    monkeypatch.setenv("POLICY_OTHER_PLATFORMS", "irc, matrix")
    monkeypatch.setenv("POLICY_TRAINING_RETENTION_DAYS", "0")
    out = said()
    assert any("case 123" in line for line in out)
    assert any("on irc, matrix" in line for line in out)
    assert "copies for training are kept for ever; see POLICY_TRAINING_RETENTION_DAYS" in out
    assert "may be trained on: 1 turns of the training log" in out
    assert "with 1 ratings of their answers" in out
    assert [line.split()[:2] for line in out if line.startswith("    ")] == [
        ["1", "telegram-consent:"],
        ["1", "said-before-consent:"],
    ]


def test_purge_keeps_to_the_setting_for_copies(
    environment: DatabaseSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(agree(environment))
    assert main(["purge"]) == 0
    assert "0 copies for training older than 365 days" in capsys.readouterr().out
    assert main(["purge", "--older-than-days", "0"]) == 0
    assert "copies" not in capsys.readouterr().out
    monkeypatch.setenv("POLICY_TRAINING_RETENTION_DAYS", "0")
    assert main(["purge"]) == 0
    assert "copies" not in capsys.readouterr().out
    assert main(["stats"]) == 0
    out = capsys.readouterr().out
    assert "training messages 2" in out
    assert "training ratings 1" in out


def test_the_settings_give_the_policy_that_they_say() -> None:
    given = {"discord_permission": " case 123 ", "telegram_confirmed": True, "other_platforms": " irc,, matrix "}
    assert PolicySettings(**given).policy == Policy("case 123", True, frozenset({"irc", "matrix"}))
    assert PolicySettings().policy == CLOSED
    assert PolicySettings(discord_permission="  ").policy == CLOSED


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["purge", "--older-than-days", "-1"], ["purge", "--older", "x"]]
)
def test_a_wrong_command_shows_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "usage: python -m bots.chatlog" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_one_line(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("DATABASE_KEY_FILE", str(tmp_path / "keys"))
    (tmp_path / "keys").write_text("nonsense")
    assert main(["stats"]) == 1
    assert capsys.readouterr().err.startswith("error: line 1 of the key file")
    monkeypatch.setenv("DATABASE_KEYFILE", "x")
    assert main(["stats"]) == 1
    assert "did you mean DATABASE_KEY_FILE" in capsys.readouterr().err


def test_it_runs_as_a_module(sqlite_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"DATABASE_URL": sqlite_url, "DATABASE_KEY_FILE": str(tmp_path / "keys")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bots.chatlog", "stats"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "chats     0" in done.stdout
