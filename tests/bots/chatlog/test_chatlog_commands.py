"""`python -m bots.chatlog`, as an operator runs it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chatlog_samples import settings, talk

from bots.chatlog import ChatLog, DatabaseSettings
from bots.chatlog.__main__ import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatabaseSettings:
    log_settings = settings(database_url, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DATABASE_KEY_FILE", str(log_settings.key_file))
    monkeypatch.delenv("DATABASE_RETENTION_DAYS", raising=False)
    monkeypatch.chdir(tmp_path)  # where no .env is
    return log_settings


async def use(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)


def test_the_commands_look_after_a_log(environment: DatabaseSettings, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    assert "format 0001" in said("migrate")
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
