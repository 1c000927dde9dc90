"""A workplace for each test of a command, with a tiny model in its registry."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from bots.chatlog import FileCipher
from engine.registry import Registry
from tests.finetune.installed import IMPORT, LIMITS, SERVING, TRAINING, dialogues
from tests.finetune.workplace import KEY, Workplace, entered


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
    workplace = entered(tmp_path, monkeypatch)
    monkeypatch.setenv("ENGINE_REGISTRY", str(registry))
    return workplace


@pytest.fixture(scope="session")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a tiny base model that answers and ends; its checkpoint is `bundle.manifest.source.name`."""
    from exporters import pipeline
    from exporters.progress import Progress
    from tests.finetune.schooled import save_schooled

    checkpoint = save_schooled(tmp_path_factory.mktemp("schooled") / "tiny-schooled")
    out = tmp_path_factory.mktemp("bundles") / "schooled"
    recipe = pipeline.Recipe(precision="fp32", evaluation_tokens=600, max_perplexity_ratio=1.05)
    progress = Progress(pipeline.NUM_STAGES, io.StringIO())
    pipeline.export(str(checkpoint), out, recipe, cache=out.parent, progress=progress)
    return out


@pytest.fixture
def installation(workplace: Workplace, schooled: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A workplace with the schooled model as the base, and many imported dialogues."""
    for name, value in (LIMITS | TRAINING | SERVING).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ENGINE_REGISTRY", str(workplace.folder / "models"))
    registry = Registry(workplace.folder / "models")
    registry.promote(registry.add(schooled), "first model")
    workplace.imported("talk.jsonl", dialogues(560), *IMPORT, "--right", "licence:CC0-1.0")
    return workplace
