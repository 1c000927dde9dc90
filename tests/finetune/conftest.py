"""A workplace for each test of a command, with a tiny model in its registry."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bots.chatlog import FileCipher
from engine.registry import Registry
from tests.finetune.workplace import KEY, Workplace

PREFIXES = ("ENGINE_", "BOTS_", "FINETUNE_", "DATABASE_", "POLICY_")


@pytest.fixture
def cipher() -> FileCipher:
    """One with a fixed key."""
    return FileCipher(KEY)


@pytest.fixture(scope="session")
def registry(bundles: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a tiny model; not to be changed."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    registry.promote(registry.add(bundles()), "for tests")
    return registry.root


@pytest.fixture
def workplace(tmp_path: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """An empty folder in which commands are run, with settings as they are by default."""
    for name in os.environ:
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENGINE_REGISTRY", str(registry))
    monkeypatch.setenv("FINETUNE_WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    return Workplace(tmp_path)
