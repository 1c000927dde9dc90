"""The export of a folder that training has made: what its bundle says of where it comes from."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.bundle import MANIFEST_NAME, Bundle, TrainingInfo
from exporters import OutputError, pipeline
from exporters.pipeline import Recipe
from exporters.progress import Progress

RECIPE = Recipe(precision="fp32", evaluation_tokens=600, greedy_prompts=3)
TRAINING = TrainingInfo(run="20261121-040000-3f9a", dataset_sha256="ab" * 32)


def _export(source: Path, out: Path, training: TrainingInfo | None = TRAINING, recipe: Recipe = RECIPE) -> Bundle:
    return pipeline.export(
        str(source),
        out,
        recipe,
        cache=out.parent,
        progress=Progress(pipeline.NUM_STAGES, io.StringIO()),
        name="tiny-llama-tuned",
        provenance="trained from tiny-llama",
        training=training,
    )


@pytest.fixture(scope="module")
def exported(checkpoints: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a trained folder; not to be changed."""
    return _export(checkpoints(), tmp_path_factory.mktemp("trained") / "bundle").path


def test_the_bundle_names_its_training_and_no_place_on_the_machine(
    exported: Path, checkpoints: Callable[..., Path]
) -> None:
    manifest = Bundle.open(exported).manifest
    assert manifest.training == TRAINING
    assert manifest.name == "tiny-llama-tuned-fp32"
    assert (manifest.source.name, manifest.source.provenance) == ("tiny-llama-tuned", "trained from tiny-llama")
    assert str(checkpoints().parent) not in (exported / MANIFEST_NAME).read_text()


def test_greedy_answers_are_measured_where_the_recipe_asks_for_it(exported: Path, bundles: Callable[..., Path]) -> None:
    assert Bundle.open(exported).manifest.evaluation.greedy_equality == 1.0
    assert Bundle.open(bundles()).manifest.evaluation.greedy_equality is None


def test_bundles_from_before_greedy_answers_were_measured_still_open(
    bundles: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(bundles(), tmp_path / "old")
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    del manifest["evaluation"]["greedy_equality"]
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    assert Bundle.open(folder).manifest.evaluation.greedy_equality is None


def test_the_same_training_again_does_nothing_and_another_one_is_refused(
    exported: Path, checkpoints: Callable[..., Path]
) -> None:
    before = (exported / MANIFEST_NAME).stat().st_mtime_ns
    assert _export(checkpoints(), exported).manifest.training == TRAINING
    assert (exported / MANIFEST_NAME).stat().st_mtime_ns == before
    other = TrainingInfo(run="20261128-040000-77aa", dataset_sha256="ab" * 32)
    for training in (other, None):
        with pytest.raises(OutputError, match="tiny-llama-tuned"):
            _export(checkpoints(), exported, training)


def test_a_bundle_without_the_greedy_answers_that_are_asked_for_is_not_the_same(
    checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    _export(checkpoints(), tmp_path / "bundle", recipe=Recipe(precision="fp32", evaluation_tokens=600))
    with pytest.raises(OutputError):
        _export(checkpoints(), tmp_path / "bundle")
