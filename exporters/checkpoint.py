"""A checkpoint on disk: a folder that transformers loads as it is, and a digest that names it.

Knows nothing of where checkpoints come from (`exporters/sources.py`) nor of what is made of them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 1 << 20
# What defines the model: a README, a licence or an optimiser state beside it changes nothing.
WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")
OTHER_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class Checkpoint:
    """A folder that transformers loads as it is: config.json, safetensors weights, fast tokenizer."""

    path: Path
    """The folder."""
    source: str
    """The source as the operator named it."""
    provenance: str
    """One line: where the weights came from, with hashes where known."""
    digest: str
    """What `digest_checkpoint` says of the folder."""


def digest_checkpoint(folder: Path) -> str:
    """SHA-256 over the sorted (name, SHA-256 of content) pairs of the files that define the model."""
    files = {path for pattern in (*WEIGHT_FILES, *OTHER_FILES) for path in folder.glob(pattern) if path.is_file()}
    total = hashlib.sha256()
    for path in sorted(files, key=lambda each: each.name):
        total.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return total.hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of the file's content, in hexadecimal; reads in chunks, so that size doesn't matter."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
