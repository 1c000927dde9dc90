"""Opening bundles, whole ones and damaged ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import Bundle, BundleError
from engine.bundle import GRAPH_NAME, MANIFEST_NAME, TEMPLATE_NAME, TOKENIZER_NAME, describe_file, version_of

FILES = (GRAPH_NAME, "model.onnx.data", TEMPLATE_NAME, TOKENIZER_NAME)


@pytest.fixture
def bundle(bundles: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle of one's own to damage."""
    return Path(shutil.copytree(bundles(), tmp_path / "bundle"))


def edit_manifest(bundle: Path, **changes: Any) -> None:
    path = bundle / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_intact_bundle_opens(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.path == bundle
    assert set(opened.manifest.files) == set(FILES)
    assert all(opened.file(name).is_file() for name in FILES)
    assert opened.version == version_of(opened.manifest.name, (bundle / MANIFEST_NAME).read_bytes())
    assert opened.version.startswith(f"{opened.manifest.name}-")


def test_the_manifest_cannot_be_changed_in_memory(bundle: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    with pytest.raises(ValueError, match="frozen"):
        manifest.name = "another"  # type: ignore[misc]  # the point of the test
    with pytest.raises(ValueError, match="frozen"):
        manifest.model.layers = 1  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found_and_its_file_named(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"/{name} is damaged"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_short_is_named_with_both_sizes(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content[:-1])
    with pytest.raises(BundleError, match=rf"/{name} has {len(content) - 1} bytes, .* says {len(content)}"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_grew_is_named(bundle: Path, name: str) -> None:
    with (bundle / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match=rf"/{name} has"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=rf"/{name} cannot be read \(No such file"):
        Bundle.open(bundle)


def test_a_folder_in_a_files_place_is_named(bundle: Path) -> None:
    (bundle / GRAPH_NAME).unlink()
    (bundle / GRAPH_NAME).mkdir()
    with pytest.raises(BundleError, match=rf"/{GRAPH_NAME} cannot be read \(Is a directory"):
        Bundle.open(bundle)


def test_a_folder_without_a_manifest_is_no_bundle(bundle: Path) -> None:
    (bundle / MANIFEST_NAME).unlink()
    with pytest.raises(BundleError, match=r"bundle is not a bundle: cannot read bundle\.json"):
        Bundle.open(bundle)


def test_what_is_not_a_folder_is_no_bundle(bundle: Path, tmp_path: Path) -> None:
    for path in (bundle / GRAPH_NAME, tmp_path / "nothing"):
        with pytest.raises(BundleError, match=rf"{path.name} is not a bundle: cannot read bundle\.json"):
            Bundle.open(path)


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_another_format_is_refused_with_both_numbers(bundle: Path, number: Any) -> None:
    edit_manifest(bundle, format=number)
    with pytest.raises(BundleError, match=rf"bundle\.json has format {number!r}, this version reads 1"):
        Bundle.open(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 1}'])
def test_a_manifest_that_cannot_be_read_is_named(bundle: Path, content: bytes) -> None:
    (bundle / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(BundleError, match=r"/bundle\.json: .*export the model again"):
        Bundle.open(bundle)


def test_a_missing_format_is_told_as_such(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST_NAME).read_text())
    del manifest["format"]
    (bundle / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"/bundle\.json: format: Field required"):
        Bundle.open(bundle)


def test_an_unknown_field_is_named(bundle: Path) -> None:
    edit_manifest(bundle, colour="green")
    with pytest.raises(BundleError, match=r"/bundle\.json: colour: Extra inputs"):
        Bundle.open(bundle)


def test_a_wrong_value_is_named_by_its_place(bundle: Path) -> None:
    model = json.loads((bundle / MANIFEST_NAME).read_text())["model"]
    edit_manifest(bundle, model=model | {"layers": "three"})
    with pytest.raises(BundleError, match=r"/bundle\.json: model\.layers: "):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "", "a\nb", "two words"])
def test_a_name_that_cannot_be_a_folder_of_the_registry_is_refused(bundle: Path, name: str) -> None:
    edit_manifest(bundle, name=name)
    with pytest.raises(BundleError, match=r"/bundle\.json: name: "):
        Bundle.open(bundle)


def test_the_version_changes_with_every_byte_of_every_file(bundle: Path) -> None:
    """A changed file with a manifest that knows of the change is another version, never the same one."""
    versions = {Bundle.open(bundle).version}
    for number, name in enumerate(FILES, start=1):
        content = bytearray((bundle / name).read_bytes())
        content[-1] ^= 1
        (bundle / name).write_bytes(content)
        files = json.loads((bundle / MANIFEST_NAME).read_text())["files"]
        edit_manifest(bundle, files=files | {name: describe_file(bundle / name).model_dump()})
        versions.add(Bundle.open(bundle).version)
        assert len(versions) == number + 1


def test_the_version_changes_with_every_byte_of_the_manifest(bundle: Path) -> None:
    before = Bundle.open(bundle).version
    with (bundle / MANIFEST_NAME).open("ab") as file:
        file.write(b"\n")
    after = Bundle.open(bundle).version
    assert after != before
    assert after.rpartition("-")[0] == before.rpartition("-")[0]


def test_a_copy_has_the_same_version(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    assert Bundle.open(copy).version == Bundle.open(bundle).version
