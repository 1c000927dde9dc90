"""Imports one file: checks the right to train on it, reads it, keeps it.

Knows nothing of formats or of how imports are kept.
"""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from exporters.progress import Progress
from finetune.errors import FinetuneError, StoreError
from finetune.importing.formats import FORMATS, Format, ImportOptions
from finetune.importing.problems import Problems
from finetune.importing.store import Import, ImportStore, Origin, checked_name, name_for, sha256_of
from finetune.rights import Right, check_import

# The one format whose files may come from anywhere.
TAKES_PLATFORM = "dialogues"

APPS = frozenset({"discord", "telegram", "whatsapp"})


@dataclass(frozen=True)
class Imported:
    """What came of it.

    Attributes:
        problems: What was wrong with the file; None if it had been imported before, just so.
        before: What it has replaced.
    """

    done: Import
    problems: Problems | None
    before: Import | None = None


def import_file(
    store: ImportStore,
    path: Path,
    format_name: str,
    right: Right,
    options: ImportOptions,
    progress: Progress,
    *,
    name: str | None = None,
    replaces: bool = False,
) -> Imported:
    """Keep what people said in a file; what was imported from the same file under the same name is replaced.

    Args:
        replaces: Whether another file may be replaced, too, such as an older export of the same chat.

    Raises:
        FinetuneError: A platform was named for a format that has its own.
        RightError: The right does not do for the platform; nothing was read.
        SourceFileError: The file cannot be read, or holds no message.
        StoreError: Another file was imported under that name, or it cannot be written.
    """
    chosen = FORMATS[format_name]
    platform = _platform(chosen, options)
    check_import(platform, right)
    file_sha256 = sha256_of(path)
    origin = Origin(chosen.name, platform, _shown(path, platform), file_sha256, _given(options))
    name = checked_name(name or _name_of(path, platform, file_sha256))
    with store.alone():
        before = store.find(name)
        if before is not None and (before.origin, before.right) == (origin, right) and store.has_messages(before):
            return Imported(before, None)
        if before is not None and before.origin.file_sha256 != origin.file_sha256 and not replaces:
            raise StoreError(
                f"another file was imported as {name} ({before.origin.file}, {before.messages.rows:,} messages); give "
                "this one another name with --name, or --replace that one if this is a newer export of the same chat"
            )
        problems = Problems()
        with progress.stage(f"import {path.name}", total=path.stat().st_size, unit="B") as bar:
            messages = chosen.read(path, replace(options, name=name), problems, bar.update)
            done = store.add(name, right, origin, messages, lambda: (problems.count, Counter(problems.skipped)))
    return Imported(done, problems, before)


def _name_of(path: Path, platform: str, file_sha256: str) -> str:
    """A name for an import. Exports of apps are called after people, or all the same: those have a number."""
    return f"{platform}-{file_sha256[:8]}" if platform in APPS else name_for(path)


def _shown(path: Path, platform: str) -> str:
    """What may be kept in the clear of a file's name."""
    return f"*{path.suffix}" if platform in APPS else path.name


def _platform(chosen: Format, options: ImportOptions) -> str:
    """Where the messages were said. Of an export that is plain, and nothing that an operator could say otherwise."""
    if options.platform is None:
        return chosen.platform
    if chosen.name != TAKES_PLATFORM:
        raise FinetuneError(f"{chosen.name} files say themselves where they come from; leave out --platform")
    return options.platform


def _given(options: ImportOptions) -> tuple[tuple[str, str], ...]:
    """The options that were given, as text; mappings field by field."""
    default = asdict(ImportOptions())
    given = {
        name: str(value) for name, value in asdict(options).items() if value != default[name] and name != "mapping"
    }
    given |= {f"map {ours}": theirs for ours, theirs in options.mapping.items()}
    return tuple(sorted(given.items()))
