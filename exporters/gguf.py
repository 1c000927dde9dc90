"""A GGUF file in, a clean Hugging Face folder out: config, weights, tokenizer, chat template.

transformers reads the weights and the config; the tokenizer is built by `exporters.gguf_tokenizer`. Knows
nothing of wheels or hubs.

Header keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, modeling_gguf_pytorch_utils
from transformers.utils import logging as transformers_logging

from exporters.checkpoint import sha256_file
from exporters.errors import SourceError, UnsupportedModelError, disk_full_reported, is_disk_full
from exporters.gguf_tokenizer import Header, build_tokenizer
from exporters.progress import Bar
from exporters.staging import publish, staging_dir

CONVERSION_VERSION = 1
"""Part of the cache key: raise it whenever the folder that a GGUF file becomes changes."""


def convert(path: Path, cache: Path, bar: Bar) -> Path:
    """The folder below `cache` that the GGUF file converts to, made only if it isn't there yet.

    It is keyed by the file's SHA-256 and CONVERSION_VERSION, and appears whole or not at all.

    Raises:
        SourceError, UnsupportedModelError, DiskFullError: see `import_gguf`.
        OutputError: another process is converting the same file.
    """
    with disk_full_reported(cache):
        folder = cache / "converted" / f"{sha256_file(path)[:32]}-v{CONVERSION_VERSION}"
        if not folder.is_dir():
            with staging_dir(folder) as staging:
                import_gguf(path, staging / "hf", bar)
                publish(staging / "hf", folder)
    return folder


def import_gguf(path: Path, out: Path, bar: Bar) -> None:
    """Write the folder `out`, which transformers loads as it is; `bar` counts tensors.

    Raises:
        SourceError: not a GGUF file, or cut off.
        UnsupportedModelError: an architecture or a tokenizer that can't be read here.
        DiskFullError: no room for `out`.
    """
    with disk_full_reported(out):
        header = read_header(path)
        tokenizer = build_tokenizer(header)
        out.mkdir(parents=True, exist_ok=True)
        _save_model(path, out, tokenizer, header, bar)
        tokenizer.save_pretrained(out)


def read_header(path: Path) -> Header:
    """The GGUF file's metadata, as plain values; also checks that all tensors are there.

    Raises:
        SourceError: not a GGUF file, or cut off.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise SourceError(f"{path} begins with {magic!r}, a GGUF file begins with b'GGUF'; name another")
        return {key: field.contents() for key, field in GGUFReader(path).fields.items()}
    except (ValueError, IndexError, KeyError, OverflowError) as exc:
        size = path.stat().st_size
        raise SourceError(f"{path} has {size} bytes and is cut off or damaged; fetch it again") from exc
    except OSError as exc:
        raise SourceError(f"{path} can't be read ({exc.strerror}); check the name and its rights") from exc


def _save_model(path: Path, out: Path, tokenizer: PreTrainedTokenizerFast, header: Header, bar: Bar) -> None:
    with _quiet(bar):
        model = _load_model(path, header)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    end_of_turn = header.get("tokenizer.ggml.eot_token_id")
    stops = {ids["eos_token_id"], end_of_turn} - {None}
    for name, value in ids.items():
        setattr(model.config, name, value)
        setattr(model.generation_config, name, value)
    if len(stops) > 1:
        model.generation_config.eos_token_id = sorted(stops)
    model.config._name_or_path = ""  # else the folder's digest would depend on where the GGUF file lay
    model.save_pretrained(out, safe_serialization=True, max_shard_size="1TB")


def _load_model(path: Path, header: Header) -> Any:
    try:
        return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype="float32")
    except (ValueError, KeyError, NotImplementedError, RuntimeError, OSError) as exc:
        if is_disk_full(exc):
            raise
        architecture = header.get("general.architecture")
        readable = sorted(modeling_gguf_pytorch_utils.GGUF_SUPPORTED_ARCHITECTURES)
        if architecture not in readable:
            raise UnsupportedModelError(
                f"GGUF architecture {architecture!r} can't be read; supported are: {', '.join(readable)}"
            ) from exc
        raise SourceError(f"{path} doesn't load as a {architecture} model ({exc}); fetch it again") from exc


@contextmanager
def _quiet(bar: Bar) -> Iterator[None]:
    """Send the count of tensors to our bar, and silence transformers' bars and warnings.

    transformers draws with the `tqdm` that its module imported and takes no other, so that name is
    replaced for as long as the block runs.
    """

    def counted(tensors: Sequence[Any], **_: object) -> Iterator[Any]:
        bar.start(len(tensors), unit="tensors")
        for tensor in tensors:
            yield tensor
            bar.update(1)

    module: Any = modeling_gguf_pytorch_utils
    verbosity, original = transformers_logging.get_verbosity(), module.tqdm
    transformers_logging.set_verbosity(logging.ERROR)
    module.tqdm = counted
    try:
        yield
    finally:
        module.tqdm = original
        transformers_logging.set_verbosity(verbosity)
