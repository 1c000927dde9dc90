"""Whether a dataset is worth a training: enough to learn, enough that is new, and nothing in it that should not be.

The rules are those of `finetune.checks` and `finetune.evaluation.gates`; here are the counts that they go by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from finetune.dataset import canaries, replay
from finetune.dataset.example import Example
from finetune.evaluation import gates
from finetune.evaluation.verdict import Verdict
from finetune.flywheel.folder import RunFolder
from finetune.report.figures import DataReport
from finetune.runs import Dataset, Runs
from finetune.settings import GateSettings

INVENTED = (replay.SOURCE, canaries.SOURCE)


def verdicts(
    report: DataReport, new: Mapping[str, int], limits: GateSettings, *, is_forced: bool
) -> tuple[Verdict, ...]:
    """What the data gate says; `new` has the tokens of each example that the champion has not learnt."""
    return gates.data_verdicts(report.checks, len(new), sum(new.values()), limits, is_forced=is_forced)


def target_tokens(runs: Runs, dataset: Dataset) -> dict[str, int]:
    """About how many tokens are to be learnt of each example that people have given, by id."""
    sizes = {
        example.id: _target_bytes(example)
        for example in runs.rows(dataset, "train", Example.from_json)
        if example.source not in INVENTED
    }
    total = sum(sizes.values())
    tokens = dataset.stage("examples").notes["splits"]["train"].get("target_tokens", 0)
    return {id: round(size * tokens / total) for id, size in sizes.items()} if total else {}


def learnt_before(folder: RunFolder | None, tokens: Mapping[str, int]) -> dict[str, int]:
    """Those of some examples that the champion's run has not learnt; all, if that is not known."""
    return dict(tokens) if folder is None else folder.new_in(tokens)


def to_json(dataset: Dataset, report: DataReport, said: Sequence[Verdict]) -> dict[str, Any]:
    """What the run's own report shows of the data: figures alone, no samples."""
    return {
        "verdicts": [verdict.to_json() for verdict in said],
        "sources": [{"name": each.name, "right": each.right, "rows": each.messages} for each in report.sources],
        "funnel": [{"stage": each.name} | asdict(each) for each in report.stages],
        "splits": {each.name: asdict(each) for each in report.splits},
        "target_tokens": dataset.stage("examples").notes["target_tokens"],
    }


def _target_bytes(example: Example) -> int:
    return sum(len(target.encode("utf-8", "surrogatepass")) for target in example.targets)
