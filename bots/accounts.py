"""Platforms and their accounts, before they are opened: what the service serves and `--check` looks at.

Knows nothing of any one platform.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from bots.adapter import Adapter
from bots.checks import Finding
from bots.commands import Command
from bots.errors import PluginError

GROUP = "mynah.platforms"
"""The entry points of packages that bring a platform."""


@dataclass(frozen=True)
class Account:
    """A token in the settings.

    Attributes:
        name: For logs, for instance `discord` or `discord 2`; never a part of the token.
        open: Makes a new adapter that offers the given commands, which may change while it is open; called again
            each time that one has failed.
        check: Looks at everything that the platform can tell about the account.
    """

    name: str
    open: Callable[[Mapping[str, Command]], Adapter]
    check: Callable[[Mapping[str, Command]], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True)
class Platform:
    """A chat platform: what the entry point of a package in the group `mynah.platforms` names.

    Attributes:
        name: For instance `discord`: the `platform` of its adapters' chats.
        token_setting: The setting without which it has no accounts, for instance `DISCORD_TOKEN`.
        find_accounts: Reads the platform's settings; returns no account if there is no token. Raises SettingsError.
    """

    name: str
    token_setting: str
    find_accounts: Callable[[], Sequence[Account]]


def installed_platforms() -> list[Platform]:
    """Those that other packages bring.

    Raises:
        PluginError: One of them cannot be loaded; says which package it is.
    """
    return [_loaded(point) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]


def _loaded(point: EntryPoint) -> Platform:
    try:
        platform = point.load()
    except Exception as exc:  # whatever its modules do
        raise PluginError(f"the platform {point.name} ({point.value}) cannot be imported: {exc}") from exc
    if not isinstance(platform, Platform):
        raise PluginError(f"the platform {point.name} ({point.value}) is no bots.accounts.Platform; it is {platform!r}")
    return platform
