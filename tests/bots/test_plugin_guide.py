"""docs/plugins.md: its code runs, and what its tables say is so."""

import re
import tomllib
from pathlib import Path

import pytest

from bots.plugins import context, guard, hooks, host, watchdog
from tests.bots.outside_pytest import run_pytest

GUIDE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


PLUGINS = {re.search(r'^    name = "(\w+)"$', each, flags=re.MULTILINE)[1]: each for each in blocks("python")[:-1]}
TESTS = blocks("python")[-1]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, code in PLUGINS.items():
        (folder / f"{name}.py").write_text(code)
    return folder


def test_every_block_is_a_plugin_but_the_last_which_is_a_test():
    assert list(PLUGINS) == ["pizza", "ping", "polite", "poll", "bell", "motto", "haiku"]
    assert "async def test_" in TESTS


def test_the_tests_in_the_guide_pass_as_they_stand(tmp_path, folder):
    (tmp_path / "test_guide.py").write_text(TESTS)
    done = run_pytest(tmp_path)
    assert "5 passed" in done.stdout, done.stdout + done.stderr


async def test_all_plugins_of_the_guide_do_what_it_says(bot_with, folder):
    stage = await bot_with(*PLUGINS, folder=folder)
    say = stage.say
    assert await say("/pizza large") == "1 large margherita for Ann, cut."
    await stage.advance(5)
    assert await say("/pizza small number:2") == "2 small margherita for Ann, cut."
    assert "nothing I know" in await say("/pizza huge")
    assert await say("ping") == "pong"
    assert stage.engine.requests == []
    stage.model_says("one, two, three")
    assert await say("/haiku about rain") == "one, two, three"
    assert stage.engine.requests[-1].messages[-1].content == "Write a haiku about about rain."
    assert await say("/motto") == "Onwards!"
    await say("Hello")
    answer = stage.last_post()
    await stage.press(answer, "\N{THUMBS UP SIGN}")
    assert await stage.store_of("poll").plugin.get("thumbs") == 1


async def test_a_published_plugin_is_found_by_its_entry_point(bot_with, tmp_path, monkeypatch):
    """As pip would leave it: a package, and the entry points of its project file."""
    (project,) = map(tomllib.loads, blocks("toml"))
    (package,) = project["tool"]["setuptools"]["packages"]
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(PLUGINS["haiku"])
    metadata = tmp_path / f"{package}-{project['project']['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 1.0\n")
    points = project["project"]["entry-points"]["mynah.plugins"]
    lines = [f"{name} = {value}" for name, value in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[mynah.plugins]", *lines, ""]))
    monkeypatch.syspath_prepend(tmp_path)
    stage = await bot_with("haiku")
    assert "/haiku <about>: Write a haiku" in await stage.say("/help")


def test_the_table_of_hooks_is_that_of_the_code():
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d+) s \|$", GUIDE, flags=re.MULTILINE))
    real = {name: hook for name, hook in vars(hooks.Hooks(guard=None)).items() if name != "guard"}
    assert {name: float(within_s) for name, within_s in rows.items()} == {
        name: hook._within_s for name, hook in real.items()
    }
    assert all(hasattr(context.Context, name) for name in rows)


def test_the_limits_in_the_guide_are_those_of_the_code():
    limits = {
        "a command, a button": context.COMMAND_WITHIN_S,
        "a run of a schedule": context.SCHEDULED_WITHIN_S,
        "`setup`": host.SETUP_WITHIN_S,
        "`teardown`": host.TEARDOWN_WITHIN_S,
    }
    for what, limit_s in limits.items():
        assert f"\n| {what} | {limit_s:g} s |" in GUIDE
    assert f"without `await` | {watchdog.BLOCKED_FOR_S:g} s |" in GUIDE
    assert f"`on_message` {hooks.ACT_WITHIN_S:g} s |" in GUIDE
    assert guard.FaultLimit() == guard.FaultLimit(5, 600)
    assert "After five faults within ten minutes" in GUIDE
