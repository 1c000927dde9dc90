"""Plugins and platforms that other packages bring: found by their entry points."""

import sys

import pytest

from bots.accounts import installed_platforms
from bots.bot import BotRules, open_bot
from bots.errors import PluginError
from bots.plugins import PluginRules
from bots.testing import ScriptedEngine

PLUGIN = '''
from bots.plugins import Plugin

class Greeter(Plugin):
    name = "greeter"

    async def setup(self, ctx):
        ctx.command("greet", self.greet)

    async def greet(self) -> str:
        """Say hello."""
        return "VERSION"
'''
PLATFORM = """
from bots.accounts import Platform

PLATFORM = Platform("pigeon", "PIGEON_LOFT", lambda: [])
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package where Python finds it, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, source, group, entry):
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")

    yield install
    for name in [name for name in sys.modules if name.startswith("mynah_test_")]:
        del sys.modules[name]


async def test_a_plugin_of_an_installed_package_is_loaded_once_it_is_named_and_loaded_anew(chat_log, install):
    entry = ("mynah.plugins", "greeter = mynah_test_greeter:Greeter")
    install("mynah_test_greeter", PLUGIN.replace("VERSION", "one"), *entry)
    rules = BotRules("", plugins=PluginRules(["greeter"]))
    async with ScriptedEngine() as engine, open_bot(engine, chat_log, rules) as bot:
        (info,) = (each for each in bot.plugins.listing() if each.name == "greeter")
        assert info.problem is None
        assert "mynah_test_greeter:Greeter" in info.where
        before = bot.plugins.commands["greet"]
        await bot.plugins.reload("greeter")
        assert bot.plugins.commands["greet"] is not before
        await bot.plugins.unload("greeter")
        assert "mynah_test_greeter" not in sys.modules


def test_a_platform_of_an_installed_package_is_found(install):
    install("mynah_test_pigeon", PLATFORM, "mynah.platforms", "pigeon = mynah_test_pigeon:PLATFORM")
    (platform,) = (each for each in installed_platforms() if each.name == "pigeon")
    assert platform.token_setting == "PIGEON_LOFT"


@pytest.mark.parametrize(
    ("source", "says"),
    [("1 / 0", "cannot be imported: division by zero"), ("PLATFORM = 7", "is no bots.accounts.Platf")],
)
def test_a_platform_that_is_none_is_named(install, source, says):
    install("mynah_test_pigeon", source, "mynah.platforms", "pigeon = mynah_test_pigeon:PLATFORM")
    with pytest.raises(PluginError, match=rf"pigeon.*{says}"):
        installed_platforms()
