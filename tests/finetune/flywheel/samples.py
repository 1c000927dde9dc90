"""Imports of invented people, trained versions of a tiny bundle, and what a run leaves of weights."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from engine.bundle import MANIFEST_NAME
from engine.registry import Registry
from finetune.importing.store import ImportStore, Origin
from finetune.message import SourceMessage
from finetune.rights import Right


def said(number: int, author: str, platform: str = "telegram", **more: object) -> SourceMessage:
    """A message of somebody; numbers tell messages of a platform apart."""
    return SourceMessage(f"{platform}:5:{number}", platform, "5", author, ("hello",), **more)  # type: ignore[arg-type]


def add_import(store: ImportStore, name: str, messages: Iterable[SourceMessage], platform: str = "telegram") -> None:
    """Import messages as a file."""
    origin = Origin(platform, platform, f"{name}.json", "ab" * 32)
    with store.alone():
        store.add(name, Right.parse("consent:forms"), origin, messages, lambda: (0, Counter()))


def trained(registry: Registry, bundle: Path, run: str, folder: Path) -> str:
    """A version as a run exports it, in the registry."""
    made = Path(shutil.copytree(bundle, folder / f"export of {run}"))
    manifest = json.loads((made / MANIFEST_NAME).read_text())
    training = {"run": run, "dataset_sha256": f"{run:0<64}"}
    (made / MANIFEST_NAME).write_text(json.dumps(manifest | {"name": run, "training": training}))
    return registry.add(made)


def leave_weights(trainings: Path, run: str) -> list[Path]:
    """What a training and an export leave in a run's folder."""
    left = [trainings / run / name for name in ("sft/merged/model.safetensors", "kto/a/b", "bundle/model.onnx")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"weights")
    (trainings / run / "report.html").write_text("figures")
    return left
