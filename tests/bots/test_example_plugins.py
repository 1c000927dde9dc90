"""The plugins in examples/plugins: each passes its own tests as anybody else's would, and all get on together."""

from pathlib import Path

import pytest

from tests.bots.outside_pytest import run_pytest

FOLDER = Path(__file__).parents[2] / "examples" / "plugins"
NAMES = ("dice", "reminders", "wordfilter")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_passes_its_tests_where_nothing_is_set_up(tmp_path, name):
    done = run_pytest(tmp_path, "--rootdir", str(tmp_path), "-c", "/dev/null", str(FOLDER / name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


async def test_all_examples_work_side_by_side(bot_with, monkeypatch):
    monkeypatch.setattr("secrets.randbelow", lambda sides: sides - 1)
    stage = await bot_with(*NAMES, folder=FOLDER, config={"reminders": {"look_every_s": 30}})
    listed = await stage.say("/help")
    for command in ("/roll", "/rolls", "/remind", "/reminders", "/unremind", "/filter"):
        assert f"\n{command}" in listed
    assert await stage.say("/roll 20") == "Ann rolls 1d20: 20"
    await stage.say("/filter add tea")
    assert "I will remind you" in await stage.say("/remind 1m Tea time")
    assert await stage.advance(60) == "Ann, I was to remind you: ★★★ time"
    assert await stage.say("tea") == "You said: ★★★"
    for name in NAMES:
        await stage.host.reload(name)
    assert await stage.say("/filter") == "Words that are not said here: tea"
    await stage.say("/plugins off dice")
    assert await stage.say("/rolls") == "/rolls is switched off in this chat."
    assert "Words that are not said" in await stage.say("/filter")


async def test_the_examples_keep_to_what_plugins_may_use():
    for path in FOLDER.glob("*/__init__.py"):
        imported = {line.split()[1] for line in path.read_text().splitlines() if line.startswith(("import", "from"))}
        ours = {name for name in imported if name.split(".")[0] in {"bots", "engine"}}
        assert ours <= {"bots.plugins", "bots.message"}, path
