"""A folder as an operator has it, with a chat log, imports and datasets; and small invented chats to put there."""

import asyncio
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bots.chatlog import ChatLog, DatabaseSettings, FileCipher, PolicySettings
from bots.policy import Policy
from engine.bundle import Bundle
from engine.settings import load_settings
from exporters.progress import Progress
from finetune import datareport, preparing
from finetune.__main__ import main
from finetune.dataset.example import Example
from finetune.importing.store import ImportStore
from finetune.preparing import PARTS
from finetune.report import DataReport
from finetune.report.figures import discrepancies
from finetune.runs import Dataset, Runs
from finetune.sealed import Rows
from finetune.settings import FinetuneSettings
from tests.finetune.dataset.dialogues import sentence

ROOT = Path(__file__).parents[2]
DIALOGUES = ("--format", "dialogues", "--map", "turns=turns", "--right", "licence:CC0-1.0")
KEY = bytes(range(64))
PREFIXES = ("ENGINE_", "BOTS_", "FINETUNE_", "DATABASE_", "POLICY_", "TRAIN_", "GATE_", "SCHEDULE_")


def turns(seed: str, number: int = 4, speakers: Sequence[str] = ("ann", "ben"), **fields: Any) -> list[dict[str, Any]]:
    """Sentences that are like no others, said by turns."""
    rng = random.Random(seed)
    return [
        {"speaker": speakers[n % len(speakers)], "text": sentence(rng, rng.randint(5, 9)), **fields}
        for n in range(number)
    ]


def dialogues(first: int, number: int, *, num_turns: int = 4, time_s: int | None = None) -> list[dict[str, Any]]:
    """Dialogues named by number; `time_s` is when dialogue 0 began, and each is an hour later than the one before."""
    rows = []
    for n in range(first, first + number):
        said = turns(str(n), num_turns)
        for place, turn in enumerate(said):
            if time_s is not None:
                turn["time"] = time_s + 3600 * n + place
        rows.append({"id": f"d{n}", "turns": said})
    return rows


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Workplace:
    """Where commands are run: in this process if it is the current folder, else in one of their own."""

    folder: Path

    def write(self, name: str, rows: Iterable[Mapping[str, Any]]) -> str:
        """A file to import; returns its name."""
        write(self.folder / name, rows)
        return name

    def imported(self, name: str, rows: Iterable[Mapping[str, Any]], *options: str) -> None:
        """Import rows as a file."""
        assert main(["import", self.write(name, rows), *(options or DIALOGUES)]) == 0

    def prepare(self) -> Dataset:
        """Prepare as the command does, but without the page; and see that the funnel adds up."""
        bundle = Bundle.open(next((Path(os.environ["ENGINE_REGISTRY"]) / "versions").iterdir()))
        policy, progress = load_settings(PolicySettings).policy, Progress(preparing.NUM_STAGES, io.StringIO())
        snapshot = asyncio.run(self._snapshot(progress))
        settings = load_settings(FinetuneSettings)
        dataset = preparing.prepare(self.runs, self.imports, settings, policy, bundle, snapshot, progress)
        assert dataset == self.dataset()
        assert discrepancies(self.report().stages) == []
        return dataset

    async def _snapshot(self, progress: Progress) -> str:
        async with self.log() as log:
            cipher = await log.file_cipher()
            return await preparing.snapshot(log, Runs(self.folder / "runs", cipher), progress)

    def command(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """A process with a command, as an operator starts it."""
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            **options,
        )

    def log(self, policy: Policy | None = None) -> AbstractAsyncContextManager[ChatLog]:
        """The chat log here; under the policy of the settings, if none is given."""
        return ChatLog.open(self.database, policy=policy or load_settings(PolicySettings).policy)

    @property
    def database(self) -> DatabaseSettings:
        """Where the chat log here is."""
        keys, url = self.folder / "secrets" / "chatlog.keys", f"sqlite:///{self.folder}/data/mynah.db"
        return DatabaseSettings(url=url, key_file=keys)

    @cached_property
    def cipher(self) -> FileCipher:
        """The cipher of the chat log here."""

        async def ask() -> FileCipher:
            async with self.log() as log:
                return await log.file_cipher()

        return asyncio.run(ask())

    @property
    def runs(self) -> Runs:
        """The datasets."""
        return Runs(self.folder / "runs", self.cipher)

    @property
    def imports(self) -> ImportStore:
        """The imports."""
        return ImportStore(self.folder / "data" / "imports", self.cipher)

    def dataset(self) -> Dataset:
        """The newest dataset."""
        return self.runs.newest()

    def report(self, samples: int = 0) -> DataReport:
        """The report of the newest dataset, as figures."""
        return datareport.report_on(self.runs, self.imports, self.dataset(), samples)

    def parts(self) -> dict[str, list[Any]]:
        """What the newest dataset holds, row by row."""
        runs, dataset = self.runs, self.dataset()
        return {part: list(runs.rows(dataset, part, lambda row: row)) for part in PARTS}

    def examples(self, part: str) -> list[Example]:
        """A part of the newest dataset."""
        return list(self.runs.rows(self.dataset(), part, Example.from_json))

    def everything(self) -> str:
        """All rows of all files in all runs, in the clear."""
        return "\n".join(self._everything())

    def _everything(self) -> Iterator[str]:
        cipher = self.cipher
        for path in sorted((self.folder / "runs").rglob("*.rows")):
            yield from (json.dumps(row, ensure_ascii=False) for row in Rows(path, cipher, lambda row: row))


def entered(folder: Path, patch: pytest.MonkeyPatch, settings: Mapping[str, str] = MappingProxyType({})) -> Workplace:
    """The workplace of a folder, where commands are run from now on, with other settings as they are by default."""
    for name in os.environ:
        if name.startswith(PREFIXES):
            patch.delenv(name)
    for name, value in ({"FINETUNE_WORKERS": "1"} | dict(settings)).items():
        patch.setenv(name, value)
    patch.chdir(folder)
    return Workplace(folder)
