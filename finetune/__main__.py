"""`python -m finetune import|sources|remove|forget|replay|prepare|report`: chats in, a dataset to train on out."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bots.chatlog import ChatLog, DatabaseError, DatabaseSettings, FileCipher, PolicySettings
from engine.bundle import Bundle
from engine.engine import Engine
from engine.errors import EngineError
from engine.registry import Registry
from engine.settings import EngineSettings, load_settings
from exporters.progress import Progress
from finetune import datareport, explaining, preparing
from finetune.dataset import replay
from finetune.durable import write_text
from finetune.errors import FinetuneError, NoDataError
from finetune.importing.formats import FORMATS, ImportOptions
from finetune.importing.importer import Imported, import_file
from finetune.importing.options import DATE_ORDERS
from finetune.importing.store import ImportStore
from finetune.report.page import render
from finetune.report.summary import summary
from finetune.rights import FORMS, Right
from finetune.runs import REPLAY, Dataset, Runs
from finetune.settings import FinetuneSettings

# Problems that are shown of one file; all are counted.
SHOWN_PROBLEMS = 10


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _COMMANDS[options.command](load_settings(FinetuneSettings), options)
    except (FinetuneError, EngineError, DatabaseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one was", file=sys.stderr)
        return 130
    return 0


def _import(settings: FinetuneSettings, options: argparse.Namespace) -> None:
    right = Right.parse(options.right)
    store = ImportStore(settings.imports, _cipher())
    given = ImportOptions(
        chat=options.chat,
        timezone=options.timezone,
        mapping=dict(options.map),
        assistant=options.assistant,
        platform=options.platform,
        is_group=options.group,
        date=options.date,
        date_order=options.date_order,
    )
    imported = import_file(
        store, options.file, options.format, right, given, Progress(1), name=options.name, replaces=options.replace
    )
    for line in _of_import(imported):
        print(line)


def _of_import(imported: Imported) -> list[str]:
    done, problems = imported.done, imported.problems
    if problems is None:
        return [f"{done.name}: {done.messages.rows:,} messages; imported before from the same file, nothing to do"]
    lines = [f"{done.name}: {done.messages.rows:,} messages, to be trained on under {done.right}"]
    if imported.before is not None:
        lines.append(f"  in place of the {imported.before.messages.rows:,} that were imported from it before")
    lines += [f"  left out: {number:,} {reason}" for reason, number in done.skipped]
    if problems.count:
        lines.append(f"  bad: {problems.count:,} rows, among them")
        lines += [f"    {problem}" for problem in problems.first[:SHOWN_PROBLEMS]]
    return lines


def _sources(settings: FinetuneSettings, _: argparse.Namespace) -> None:
    imports = ImportStore(settings.imports, _cipher()).all()
    for each in imports:
        print(f"{each.name}  {each.messages.rows:,} messages  {each.origin.format}  {each.right}  {each.origin.file}")
    if not imports:
        print("nothing is imported; see `python -m finetune import --help`")


def _remove(settings: FinetuneSettings, options: argparse.Namespace) -> None:
    cipher = _cipher()
    store = ImportStore(settings.imports, cipher)
    with store.alone():
        is_removed = store.remove(options.name)
    if not is_removed:
        raise NoDataError(f"there is no import named {options.name}; `python -m finetune sources` lists them")
    _withdraw(settings, Runs(settings.runs, cipher))
    print(f"{options.name} is removed; the next `prepare` makes a dataset without it")


def _forget(settings: FinetuneSettings, options: argparse.Namespace) -> None:
    cipher = _cipher()
    store = ImportStore(settings.imports, cipher)
    with store.alone():
        removed = store.forget(options.platform, options.author)
    for name, number in removed.items():
        print(f"{name}: {number:,} messages are removed, and where others call the author or have a vote of theirs")
    if not removed:
        raise NoDataError(
            f"no import has messages by {options.author} on {options.platform}; authors are named as in the export: "
            "by id, or by name where it has no ids"
        )
    _withdraw(settings, Runs(settings.runs, cipher))
    print(f"{options.author} is remembered as forgotten, encrypted: what is imported from now on comes without")
    print("the next `prepare` makes a dataset without them; models that were trained on them stay as they are")


def _withdraw(settings: FinetuneSettings, runs: Runs) -> None:
    """What was removed is not to lie about in the newest dataset, nor to be quoted by its report."""
    with runs.alone():
        runs.withdraw()
        settings.report.unlink(missing_ok=True)


def _replay(settings: FinetuneSettings, options: argparse.Namespace) -> None:
    runs = Runs(settings.runs, _cipher())
    prompts = replay.prompts()
    with runs.alone(), Progress(1).stage("ask the model", total=len(prompts) * options.rounds, unit="answers") as bar:
        number = asyncio.run(_generate(runs, settings, prompts, options.rounds, bar.update))
    print(
        f"{number:,} of {len(prompts) * options.rounds:,} answers are kept, the others were empty or did not end; "
        "every `prepare` from now on mixes some of them in"
    )


async def _generate(
    runs: Runs, settings: FinetuneSettings, prompts: Sequence[str], rounds: int, on_done: Callable[[int], None]
) -> int:
    serving = load_settings(EngineSettings)
    async with Engine(serving, _bundle().path) as engine:
        with runs.replacing(REPLAY) as written:
            async for example in replay.generate(
                engine, prompts, persona=settings.persona or None, rounds=rounds, on_done=lambda: on_done(1)
            ):
                written.writer.write(example.to_json())
    assert written.digest is not None
    return written.digest.rows


def _prepare(settings: FinetuneSettings, options: argparse.Namespace) -> None:
    cipher = _cipher()
    runs, imports = Runs(settings.runs, cipher), ImportStore(settings.imports, cipher)
    if options.explain is not None:
        for line in explaining.explain(runs, runs.newest(), options.explain):
            print(line)
        return
    progress = Progress(preparing.NUM_STAGES)
    policy = load_settings(PolicySettings)
    with runs.alone():
        snapshot = asyncio.run(_snapshot(runs, policy, progress))
    if not preparing.is_there_something(runs, imports):
        _withdraw(settings, runs)
        raise NoDataError(
            "there is nothing to train on: nobody has agreed to it in chats yet (see `python -m bots.chatlog policy`), "
            "and nothing is imported (see `python -m finetune import --help`)"
        )
    with runs.alone(), imports.alone():
        dataset = preparing.prepare(runs, imports, settings, policy.policy, _bundle(), snapshot, progress)
        with progress.stage("write the report"):
            _write_report(runs, imports, settings, dataset, print_summary=True)
    for each in dataset.inputs["sources"]["imports"]:
        if each["refusal"]:
            print(f"left out: {each['name']}: {each['refusal']}")
    if not dataset.stage("mix").went_in:
        raise NoDataError("nothing is left to learn; the report says what became of it")


async def _snapshot(runs: Runs, policy: PolicySettings, progress: Progress) -> str:
    async with ChatLog.open(load_settings(DatabaseSettings), policy=policy.policy) as log:
        return await preparing.snapshot(log, runs, progress)


def _report(settings: FinetuneSettings, _: argparse.Namespace) -> None:
    cipher = _cipher()
    runs = Runs(settings.runs, cipher)
    _write_report(runs, ImportStore(settings.imports, cipher), settings, runs.newest(), print_summary=False)


def _write_report(
    runs: Runs, imports: ImportStore, settings: FinetuneSettings, dataset: Dataset, *, print_summary: bool
) -> None:
    report = datareport.report_on(runs, imports, dataset, settings.report_samples)
    write_text(settings.report, render(report))
    for line in summary(report) if print_summary else ():
        print(line)
    print(f"report: {settings.report}")


def _cipher() -> FileCipher:
    async def ask() -> FileCipher:
        async with ChatLog.open(load_settings(DatabaseSettings)) as log:
            return await log.file_cipher()

    return asyncio.run(ask())


def _bundle() -> Bundle:
    """The first champion: the base model, which every training starts from."""
    registry = Registry(load_settings(EngineSettings).registry)
    history = registry.history()
    if not history:
        raise NoDataError(
            f"{registry.root} has no model yet, whose tokeniser examples are cut for; make one with: make model"
        )
    return Bundle.open(registry.path(history[0].version))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m finetune", description="Make a dataset of chats.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_import(commands)
    commands.add_parser("sources", help="what is imported, and under which right")
    remove = commands.add_parser("remove", help="remove an import for good")
    remove.add_argument("name")
    forget = commands.add_parser("forget", help="remove what one author has said from all imports")
    forget.add_argument("platform", help="as `discord`")
    forget.add_argument("author", help="the id, or the name where exports have no ids")
    again = commands.add_parser("replay", help="let the base model answer general questions, against forgetting")
    again.add_argument(
        "--rounds", type=_at_least_one, default=2, metavar="N", help="answers to each (default: %(default)s)"
    )
    prepare = commands.add_parser("prepare", help="make a dataset of the chat log and all imports")
    prepare.add_argument("--explain", metavar="MESSAGE_ID", help="say what became of one message, and why")
    commands.add_parser("report", help="write the report of the newest dataset again")
    return parser


def _add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


_COMMANDS: dict[str, Callable[[FinetuneSettings, argparse.Namespace], None]] = {
    "import": _import,
    "sources": _sources,
    "remove": _remove,
    "forget": _forget,
    "replay": _replay,
    "prepare": _prepare,
    "report": _report,
}


if __name__ == "__main__":
    sys.exit(main())
