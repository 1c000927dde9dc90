"""A plugin's settings, from the same places as all others.

`PLUGIN_<NAME>__<FIELD>`, with two underscores, so that no plugin's name can be taken for a field of another's.
"""

from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.settings import load_settings


def prefix_of(name: str) -> str:
    """What the settings of a plugin begin with."""
    return f"PLUGIN_{name.upper()}__"


def load_config(name: str, kind: type[BaseModel]) -> BaseModel:
    """Read the settings of the plugin `name`.

    Raises:
        SettingsError: A value is not good, one is missing, or a key is misspelt.
    """
    if not kind.model_fields:
        return kind()
    config = SettingsConfigDict(env_prefix=prefix_of(name), extra="ignore", frozen=True)
    settings = type(kind.__name__, (kind, BaseSettings), {"model_config": config, "__module__": kind.__module__})
    return load_settings(settings)
