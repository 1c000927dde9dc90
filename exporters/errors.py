"""What can go wrong in an export, as the few kinds that callers treat differently.

ExportError
├── SourceError               wrong input: no such folder, unknown name, broken checkpoint
├── UnsupportedModelError     a sound checkpoint of a kind that we can't export
├── SourceUnreachableError    not now: the hub or the package index doesn't answer
├── HashMismatchError         what was fetched is not what we pinned
├── DiskFullError             no room (or a file-size limit) where we write
├── ToleranceError            a parity or perplexity check failed
├── OutputError               OUT exists and is something else, or can't be written
└── PrecisionError            this precision can't be made for this provider here

Every message is one line: what was found, what was expected, what to do. This module knows nothing
of models, hubs or packages.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_RUST_OS_ERROR = re.compile(r"\(os error (\d+)\)")  # how safetensors and tokenizers spell an errno


class ExportError(Exception):
    """Base of all errors that an export raises on purpose; the message is always one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class SourceError(ExportError):
    """The source is no such folder, an unknown name or a broken checkpoint; trying again won't help."""


class UnsupportedModelError(ExportError):
    """The checkpoint is sound, but its architecture, head size, rope or tokenizer is not supported.

    The message names what is supported.
    """


class SourceUnreachableError(ExportError):
    """The hub or the package index can't be reached or is down; the same command may work later."""


class HashMismatchError(ExportError):
    """A fetched file is not the one that was pinned; nothing of it was kept."""

    def __init__(self, name: str, found: str | None, expected: str) -> None:
        super().__init__(
            f"{name} has sha256 {found or 'unknown (refused by pip)'}, expected {expected}; nothing was "
            "kept: try again, and if it stays, don't trust the package index in use"
        )
        self.name, self.found, self.expected = name, found, expected


class DiskFullError(ExportError):
    """There is no room left (or a quota or file-size limit was met) where the export writes."""

    def __init__(self, where: Path | str) -> None:
        super().__init__(f"no space left for {where} (disk full, quota or file-size limit); free some and try again")
        self.where = str(where)


class ToleranceError(ExportError):
    """A check of the exported model against its checkpoint missed its limit."""

    def __init__(self, name: str, value: float, limit: float) -> None:
        super().__init__(
            f"{name} is {value:.6g}, limit is {limit:.6g}; nothing was published: "
            "try a higher --precision, or report it"
        )
        self.name, self.value, self.limit = name, value, limit


class OutputError(ExportError):
    """OUT exists and is something else than a bundle, or can't be written."""


class PrecisionError(ExportError):
    """The combination of precision and execution provider can't be made on this machine."""


def one_line(text: str) -> str:
    """The text with every run of white space, line ends included, made one space."""
    return " ".join(text.split())


def is_disk_full(exc: BaseException | None) -> bool:
    """Whether a full disk, a quota or a file-size limit is what lies behind `exc`.

    Looks through causes and contexts, since libraries wrap the OSError, and into the text of
    errors from Rust (safetensors), which are no OSError.
    """
    while exc is not None:
        if isinstance(exc, OSError) and exc.errno in _FULL_ERRNOS:
            return True
        if (found := _RUST_OS_ERROR.search(str(exc))) and int(found[1]) in _FULL_ERRNOS:
            return True
        exc = exc.__cause__ or exc.__context__
    return False


@contextmanager
def disk_full_reported(where: Path | str) -> Iterator[None]:
    """Turn any error that a full disk caused into a DiskFullError naming `where`.

    Raises:
        DiskFullError: something inside ran out of space. Other errors pass unchanged.
    """
    try:
        yield
    except ExportError:
        raise
    except Exception as exc:
        if is_disk_full(exc):
            raise DiskFullError(where) from exc
        raise
