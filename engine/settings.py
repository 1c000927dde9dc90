"""Everything about the engine that an operator can set, and the loader that all packages share.

Knows nothing of what the settings do. Read once, at the entry point; below it, objects take the few values
that they use.
"""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from dotenv import dotenv_values
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import SettingsError

Provider = Literal["auto", "cpu", "cuda"]
AnySettings = TypeVar("AnySettings", bound=BaseSettings)

ENV_FILE = Path(".env")


class EngineSettings(BaseSettings):
    """Settings of the engine, from `ENGINE_*` in the environment or in `.env`."""

    model_config = SettingsConfigDict(env_prefix="ENGINE_", frozen=True, extra="ignore")

    registry: Path = Field(
        default=Path("models"),
        description="Folder of the model registry, whose champion is served. Relative to where the bot starts.",
    )
    provider: Provider = Field(
        default="auto",
        description="`cpu`, `cuda`, or `auto`, which is the CPU until serving from a GPU has been measured.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="Threads of one ONNX run; 0 takes one per physical core, which ONNX Runtime finds by itself.",
    )
    context_tokens: int = Field(
        default=2048,
        ge=64,
        description="Longest conversation that the model sees, in tokens; the model's own limit if that is smaller. "
        "The answer's share of it, up to a half, is kept free. Memory of a cache slot grows with it (45 KB a token for "
        "the default model).",
    )
    max_batch: int = Field(
        default=16,
        ge=1,
        description="Replies that are written at the same time. Throughput on two cores hardly grows past 16.",
    )
    slots: int = Field(
        default=24,
        ge=1,
        description="Conversations that keep their cache, running ones included; at least `max_batch`. Those "
        "beyond it are what a next turn reuses.",
    )
    prefill_chunk: int = Field(
        default=128,
        ge=16,
        description="Prompt tokens that may run before every running reply gets a token, so this bounds how long a "
        "long prompt holds up the others: 0.2 s for the default model on two cores. Half of it costs 8 % of speed.",
    )
    queue_limit: int = Field(
        default=256,
        ge=1,
        description="Requests that may wait; one more is refused and told to try again later.",
    )
    watch_interval_s: float = Field(
        default=2.0, gt=0, description="Seconds between looks at the registry for a new champion."
    )


def load_settings(kind: type[AnySettings], env_file: Path = ENV_FILE) -> AnySettings:
    """Read one package's settings from the environment and `env_file` (which may be missing).

    Raises:
        SettingsError: A value is out of range, or a key is misspelt; names the nearest valid key.
    """
    prefix = kind.model_config.get("env_prefix", "")
    # A field with an alias is another package's setting.
    valid = {str(field.validation_alias or f"{prefix}{name}").upper() for name, field in kind.model_fields.items()}
    _refuse_misspelt((key for key in os.environ if key.upper().startswith(prefix)), valid, "the environment")
    _refuse_misspelt(_suspects(dotenv_values(env_file), prefix, valid), valid, str(env_file))
    try:
        return kind(_env_file=env_file if env_file.exists() else None)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{prefix}{'.'.join(str(part) for part in first['loc'])}".upper()
        raise SettingsError(f"{name}={first['input']!r}: {first['msg']}; see .env.example") from error


def _suspects(keys: Iterable[str], prefix: str, valid: set[str]) -> Iterable[str]:
    """Keys of an env file that are ours by prefix, or so like one of ours that they can be nothing else.

    The file also holds the settings of the other packages, which are checked by their own classes.
    """
    return (
        key
        for key in keys
        if key.upper().startswith(prefix) or difflib.get_close_matches(key.upper(), valid, cutoff=0.9)
    )


def _refuse_misspelt(keys: Iterable[str], valid: set[str], where: str) -> None:
    for key in keys:
        if key.upper() not in valid:
            nearest = difflib.get_close_matches(key.upper(), sorted(valid), n=1, cutoff=0.0)[0]
            raise SettingsError(f"{key} in {where} is not a setting; did you mean {nearest}?")
