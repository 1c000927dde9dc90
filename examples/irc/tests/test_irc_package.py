"""The package as Mynah finds it: one entry point, its settings, and what `--check` says."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from bots.accounts import Platform
from engine.errors import SettingsError
from scripted_network import ScriptedNetwork

from mynah_irc import PLATFORM, IrcAdapter, IrcSettings

EXAMPLE = Path(__file__).parents[1]


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Puts settings into the environment, and nothing else there is."""
    monkeypatch.chdir(tmp_path)
    for name in IrcSettings.model_fields:
        monkeypatch.delenv(f"IRC_{name.upper()}", raising=False)
    return lambda **values: [monkeypatch.setenv(f"IRC_{name.upper()}", value) for name, value in values.items()]


def test_the_entry_point_names_the_platform():
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["mynah.platforms"].items()
    loaded = EntryPoint(name, value, "mynah.platforms").load()
    assert loaded is PLATFORM
    assert isinstance(loaded, Platform)
    assert loaded.name == name == "irc"
    assert loaded.token_setting.removeprefix("IRC_").lower() in IrcSettings.model_fields


@pytest.mark.parametrize("values", [{}, {"nick": "mynah"}, {"server": "irc.example.org:6697"}])
def test_without_nick_or_server_there_is_no_account(settings, values):
    settings(**values)
    assert PLATFORM.find_accounts() == []


async def test_the_settings_are_what_is_opened(settings):
    async with ScriptedNetwork() as network:
        server = f"127.0.0.1:{network.port}"
        settings(server=server, nick="mynah", channels=" #a, #b ,#a", tls="false", password="sesame")
        (account,) = PLATFORM.find_accounts()
        assert account.name == "irc"
        adapter = account.open({})
        assert isinstance(adapter, IrcAdapter)
        assert "sesame" not in repr(vars(adapter))
        network._password = "sesame"
        async with adapter:
            assert [line for line in network.typed if line.startswith("JOIN")] == ["JOIN #a", "JOIN #b"]
            findings = await account.check({})
    assert all(finding.is_ok for finding in findings)
    assert "accounts" in findings[-1].text
    (finding,) = await account.check({})  # the server is gone
    assert not finding.is_ok
    assert "IRC_SERVER" in finding.hint


async def test_a_check_joins_no_channel_and_names_what_is_wrong(settings):
    async with ScriptedNetwork(refusal="433 * mynah :Nickname is already in use") as network:
        settings(server=f"127.0.0.1:{network.port}", nick="mynah", channels="#a", tls="no")
        (finding,) = await PLATFORM.find_accounts()[0].check({})
    assert not finding.is_ok
    assert "running" in finding.hint
    assert not any(line.startswith("JOIN") for line in network.typed)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"server": "irc.example.org"}, "IRC_SERVER"),
        ({"server": "irc.example.org:99999"}, "IRC_SERVER"),
        ({"nick": "two words"}, "IRC_NICK"),
        ({"nick": "a\r\nQUIT"}, "IRC_NICK"),
        ({"channels": "birds"}, "IRC_CHANNELS"),
        ({"channels": "#a b"}, "IRC_CHANNELS"),
        ({"chanels": "#a"}, "did you mean IRC_CHANNELS"),
        ({"server": "h:1", "nick": "a", "password": "x" * 300}, "IRC_PASSWORD"),
    ],
)
def test_a_setting_that_is_not_good_is_named(settings, values, said, monkeypatch):
    settings(**values)
    with pytest.raises(SettingsError, match=said) as caught:
        PLATFORM.find_accounts()
    assert "xxx" not in str(caught.value)


def test_an_address_may_be_ipv6():
    assert IrcSettings(server="[::1]:6697").address == ("::1", 6697)
    assert IrcSettings(server="irc.example.org:6697").address == ("irc.example.org", 6697)
