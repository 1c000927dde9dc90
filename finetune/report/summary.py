"""The lines that end a run of `prepare` in the terminal: the funnel in short, the splits, and what failed.

Never more than ten, each of one line; what is not in them is on the page. Knows nothing of the page.
"""

from collections.abc import Sequence

from finetune.report.figures import DataReport, SplitLine, StageLine, discrepancies
from finetune.report.wording import count, plural, printable, ranked, share, short

_MAX_STAGES = 4
_MAX_WORRIES = 3


def summary(report: DataReport) -> list[str]:
    """At most ten lines, without line ends and without anything that would steer a terminal."""
    return [_opening(report), *_stages(report.stages), _splits(report.splits), *_worries(report)]


def _opening(report: DataReport) -> str:
    messages = sum(source.messages for source in report.sources)
    return f"{plural(messages, 'message')} from {plural(len(report.sources), 'source')}"


def _stages(stages: Sequence[StageLine]) -> list[str]:
    """Those that dropped most, in the order in which they ran."""
    most = sorted(range(len(stages)), key=lambda i: -stages[i].num_dropped)[:_MAX_STAGES]
    return [_stage(stages[i]) for i in sorted(most) if stages[i].num_dropped]


def _stage(stage: StageLine) -> str:
    reasons = ranked(stage.dropped)
    named = [f"{short(reason)} {count(n)}" for reason, n in reasons[:3]]
    if len(reasons) > 3:
        named.append(f"{len(reasons) - 3} more")
    return (
        f"  {short(stage.name)}: {count(stage.went_in)} → {count(stage.came_out)} {stage.unit},"
        f" {share(stage.num_dropped, stage.went_in)} dropped ({', '.join(named)})"
    )


def _splits(splits: Sequence[SplitLine]) -> str:
    if not any(split.examples for split in splits):
        return "no splits: nothing is left to train on"
    return ", ".join(
        f"{short(split.name)} {plural(split.examples, 'example')} ({plural(split.target_tokens, 'target token')})"
        for split in splits[:4]
    )


def _worries(report: DataReport) -> list[str]:
    failed = [check for check in report.checks if not check.is_ok]
    passed = f"checks: {len(report.checks) - len(failed)} of {len(report.checks)} passed"
    worries = [f"  failed: {short(c.name, 60)}: {short(c.value)}, wanted {short(c.limit)}" for c in failed]
    worries += [f"  does not add up: {printable(words)}" for words in discrepancies(report.stages)]
    if len(worries) > _MAX_WORRIES:
        rest = len(worries) - (_MAX_WORRIES - 1)
        worries = [*worries[: _MAX_WORRIES - 1], f"  and {rest} more; the report has them all"]
    return [passed, *worries]
