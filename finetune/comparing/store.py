"""Where comparisons are kept: votes in the clear, and what people read, which may be private, encrypted.

`<version>--<against>.json` holds the votes, and beside it `.<source>.rows` the questions with both answers. Knows
nothing of how votes are counted.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from bots.chatlog import FileCipher
from finetune.comparing.pairs import Pair
from finetune.comparing.votes import Sitting, Votes
from finetune.durable import UNFINISHED, write_text
from finetune.errors import StoreError
from finetune.locking import alone
from finetune.sealed import Rows, write_rows


class ComparisonStore:
    """The files of one comparison."""

    def __init__(self, folder: Path, version: str, against: str, cipher: FileCipher) -> None:
        """`folder` is that of all comparisons, and is made when first written to."""
        self.folder, self.version, self.against, self._cipher = folder, version, against, cipher

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from comparing; those that only read the result may.

        Raises:
            StoreError: One is at it, or the folder cannot be made.
        """
        with alone(self.folder, "FINETUNE_TRAININGS"):
            yield

    def votes(self) -> Votes:
        """All votes so far.

        Raises:
            StoreError: The file is damaged.
        """
        votes = read_votes(self._votes_path)
        return Votes(version=self.version, against=self.against) if votes is None else votes

    def keep(self, sitting: Sitting) -> None:
        """Have a sitting on disk as it is now, in place of what was there of it.

        Raises:
            StoreError: It cannot be written; what was there stays.
        """
        votes = self.votes().with_sitting(sitting)
        write_text(self._votes_path, f"{votes.model_dump_json(indent=2)}\n")

    def pairs(self, source: str) -> tuple[Pair, ...] | None:
        """What there is to read; None if it was not made yet, or was withdrawn.

        Raises:
            StoreError: The file is damaged.
        """
        path = self._pairs_path(source)
        return tuple(Rows(path, self._cipher, Pair.from_json)) if path.exists() else None

    def keep_pairs(self, source: str, pairs: Iterable[Pair]) -> None:
        """Have what there is to read on disk, encrypted.

        Raises:
            StoreError: It cannot be written.
        """
        with write_rows(self._pairs_path(source), self._cipher) as written:
            for pair in pairs:
                written.writer.write(pair.to_json())

    @property
    def _votes_path(self) -> Path:
        return votes_path(self.folder, self.version, self.against)

    def _pairs_path(self, source: str) -> Path:
        return self.folder / f"{self.version}--{self.against}.{source}.rows"


def votes_path(folder: Path, version: str, against: str) -> Path:
    """Where the votes of a comparison are."""
    return folder / f"{version}--{against}.json"


def read_votes(path: Path) -> Votes | None:
    """The votes in a file; None if it does not exist.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return Votes.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise StoreError(f"{path} holds no votes of ours ({error.errors()[0]['msg']}); restore or remove it") from error


def withdraw(folder: Path) -> None:
    """Remove what there was to read in all comparisons, as somebody takes back what they said; the votes stay."""
    for path in (*folder.glob("*.rows"), *folder.glob(f".*{UNFINISHED}")):
        path.unlink(missing_ok=True)
