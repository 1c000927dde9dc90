"""`python -m benchmarks.threads`: how well conversations are found in group chat, and the scorer's training.

    python -m benchmarks.threads score DATA              figures on the dev part
    python -m benchmarks.threads train DATA --out FILE   weights from the train part
    python -m benchmarks.threads names DATA              how well names are told from words, on the train part

To choose between weights, leave one log in six out of the training, and score on those:

    python -m benchmarks.threads train DATA --out FILE --every 6
    python -m benchmarks.threads score DATA --weights FILE --part train --every 6

DATA is a folder with `irc-disentanglement/`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ircnames import names_found
from benchmarks.ircthreads import AnnotatedLog, agreement_of_links, agreement_of_threads, read_logs
from benchmarks.threadrules import Linker, addressing, previous, same_author
from finetune.message import SourceMessage
from finetune.threads.linking import link
from finetune.threads.scorer import Scorer, shipped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three; returns the exit code."""
    options = _parser().parse_args(arguments)
    _ACTIONS[options.action](options)
    return 0


def _score(options: argparse.Namespace) -> None:
    scorer = Scorer.from_json(json.loads(options.weights.read_text(encoding="ascii"))) if options.weights else shipped()
    logs = [log.with_names() for log in read_logs(options.data, options.part)[options.every - 1 :: options.every]]
    rows = [
        _row("previous message, 5 minutes", logs, previous(5)),
        _row("previous message, 2 minutes", logs, previous(2)),
        _row("same author, 10 minutes", logs, same_author(10)),
        _row("who is named, else who named me or my own last", logs, addressing),
        _row("learned scorer", logs, _linker(scorer)),
        _row("the same without times", [log.without_times() for log in logs], _linker(scorer)),
        _row("the same, half of the links given", [log.with_replies(one_in=2) for log in logs], _linker(scorer)),
    ]
    head = ["", "threads: B3 P", "R", "F", "links and starts: P", "R", "F", "links: P", "R", "F", "messages/s"]
    print("\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]))


def _train(options: argparse.Namespace) -> None:
    from benchmarks import threadtraining  # noqa: PLC0415 - torch takes seconds to import, and the others need none

    logs = read_logs(options.data, "train")
    kept = [log.with_names() for number, log in enumerate(logs, 1) if options.every == 1 or number % options.every]
    data = threadtraining.training_set(kept)
    network = threadtraining.train(data, lambda loss: print(f"loss {loss:.4f}", file=sys.stderr))
    options.out.write_text(_by_lines(threadtraining.in_whole_numbers(network)), encoding="ascii")


def _names(options: argparse.Namespace) -> None:
    found = names_found([log.messages for log in read_logs(options.data, "train")])
    print(f"messages that begin with a name: {found.addresses}")
    print(f"names in the middle: {found.names_found} of {found.names} found")
    print(f"words that are also somebody's name: {found.words_taken_for_names} of {found.words} taken for the person")


def _row(name: str, logs: Sequence[AnnotatedLog], linker: Linker) -> list[str]:
    started = time.perf_counter()
    found = [linker(log.messages) for log in logs]
    speed = sum(len(log.messages) for log in logs) / (time.perf_counter() - started)
    scores = [
        agreement_of_threads(logs, found),
        agreement_of_links(logs, found, roots=True),
        agreement_of_links(logs, found, roots=False),
    ]
    figures = [f"{value:.3f}" for score in scores for value in (score.precision, score.recall, score.f)]
    return [name, *figures, f"{speed:,.0f}"]


def _linker(scorer: Scorer) -> Linker:
    def linker(messages: Sequence[SourceMessage]) -> list[int | None]:
        numbers = {message.id: number for number, message in enumerate(messages)}
        links = link(messages, scorer)
        return [None if found.parent is None else numbers[found.parent] for found in links]

    return linker


def _by_lines(weights: dict[str, Any]) -> str:
    """JSON with a line for each row of weights, so that a change of them can be read."""
    rows = {name: values if isinstance(values[0], list) else [values] for name, values in weights.items()}
    texts = {name: ",\n".join(json.dumps(row, separators=(",", ":")) for row in found) for name, found in rows.items()}
    whole = {name: f"[\n{text}\n]" if isinstance(weights[name][0], list) else text for name, text in texts.items()}
    return "{\n" + ",\n".join(f'"{name}": {text}' for name, text in whole.items()) + "\n}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.threads", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    score, train, names = (actions.add_parser(name) for name in _ACTIONS)
    for action in (score, train, names):
        action.add_argument("data", type=Path, metavar="DATA")
    score.add_argument("--part", choices=["train", "dev"], default="dev")
    score.add_argument("--weights", type=Path, help="what `train` wrote (default: the shipped weights)")
    score.add_argument("--every", type=int, default=1, help="score one log in so many")
    train.add_argument("--every", type=int, default=1, help="leave one log in so many out")
    train.add_argument("--out", type=Path, required=True, help="where to write the weights")
    return parser


_ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {"score": _score, "train": _train, "names": _names}


if __name__ == "__main__":
    sys.exit(main())
