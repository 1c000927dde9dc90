"""The commands about data: `import`, `sources`, `remove`, `forget`, `replay`, `prepare`, `report`.

Knows nothing of training.
"""

import argparse

from exporters.progress import Progress
from finetune import explaining, preparing
from finetune.errors import NoDataError
from finetune.flywheel import baseanswers
from finetune.flywheel import dataset as datasets
from finetune.importing.formats import ImportOptions
from finetune.importing.importer import Imported, import_file
from finetune.installation import Installation
from finetune.report.summary import summary
from finetune.rights import Right
from finetune.runreport import page
from finetune.runreport.summary import summary as run_summary
from finetune.schedule.queue import RunQueue

# Problems that are shown of one file; all are counted.
SHOWN_PROBLEMS = 10


def import_(at: Installation, options: argparse.Namespace) -> int:
    """Take in a file with chats."""
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
    right = Right.parse(options.right)
    imported = import_file(
        at.imports, options.file, options.format, right, given, Progress(1), name=options.name, replaces=options.replace
    )
    for line in _of_import(imported):
        print(line)
    return 0


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


def sources(at: Installation, _: argparse.Namespace) -> int:
    """Show what is imported, and under which right."""
    imports = at.imports.all()
    for each in imports:
        print(
            f"{each.name}  {each.messages.rows:,} messages  {each.origin.format}  platform {each.origin.platform}  "
            f"{each.right}  {each.origin.file}"
        )
    if not imports:
        print("nothing is imported; see `python -m finetune import --help`")
    return 0


def remove(at: Installation, options: argparse.Namespace) -> int:
    """Remove an import for good."""
    store = at.imports
    with store.alone():
        is_removed = store.remove(options.name)
    if not is_removed:
        raise NoDataError(f"there is no import named {options.name}; `python -m finetune sources` lists them")
    datasets.withdraw(at, at.runs)
    print(f"{options.name} is removed; the next `prepare` makes a dataset without it")
    return 0


def forget(at: Installation, options: argparse.Namespace) -> int:
    """Remove what some authors have said from all imports."""
    store = at.imports
    with store.alone():
        removed = store.forget(options.platform, *options.authors)
    for name, number in removed.items():
        print(f"{name}: {number:,} messages are removed, and where others call the author or have a vote of theirs")
    datasets.withdraw(at, at.runs)
    print(
        f"{', '.join(options.authors)}: remembered as forgotten, encrypted; what is imported from now on comes without"
    )
    print("the next `prepare` makes a dataset without them; models that were trained on them are to be replaced, see")
    print("`python -m finetune versions`")
    return 0


def replay(at: Installation, options: argparse.Namespace) -> int:
    """Let the base model answer general questions."""
    kept, total = baseanswers.make_replay(at, options.rounds, Progress(1))
    print(
        f"{kept:,} of {total:,} answers are kept, the others were empty or did not end; "
        "every `prepare` from now on mixes some of them in"
    )
    return 0


def prepare(at: Installation, options: argparse.Namespace) -> int:
    """Make a dataset of the chat log and all imports."""
    if options.explain is not None:
        for line in explaining.explain(at.runs, at.runs.newest(), options.explain):
            print(line)
        return 0
    dataset, report = datasets.make(at, Progress(preparing.NUM_STAGES))
    for line in summary(report):
        print(line)
    print(f"report: {at.finetune.report}")
    for each in dataset.inputs["sources"]["imports"]:
        if each["refusal"]:
            print(f"left out: {each['name']}: {each['refusal']}")
    if not dataset.stage("mix").went_in:
        raise NoDataError("nothing is left to learn; the report says what became of it")
    return 0


def report(at: Installation, options: argparse.Namespace) -> int:
    """Write the report of the newest dataset again, or that of a run."""
    if options.run is not None:
        return _report_of_run(at, options.run)
    runs = at.runs
    datasets.write_report(at, runs, at.imports, runs.newest())
    print(f"report: {at.finetune.report}")
    return 0


def _report_of_run(at: Installation, name: str) -> int:
    queue = RunQueue(at.schedule.database)
    record = next(iter(queue.newest(1)), None) if name == "last" else queue.get(name)
    if record is None:
        raise NoDataError("there was no run yet; start one with: python -m finetune run --now")
    for line in run_summary(at.finetune.trainings / record.id, record):
        print(line)
    print(f"report: {page.write(at.finetune.trainings / record.id, record)}")
    return 0
