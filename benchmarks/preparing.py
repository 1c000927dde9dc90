"""`python -m benchmarks.preparing DATA`: how long a dataset of so many messages takes, and its shape.

DATA is the folder with the corpora; half of the messages are group chat (IRC), half dialogues (self-dialogue). The
tokeniser is that of the registry's first model. How long each stage takes is told on stderr.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from bots.chatlog import ChatLog, DatabaseSettings, FileCipher, PolicySettings
from engine.bundle import Bundle
from engine.registry import Registry
from engine.settings import EngineSettings, load_settings
from exporters.progress import Progress
from finetune import preparing
from finetune.importing.formats import FORMATS, ImportOptions
from finetune.importing.problems import Problems
from finetune.importing.store import ImportStore, Origin
from finetune.rights import Right
from finetune.runs import Runs
from finetune.settings import FinetuneSettings

IRC: Mapping[str, str] = {
    "turns": "messages",
    "id": "log",
    "speaker": "nick",
    "turn_id": "i",
    "time": "t",
    "date": "date",
    "kind": "kind",
}
CORPORA = {
    "irc-disentanglement/train.jsonl.gz": ImportOptions(mapping=IRC, is_group=True, platform="irc"),
    "self-dialogue/dialogues.jsonl.gz": ImportOptions(mapping={"turns": "turns", "author": "author"}, assistant="B"),
}


async def cipher_of(folder: Path) -> FileCipher:
    """The cipher of a database made for the occasion."""
    settings = DatabaseSettings(url=f"sqlite:///{folder}/log.db", key_file=folder / "keys")
    async with ChatLog.open(settings) as log:
        return await log.file_cipher()


def take_in(store: ImportStore, data: Path, number: int) -> int:
    """Import so many messages, and perhaps fewer if there are not so many; returns how many."""
    total = 0
    for name, options in CORPORA.items():
        path, right = data / name, Right.parse("licence:MIT")
        messages = FORMATS["dialogues"].read(path, options, Problems(), lambda _: None)
        some = islice(messages, number // len(CORPORA))
        origin = Origin("dialogues", options.platform or "dataset", path.name, "")
        total += store.add(name.partition("/")[0], right, origin, some, lambda: (0, Counter())).messages.rows
    return total


def main() -> int:
    """Measure once; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preparing", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    registry = Registry(load_settings(EngineSettings).registry)
    bundle = Bundle.open(registry.path(registry.base() or ""))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = FinetuneSettings(imports=folder / "imports", runs=folder / "runs")
        cipher = asyncio.run(cipher_of(folder))
        runs, imports = Runs(settings.runs, cipher), ImportStore(settings.imports, cipher)
        number = take_in(imports, options.data, options.messages)
        progress, started_s = Progress(preparing.NUM_STAGES), time.perf_counter()
        dataset = preparing.prepare(runs, imports, settings, PolicySettings().policy, bundle, "", progress)
        seconds = time.perf_counter() - started_s
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{number:,} messages in {seconds:.1f} s, {number / seconds:,.0f} a second; at most {memory:,.0f} MB")
    print(f"{dataset.stage('mix').came_out:,} examples to learn from, dataset {dataset.sha256[:16]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
