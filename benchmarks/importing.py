"""`python -m benchmarks.importing --mb 500`: time and memory of reading large exports.

For each format a file of that size is generated, read once in a process of its own, and removed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from finetune.importing.formats import FORMATS, ImportOptions
from finetune.importing.problems import Problems

WORDS = "so what did you think of the train that was late again yesterday evening in the rain"


def discord() -> Iterator[str]:
    """An export of one channel."""
    yield '{"guild":{"id":"1"},"channel":{"id":"2","type":"GuildTextChat","name":"general"},"messages":['
    for n in count():
        author = {"id": str(n % 97), "name": f"person{n % 97}", "isBot": False}
        row = {"id": str(n), "type": "Default", "timestamp": "2026-01-01T10:00:00+00:00", "content": f"{n} {WORDS}"}
        yield ("," if n else "") + json.dumps(row | {"author": author, "mentions": [], "attachments": []})


def telegram() -> Iterator[str]:
    """A chat."""
    yield '{"name":"A group","type":"private_supergroup","id":1,"messages":['
    for n in count():
        row = {"id": n, "type": "message", "date_unixtime": str(1_700_000_000 + n), "from": f"person{n % 97}"}
        yield ("," if n else "") + json.dumps(row | {"from_id": f"user{n % 97}", "text": f"{n} {WORDS}"})


def openai() -> Iterator[str]:
    """Short dialogues."""
    for n in count():
        turns = [{"role": "user", "content": f"{n} {WORDS}"}, {"role": "assistant", "content": WORDS}]
        yield json.dumps({"messages": turns}) + "\n"


FILES: dict[str, tuple[Callable[[], Iterator[str]], str]] = {
    "discord": (discord, "]}"),
    "telegram": (telegram, "]}"),
    "openai": (openai, ""),
}


def write(path: Path, format_name: str, num_bytes: int) -> None:
    """A file of about so many bytes."""
    parts, end = FILES[format_name]
    with path.open("w", encoding="utf-8") as file:
        for part in parts():
            file.write(part)
            if file.tell() >= num_bytes:
                break
        file.write(end)


def read(path: Path, format_name: str) -> int:
    """Read a file and print what it took."""
    problems, started_s = Problems(), time.process_time()
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    number = sum(1 for _ in FORMATS[format_name].read(path, ImportOptions(), problems, lambda _: None))
    seconds = time.process_time() - started_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{format_name:9} {number:>9,} messages, {problems.count} problems, {seconds:5.1f} s of CPU, "
        f"{number / seconds:>7,.0f} a second, memory {before_mb:.0f} to {peak_mb:.0f} MB"
    )
    return 0


def main() -> int:
    """Measure all formats; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description=__doc__)
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--read", nargs=2, metavar=("FORMAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        return read(Path(options.read[1]), options.read[0])
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            path = Path(folder, f"{name}.json")
            write(path, name, options.mb * 1_000_000)
            subprocess.run([sys.executable, "-m", "benchmarks.importing", "--read", name, str(path)], check=True)
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
