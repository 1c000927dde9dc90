"""The bundle: a folder with everything that serving a model needs, and the proof that it is intact.

`model.onnx` (weights in `model.onnx.data`), `tokenizer.json`, `chat_template.jinja` and `bundle.json`, whose
schema stands here. Exporters write bundles, the engine opens them; neither knows more of the other.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import BundleError

FORMAT: Literal[1] = 1
MANIFEST_NAME = "bundle.json"
GRAPH_NAME = "model.onnx"
TOKENIZER_NAME = "tokenizer.json"
TEMPLATE_NAME = "chat_template.jinja"

Precision = Literal["fp32", "int8", "int4", "fp16", "bf16"]
Size = Annotated[int, Field(gt=0, lt=2**31)]
KvDtype = Literal["float32", "float16", "bfloat16"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelInfo(_Frozen):
    """Sizes of the decoder; `context` is the longest sequence in tokens that the graph has positions for."""

    architecture: str
    layers: Size
    heads: Size
    kv_heads: Size
    head_size: Size
    vocabulary: Size
    context: Size
    parameters: int


class KvInfo(_Frozen):
    """How the graph takes its cache: `slots` is [rows, KV heads, length, head size] per layer."""

    layout: Literal["slots"]
    dtype: KvDtype


class TokenInfo(_Frozen):
    """What serving must know of the vocabulary.

    Attributes:
        stop_ids: Any of these ends an answer.
        stop_strings: Text that ends an answer, for models that have no end-of-turn token.
        adds_bos: Whether plain text (not a rendered chat) starts with `bos_id`.
        special: Names that chat templates use (`bos_token`, `eos_token`, ...) with their text.
    """

    stop_ids: tuple[int, ...]
    stop_strings: tuple[str, ...] = ()
    bos_id: int | None = None
    adds_bos: bool = False
    special: dict[str, str] = {}


class SourceInfo(_Frozen):
    """Where the weights come from."""

    name: str
    provenance: str
    checkpoint_sha256: str


class TrainingInfo(_Frozen):
    """Which run made the checkpoint, and from which data."""

    run: str
    dataset_sha256: str


class EvaluationInfo(_Frozen):
    """What the exporter measured before it published.

    Attributes:
        max_logit_difference: Largest absolute difference between the fp32 graph's logits and torch's.
        greedy_agreement: Share of tokens on which the bundle's greedy choice equals the fp32 graph's.
        perplexity: Of the bundle on the text that ships with the exporters.
        perplexity_fp32: Of the fp32 graph on the same tokens.
        num_tokens: How many tokens that was.
        greedy_equality: Share of prompts that the fp32 graph and torch answer with the same tokens; None if the export
            was not asked to look.
    """

    max_logit_difference: float
    greedy_agreement: float
    perplexity: float
    perplexity_fp32: float
    num_tokens: int
    greedy_equality: float | None = None


class FileInfo(_Frozen):
    """A file's size in bytes and its hash."""

    size: int
    sha256: str


class Manifest(_Frozen):
    """`bundle.json`."""

    format: Literal[1]
    name: str = Field(pattern=r"^\w[\w.+-]*$")  # names a folder of the registry
    precision: Precision
    scheme: str
    provider: Literal["cpu", "cuda"]
    model: ModelInfo
    kv: KvInfo
    tokens: TokenInfo
    source: SourceInfo
    training: TrainingInfo | None = None
    evaluation: EvaluationInfo
    exported_with: dict[str, str]
    files: dict[str, FileInfo]


@dataclass(frozen=True)
class Bundle:
    """An intact bundle.

    Attributes:
        version: Name and a digest of the manifest, which holds the hash of every other file; two bundles
            of one version are the same.
    """

    path: Path
    manifest: Manifest
    version: str

    @classmethod
    def open(cls, path: Path, version: str | None = None) -> Self:
        """Check format, files and hashes. Reads every byte once (0.2 s for the default model).

        Args:
            version: What the bundle has to be, if that is known.

        Raises:
            BundleError: Says what is wrong, and with which file.
        """
        manifest_path = path / MANIFEST_NAME
        try:
            raw = manifest_path.read_bytes()
        except OSError as error:
            raise BundleError(
                f"{path} is not a bundle: cannot read {MANIFEST_NAME} ({error.strerror}); "
                "make one with: python -m exporters SOURCE OUT"
            ) from error
        manifest = _parse(raw, manifest_path)
        found = version_of(manifest.name, raw)
        if version not in (None, found):
            raise BundleError(f"{path} holds {found}, not {version}; add the bundle again")
        for name, expected in manifest.files.items():
            _check_file(path / name, expected)
        return cls(path, manifest, found)

    def file(self, name: str) -> Path:
        """The path of one of the bundle's files."""
        return self.path / name


def version_of(name: str, manifest_json: bytes) -> str:
    """The version that a manifest stands for."""
    return f"{name}-{hashlib.sha256(manifest_json).hexdigest()[:12]}"


def describe_file(path: Path) -> FileInfo:
    """Size and hash of a file, as the manifest lists them."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileInfo(size=path.stat().st_size, sha256=digest)


def _parse(raw: bytes, path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        if place == "format" and first["type"] != "missing":
            raise BundleError(
                f"{path} has format {first['input']!r}, this version reads {FORMAT}; export the model again"
            ) from error
        raise BundleError(f"{path}: {place}: {first['msg']}; export the model again") from error


def _check_file(path: Path, expected: FileInfo) -> None:
    try:
        found = describe_file(path)
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{path} cannot be read ({reason}); export the model again") from error
    if found.size != expected.size:
        raise BundleError(
            f"{path} has {found.size} bytes, {MANIFEST_NAME} says {expected.size}; export the model again"
        )
    if found != expected:
        raise BundleError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST_NAME}; export the model again")
