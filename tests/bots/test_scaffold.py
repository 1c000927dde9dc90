"""`python -m bots new-plugin`: what it writes works as it stands."""

import subprocess
import sys

import pytest

from bots.scaffold import EXIT_NOT_WRITTEN, TAKEN, new_plugin, what_is_wrong_with
from tests.bots.outside_pytest import run_pytest


def test_a_new_plugin_passes_its_own_tests_in_an_empty_folder_from_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert new_plugin(["weather_report"]) == 0
    told = capsys.readouterr().out
    assert "BOTS_PLUGINS=weather_report" in told
    assert "pytest plugins/weather_report" in told
    assert "/plugins reload weather_report" in told
    assert "docs/plugins.md" in told
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py"))
    assert written == ["plugins/weather_report/__init__.py", "plugins/weather_report/test_weather_report.py"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder in (tmp_path, elsewhere):
        done = run_pytest(folder, str(tmp_path / "plugins" / "weather_report"))
        assert "3 passed" in done.stdout, done.stdout + done.stderr


async def test_the_host_loads_it_as_it_stands(bot_with, tmp_path):
    assert new_plugin(["hello", "--folder", str(tmp_path / "mine")]) == 0
    stage = await bot_with("hello", folder=tmp_path / "mine")
    assert "/hello [who]: Greet somebody" in await stage.say("/help")
    assert "Hello, Ann!" in await stage.say("/hello")


def test_its_tests_notice_when_it_is_broken(tmp_path):
    assert new_plugin(["hello", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "hello" / "__init__.py"
    path.write_text(path.read_text().replace('await drawer.set("was_greeted", True)', "pass"))
    done = run_pytest(tmp_path, "hello")
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("Greet", "greet"),
        ("my-plugin", "my_plugin"),
        ("9 lives", "lives"),
        ("Überraschung", "uberraschung"),
        ("a_name_that_is_far_too_long", "a_name_that_is_far_t"),
        ("", "my_plugin"),
        ("persona", "my_persona"),
        ("json", "my_json"),
        ("class", "my_class"),
        ("discord", "my_discord"),
        ("JSON", "my_json"),
    ],
)
def test_a_name_that_is_not_good_is_refused_with_one_that_is(tmp_path, capsys, name, suggested):
    assert new_plugin(["--folder", str(tmp_path / "plugins"), "--", name]) == EXIT_NOT_WRITTEN
    assert f"how about {suggested}?" in capsys.readouterr().err
    assert what_is_wrong_with(suggested) is None
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_there_is_overwritten(tmp_path, capsys):
    (tmp_path / "greet").mkdir()
    (tmp_path / "greet" / "__init__.py").write_text("mine")
    assert new_plugin(["greet", "--folder", str(tmp_path)]) == EXIT_NOT_WRITTEN
    assert "is there already" in capsys.readouterr().err
    assert [path.read_text() for path in (tmp_path / "greet").iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert new_plugin(["greet", "--folder", str(tmp_path / "file")]) == EXIT_NOT_WRITTEN
    assert "cannot be written" in capsys.readouterr().err


async def test_names_that_are_taken_are_those_of_the_built_in_plugins_and_commands(bot_with):
    stage = await bot_with()
    names = {each.name for each in stage.host.listing()} | set(stage.host.commands)
    assert names | {"operators"} == TAKEN


def test_it_is_a_command_of_the_bots(tmp_path):
    command = [sys.executable, "-m", "bots", "new-plugin"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert "python -m bots new-plugin" in done.stdout
