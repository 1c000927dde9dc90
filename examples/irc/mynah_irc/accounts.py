"""The account on IRC that the settings name, and what `--check` says about it.

Knows nothing of how it is served.
"""

from collections.abc import Mapping
from functools import partial

from bots.accounts import Account, Platform
from bots.checks import Finding
from bots.commands import Command
from bots.errors import BotError
from engine.errors import SettingsError
from engine.settings import load_settings

from mynah_irc.adapter import IrcAdapter
from mynah_irc.connection import Login, NickTakenError, connected
from mynah_irc.settings import IrcSettings

MAX_PASSWORD = 200


def find_accounts() -> list[Account]:
    """That of the environment and `.env`; none if there is no nick or no server.

    Raises:
        SettingsError: A setting is not good.
    """
    return accounts_of(load_settings(IrcSettings))


def accounts_of(settings: IrcSettings) -> list[Account]:
    """One at most: a server is all that the settings name."""
    if not (settings.server and settings.nick):
        return []
    host, port = settings.address
    password = settings.password.get_secret_value()
    if len(password.encode()) > MAX_PASSWORD:
        raise SettingsError(f"IRC_PASSWORD is longer than {MAX_PASSWORD} bytes, which fit into no line")
    login = Login(host, port, settings.nick, password, settings.tls)
    had: set[str] = set()

    def open_adapter(commands: Mapping[str, Command]) -> IrcAdapter:
        return IrcAdapter(login, settings.channel_names, commands=commands, had=had)

    return [Account("irc", open_adapter, partial(check, login))]


async def check(login: Login, commands: Mapping[str, Command]) -> list[Finding]:  # noqa: ARG001  # there is no menu
    """Log in, and join no channel, so that nobody sees it."""
    try:
        async with connected(login) as connection:
            knows_accounts = "account-tag" in connection.granted
            password = "accepted, for an account" if "sasl" in connection.granted else "for the server, if it wants one"
    except NickTakenError as exc:
        return [Finding("irc: nick", False, str(exc), "normal while the bot is running")]
    except BotError as exc:
        return [Finding("irc: server", False, str(exc), "see IRC_SERVER and IRC_TLS")]
    who = "by their accounts, if they are logged in" if knows_accounts else "by nick and host alone: that proves little"
    return [
        Finding("irc: server", True, f"{login.host}:{login.port}, {'with' if login.has_tls else 'without'} encryption"),
        Finding("irc: nick", True, login.nick),
        Finding("irc: password", True, password if login.password else "none"),
        Finding("irc: people", True, f"are known {who}"),
    ]


PLATFORM = Platform("irc", "IRC_NICK", find_accounts)
