"""`python -m finetune`: chats in, a dataset to train on, a better model out; once, or again and again by schedule."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bots.chatlog import DatabaseError
from engine.errors import EngineError
from exporters.errors import ExportError
from finetune.errors import FinetuneError
from finetune.importing.formats import FORMATS
from finetune.importing.options import DATE_ORDERS
from finetune.installation import Installation
from finetune.rights import FORMS

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
Command = Callable[[Installation, argparse.Namespace], int]

# Which module has a command. They are loaded when they are called: `status` does not wait for PyTorch.
_DATA, _MODELS, _SCHEDULE = "data", "models", "schedule"
_MODULES = {
    "import": _DATA,
    "sources": _DATA,
    "remove": _DATA,
    "forget": _DATA,
    "replay": _DATA,
    "prepare": _DATA,
    "report": _DATA,
    "train": _MODELS,
    "evaluate": _MODELS,
    "compare": _MODELS,
    "versions": _MODELS,
    "promote": _MODELS,
    "rollback": _MODELS,
    "run": _SCHEDULE,
    "schedule": _SCHEDULE,
    "runs": _SCHEDULE,
    "status": _SCHEDULE,
    "pause": _SCHEDULE,
    "resume": _SCHEDULE,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    # A library that we import sets the root logger to INFO; this is a command, its output is ours to choose.
    logging.basicConfig(level=logging.WARNING, force=True)
    try:
        return _command(options.command)(Installation.open(), options)
    except (FinetuneError, EngineError, ExportError, DatabaseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read what we say has seen enough; what is left in the buffer is not to fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one was", file=sys.stderr)
        return 130


def _command(name: str) -> Command:
    module = importlib.import_module(f"finetune.commands.{_MODULES[name]}")
    command: Command = getattr(module, "import_" if name == "import" else name)
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m finetune", description="Make better models of chats.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_data(commands)
    _add_models(commands)
    _add_schedule(commands)
    return parser


def _add_data(commands: "Subparsers") -> None:
    _add_import(commands)
    commands.add_parser("sources", help="what is imported, and under which right")
    remove = commands.add_parser("remove", help="remove an import for good")
    remove.add_argument("name")
    forget = commands.add_parser("forget", help="remove what authors have said from all imports")
    forget.add_argument("platform", help="as `discord`")
    forget.add_argument("authors", nargs="+", metavar="author", help="the id, or the name where exports have no ids")
    again = commands.add_parser("replay", help="let the base model answer general questions, against forgetting")
    again.add_argument(
        "--rounds", type=_at_least_one, default=2, metavar="N", help="answers to each (default: %(default)s)"
    )
    prepare = commands.add_parser("prepare", help="make a dataset of the chat log and all imports")
    prepare.add_argument("--explain", metavar="MESSAGE_ID", help="say what became of one message, and why")
    report = commands.add_parser("report", help="write the report of the newest dataset again, or of a run")
    report.add_argument("run", nargs="?", help="as `runs` names it; `last` for the newest")


def _add_models(commands: "Subparsers") -> None:
    train = commands.add_parser("train", help="train on the newest dataset and export, without judging or promoting")
    train.add_argument("--search", type=_at_least_one, metavar="N", help="try N sets of hyperparameters instead")
    evaluate = commands.add_parser("evaluate", help="judge a model by the champion on the newest dataset")
    evaluate.add_argument("model", help="a version in the registry, or the folder of a bundle")
    evaluate.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="what it was exported from, to see whether it says the same: sft/merged or kto/merged of its run",
    )
    compare = commands.add_parser("compare", help="a page on which people compare two models without knowing which")
    compare.add_argument("version", nargs="?", help="(default: the challenger, else the champion)")
    compare.add_argument("--against", metavar="VERSION", help="(default: the champion, else the one before)")
    compare.add_argument("--judge", metavar="NAME", help="whose votes these are (default: your user name)")
    compare.add_argument("--from-chats", action="store_true", help="ask what people have said in held-out chats")
    compare.add_argument("--port", type=int, default=8765, help="(default: %(default)s)")
    commands.add_parser("versions", help="all models: where they come from, and what they may not be used for")
    promote = commands.add_parser("promote", help="make a version the champion; running bots change over to it")
    promote.add_argument("version", nargs="?", help="(default: the challenger)")
    promote.add_argument("--reason", default="by hand", help="kept in the history")
    rollback = commands.add_parser("rollback", help="go back to the champion before this one")
    rollback.add_argument("--reason", default="by hand", help="kept in the history")


def _add_schedule(commands: "Subparsers") -> None:
    run = commands.add_parser("run", help="make a new model if one is due: data, training, gates, promotion")
    run.add_argument("--now", action="store_true", help="whether or not one is due")
    run.add_argument("--id", help=argparse.SUPPRESS)  # how the scheduler starts a run
    schedule = commands.add_parser("schedule", help="keep running, and make a new model whenever one is due")
    schedule.add_argument("--cron", help="minute, hour, day, month, weekday (default: SCHEDULE_CRON)")
    runs = commands.add_parser("runs", help="what became of the last runs")
    runs.add_argument("-n", type=_at_least_one, default=20, metavar="N", help="how many (default: %(default)s)")
    commands.add_parser("status", help="what is under way, and what is due")
    commands.add_parser("pause", help="let no run begin until `resume`")
    commands.add_parser("resume", help="let runs begin again")


def _add_import(commands: "Subparsers") -> None:
    formats = "; ".join(f"{format.name}: {format.summary}" for format in FORMATS.values())
    parser = commands.add_parser("import", help="take in a file with chats", epilog=formats)
    parser.add_argument("file", type=Path, help="may be compressed with gzip")
    parser.add_argument("--format", required=True, choices=list(FORMATS))
    parser.add_argument("--right", required=True, help=f"under which you may train on it: {FORMS}")
    parser.add_argument("--name", help="of the import (default: the file's)")
    parser.add_argument("--replace", action="store_true", help="take the place of another file of that name")
    parser.add_argument("--assistant", metavar="WHO", help="id or name of the speaker whose part is to be learnt")
    parser.add_argument("--chat", metavar="NAME", help="irc, whatsapp: name of the chat (default: the file's)")
    parser.add_argument("--timezone", default="UTC", help="of times without one (default: %(default)s)")
    parser.add_argument(
        "--date", metavar="YYYY-MM-DD", help="irc: day of the first line, where neither it nor the file says"
    )
    parser.add_argument("--date-order", choices=DATE_ORDERS, default="auto", help="whatsapp: how days are written")
    parser.add_argument(
        "--map", action="append", default=[], type=_mapping, metavar="OUR=THEIR", help="dialogues: where a field stands"
    )
    parser.add_argument("--group", action="store_true", help="dialogues: each is a chat of many people")
    parser.add_argument("--platform", help="dialogues: where they were said")


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _mapping(text: str) -> tuple[str, str]:
    ours, sign, theirs = text.partition("=")
    if not (ours and sign and theirs):
        raise argparse.ArgumentTypeError(f"{text!r} is not OUR=THEIR, as in turns=messages")
    return ours, theirs


if __name__ == "__main__":
    sys.exit(main())
