"""One run, from chats to a promoted model: data, training, export, gates, promotion.

Each step leaves a file in the run's folder, and a run that is taken up again goes on after the last of them. Knows
nothing of when runs are due, nor of other runs that may be under way.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.bundle import Bundle
from exporters.progress import Progress
from finetune import preparing
from finetune.dataset.canaries import Canary
from finetune.errors import NoDataError
from finetune.evaluation import gates
from finetune.evaluation.figures import Figures
from finetune.evaluation.losses import bits_per_byte
from finetune.evaluation.verdict import Verdict, in_one_line, refusals
from finetune.flywheel import baseanswers, datagate, exporting, jobs, judging, standing
from finetune.flywheel import dataset as datasets
from finetune.flywheel.folder import BY_HAND, DATA, SEARCH, RunFolder
from finetune.flywheel.record import RunRecord, State, Trigger
from finetune.installation import Installation
from finetune.logged import message_number
from finetune.report.figures import DataReport
from finetune.runs import Dataset
from finetune.training import launcher

OnStep = Callable[[str], None]

logger = logging.getLogger(__name__)

# How often a dataset is made anew because somebody took back what they said while it was made.
ATTEMPTS = 3
BEGUN = "dataset.json"


@dataclass(frozen=True)
class Outcome:
    """What became of a run; `version` is the model that came out, promoted or not."""

    state: State
    words: str
    version: str | None = None


def carry_out(at: Installation, record: RunRecord, on_step: OnStep, under_way: Collection[str] = ()) -> Outcome:
    """Carry out a run, or go on with it.

    Once it is known what becomes of it, nothing changes that: what cannot be cleared up then is logged.

    Args:
        on_step: Told what is done next, in a word.
        under_way: All runs that are not over, whose files are left alone.

    Raises:
        FinetuneError: The run has failed, as of the others below; it can be taken up again.
        ExportError: The model cannot be exported.
        EngineError: A model cannot be loaded or run.
        DatabaseError: The chat log cannot be reached.
    """
    folder = RunFolder(at.finetune.trainings / record.id)
    outcome = _promoted_before(at, folder) or _outcome(at, record, folder, on_step)
    if outcome.state is not State.SKIPPED:
        _clear_up(at, folder, outcome, under_way)
    return outcome


def _promoted_before(at: Installation, folder: RunFolder) -> Outcome | None:
    """The outcome of a run whose process died after its model was promoted; None if that was not so."""
    reason = _promotion_reason(folder.path.name, "")
    for change in at.registry.history():
        if change.action == "promote" and change.reason.startswith(reason):
            return Outcome(State.PROMOTED, _in_short(folder), change.version)
    return None


def _promotion_reason(run: str, why: str) -> str:
    """What the registry is told when a run promotes its model; begins with what tells the run."""
    return f"run {run}: {why}"


def _outcome(at: Installation, record: RunRecord, folder: RunFolder, on_step: OnStep) -> Outcome:
    launcher.command(folder.path, at.train.launcher)  # what is set wrong is told of before hours of work
    judging.blocked_words(at.gates)
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    on_step("data")
    dataset = _begun(at, folder)
    if dataset is None:
        dataset, said = _begin(at, folder, is_forced=record.trigger.is_forced)
        if refusals(said):
            return Outcome(State.SKIPPED, in_one_line(said))
    on_step("training")
    result = jobs.train(at, folder, dataset)
    on_step("export")
    bundle = exporting.export(at, folder, result)
    on_step("gates")
    checkpoint = exporting.checkpoint_of(folder, result)
    judged = judging.judge(at, folder, dataset, bundle, checkpoint, is_forced=_has_to_forget(at, record))
    verdicts = (*gates.training(result), *judged)
    folder.write_verdicts(verdicts)
    on_step("promotion")
    return _promoted(at, record, folder, bundle, verdicts)


def _has_to_forget(at: Installation, record: RunRecord) -> bool:
    """Whether a model that is no better than the champion is wanted, too."""
    return record.trigger is Trigger.FORGET or standing.promotions(at, datetime.now(UTC)).due() is not None


def _begun(at: Installation, folder: RunFolder) -> Dataset | None:
    """The dataset that a run has begun with, if there is one that may still be trained on."""
    runs = at.runs
    name = folder.read(BEGUN)
    try:
        newest = runs.newest()
    except NoDataError:
        return None
    if name != {"run": newest.run, "sha256": newest.sha256}:
        return None
    return newest if datasets.is_still_allowed(at, runs, newest) else None


def _begin(at: Installation, folder: RunFolder, *, is_forced: bool) -> tuple[Dataset, tuple[Verdict, ...]]:
    """Make the dataset of today, and note whose words a model is going to see if the data gate lets it."""
    if at.finetune.replay_share and not baseanswers.has_replay(at):
        baseanswers.make_replay(at, baseanswers.rounds_for(jobs.hyperparameters(at).tokens), Progress(1))
    for _ in range(ATTEMPTS):
        dataset, report = datasets.make(at, Progress(preparing.NUM_STAGES))
        said = _judge_data(at, folder, dataset, report, is_forced=is_forced)
        if refusals(said):
            return dataset, said
        if not note_whom_it_sees(at, folder, dataset):
            folder.write(BEGUN, {"run": dataset.run, "sha256": dataset.sha256})
            return dataset, said
    raise NoDataError("people take back what they said faster than a dataset of it is made; try again later")


def _judge_data(
    at: Installation, folder: RunFolder, dataset: Dataset, report: DataReport, *, is_forced: bool
) -> tuple[Verdict, ...]:
    tokens = datagate.target_tokens(at.runs, dataset)
    new = datagate.learnt_before(_champions_folder(at), tokens)
    said = datagate.verdicts(report, new, at.gates, is_forced=is_forced)
    folder.write(DATA, datagate.to_json(dataset, report, said))
    folder.write_learnt(tokens)
    return said


def _champions_folder(at: Installation) -> RunFolder | None:
    version = at.registry.champion()
    training = Bundle.open(at.registry.path(version)).manifest.training if version else None
    return RunFolder(at.finetune.trainings / training.run) if training else None


def note_whom_it_sees(at: Installation, folder: RunFolder, dataset: Dataset) -> bool:
    """Write down whose words a model is going to see; returns whether some of them were taken back meanwhile.

    In place of what was noted before: what an earlier attempt has learnt from somebody who takes it back goes first.
    """
    runs, run, imports = at.runs, folder.path.name, at.imports
    if standing.drop_if_tainted(at, run):
        folder.start_anew()
    ids = set(datasets.learnt_from(runs, dataset))
    planted = list(runs.rows(dataset, "canaries", Canary.from_json))
    with imports.alone():
        gone = standing.lineage(at).note(run, ids, planted, datetime.now(UTC))
    numbers = [number for id in ids if (number := message_number(id)) is not None]
    return bool(asyncio.run(_note_in_log(at, run, numbers)) or gone)


async def _note_in_log(at: Installation, run: str, numbers: list[int]) -> frozenset[int]:
    async with at.log() as log:
        return await log.training.note_model(run, numbers)


def _promoted(
    at: Installation, record: RunRecord, folder: RunFolder, bundle: Bundle, verdicts: tuple[Verdict, ...]
) -> Outcome:
    """Promote a model that no gate refuses, or let it wait if only people have not said yet what they think of it."""
    promotions = standing.promotions(at, datetime.now(UTC))
    if any(taint.run == record.id for taint in promotions.taints):
        promotions.lineage.drop(record.id)
        return Outcome(State.REFUSED, "somebody took back what they said while it was trained; another run is due")
    refused = refusals(verdicts)
    if refused and any(verdict.gate != gates.HUMAN for verdict in refused):
        return Outcome(State.REFUSED, in_one_line(verdicts), bundle.version)
    at.registry.add(bundle.path)
    if refused:
        at.registry.challenge(bundle.version, f"run {record.id}")
        return Outcome(State.REFUSED, f"{in_one_line(verdicts)}: python -m finetune compare", bundle.version)
    words = _in_short(folder)
    at.registry.promote(bundle.version, _promotion_reason(record.id, record.reason))
    return Outcome(State.PROMOTED, words, bundle.version)


def _clear_up(at: Installation, folder: RunFolder, outcome: Outcome, under_way: Collection[str]) -> None:
    """Delete what the outcome of a run makes superfluous or intolerable, as far as that is possible."""
    run = folder.path.name
    spared = {run, *under_way}
    for act in (
        lambda: outcome.state is State.PROMOTED and standing.promotions(at, datetime.now(UTC)).retire_tainted(spared),
        lambda: standing.promotions(at, datetime.now(UTC)).keep(at.schedule.keep_models),
        folder.drop_weights,
        lambda: _tidy(at, spared),
    ):
        try:
            act()
        except Exception:  # whatever it is, a model that serves already has not failed
            logger.warning("what run %s makes superfluous is not all deleted", run, exc_info=True)


def _tidy(at: Installation, spared: Collection[str]) -> None:
    """Delete the models that earlier runs have left, however they ended: the registry has its own of those promoted.

    The newest one stays, so that whoever wonders about a refusal can look; and what was trained by hand.
    """
    registered = {each.run for each in standing.promotions(at, datetime.now(UTC)).versions()}
    for path in at.finetune.trainings.iterdir():
        folder, run = RunFolder(path), path.name
        if run in spared or run.endswith((BY_HAND, SEARCH)) or not (folder.bundle.exists() or folder.weights()):
            continue
        if run in registered:
            folder.drop_models()
        else:
            standing.lineage(at).drop(run)


def _in_short(folder: RunFolder) -> str:
    """What speaks for a model, in one line."""
    new, old = (bits_per_byte(_figures(folder, name).held_out.values()) for name in ("challenger", "champion"))
    return f"{new:.3f} bits per byte for held-out conversations, {new / old - 1:+.1%} against the {old:.3f} before"


def _figures(folder: RunFolder, name: str) -> Figures:
    figures = folder.figures(name)
    assert figures is not None, "what was judged was measured"
    return figures
