"""Fixtures that several test modules of the engine share."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine import Registry
from engine.bundle import MANIFEST_NAME
from tests.engine.chat_styles import STYLES, make_tokenizer


@pytest.fixture(scope="module", params=[*STYLES, "default model"])
def reference(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """A tokeniser of transformers, one of each style, and that of the real model."""
    if request.param in STYLES:
        return make_tokenizer(STYLES[request.param])
    checkpoint, _ = request.getfixturevalue("real_model")
    return AutoTokenizer.from_pretrained(checkpoint)


@pytest.fixture
def three(bundles: Callable[..., Path], tmp_path: Path) -> list[Path]:
    """Bundles of three versions: one exported, and two that differ from it in their manifests."""
    made = []
    for name in ("first", "second", "third"):
        bundle = Path(shutil.copytree(bundles(), tmp_path / name))
        manifest = json.loads((bundle / MANIFEST_NAME).read_text())
        (bundle / MANIFEST_NAME).write_text(json.dumps(manifest | {"name": name}))
        made.append(bundle)
    return made


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry in a folder that does not exist yet."""
    return Registry(tmp_path / "deep" / "registry")


@pytest.fixture
def versions(registry: Registry, three: list[Path]) -> list[str]:
    """Three versions that the registry has taken in."""
    return [registry.add(bundle) for bundle in three]
