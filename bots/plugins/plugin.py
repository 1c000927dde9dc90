"""What a plugin is: a class with a name, settings of its own, a beginning and an end.

Knows nothing of how plugins are found or run.
"""

import inspect
import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from bots.plugins.context import Context

MAX_NAME = 20
"""What a press brings back holds the plugin's name, and there is little room (`bots.buttons.MAX_NAME`)."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class NoConfig(BaseModel):
    """For plugins without settings."""

    model_config = ConfigDict(frozen=True)


class Plugin:
    """Base of all plugins. One object lives from `setup` to `teardown`; loading anew makes another.

    Attributes:
        name: What people and settings call it: a-z, 0-9 and _, a letter first, at most 20 long.
        summary: What it is for, in a line.
        version: Its own.
        Config: Its settings. Each field is read from `PLUGIN_<NAME>__<FIELD>` in the environment or in `.env`.
        is_essential: Whether nobody may switch it off, not even its own faults. For built-in ones.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    version: ClassVar[str] = "0"
    Config: ClassVar[type[BaseModel]] = NoConfig
    is_essential: ClassVar[bool] = False

    async def setup(self, ctx: Context[Any]) -> None:
        """Register everything through `ctx`, which takes it back when the plugin is unloaded."""
        raise NotImplementedError(f"{type(self).__name__} has no setup")

    async def teardown(self) -> None:
        """Close what is not `ctx`'s, such as files; comes after all that was registered is gone."""


def check_plugin(kind: object) -> type[Plugin]:
    """`kind`, if it is a plugin class that can be loaded.

    Raises:
        TypeError: It is none, or has no good name; says what is missing.
    """
    if not (isinstance(kind, type) and issubclass(kind, Plugin)):
        raise TypeError(f"{kind!r} is no plugin; it has to be a class derived from bots.plugins.Plugin")
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise TypeError(
            f"{kind.__name__}.name is {name!r}; it has to be a-z, 0-9 and _, a letter first, at most {MAX_NAME} long"
        )
    for method in (kind.setup, kind.teardown):
        if not inspect.iscoroutinefunction(method):
            raise TypeError(f"{kind.__name__}.{method.__name__} is no async function; write `async def`")
    return kind
