"""The libraries' trainers, as far as ours differ from them: what the loss is, what a checkpoint is, what is evaluated.

`TargetTrainer` goes through steps that were planned beforehand, each the same rows whatever the number of processes,
the size of a batch, or the device: what is learnt does not depend on them. Knows nothing of where rows come from, nor
of what is done with the weights.
"""

import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor, tensor
from torch.nn import Module
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

from finetune.training import bits, checkpoints
from finetune.training.course import Course, kept
from finetune.training.encoding import Row
from finetune.training.errors import TrainingError
from finetune.training.frugal import spare
from finetune.training.job import CHECKPOINTS
from finetune.training.targets import TOKENS_AT_ONCE, Batch, losses, packed, padded, portions

# Packed rows are at least so long; longer ones would compute more attention between texts that do not see each other.
PACKED_TOKENS = 1024
# A checkpoint holds the weights that are trained, and two moments of each: all in fp32.
BYTES_PER_WEIGHT = 12


class Keeping(Protocol):
    """What a stage is kept and judged by.

    Attributes:
        folder: The stage's own.
        digest: Of the job.
        disk_bytes: Budget for its checkpoints.
        held_out: What it is evaluated on: rows in which words alone count.
    """

    @property
    def folder(self) -> Path: ...  # noqa: D102 - the class describes its attributes
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def disk_bytes(self) -> int: ...  # noqa: D102
    @property
    def held_out(self) -> Sequence[Row]: ...  # noqa: D102


class Supervised:
    """What our trainers have in common, to be put before one of TRL's.

    Checkpoints are ours: verified, within a budget, and with the course that the stage has taken. An evaluation is
    held-out bits per byte. The model's configuration stays as it is: the libraries would write the tokeniser's end and
    padding tokens into it, which are wrong for some models, and these would then end answers when serving.
    """

    def __init__(self, *, model: Any, keeping: Keeping, course: Course, **given: Any) -> None:
        """The rest is what TRL's trainer takes."""
        self.keeping, self.course = keeping, course
        self.saved_best, self.saved_bytes = course.best_step, 0
        with _tokens_kept(model), warnings.catch_warnings():
            # peft finds out for itself which way round GPT-2 has its matrices, and says so each time.
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False", category=UserWarning)
            super().__init__(model=model, **given)  # type: ignore[call-arg]  # of the class that this one is put before
        self.remove_callback(PrinterCallback)  # type: ignore[attr-defined]  # of the class that this one is put before
        if self.args.device.type == "cpu":  # type: ignore[attr-defined]  # likewise
            spare(self.model, is_bf16=self.args.bf16)  # type: ignore[attr-defined]  # likewise

    def _align_special_tokens(self) -> None:
        """Leave the model's configuration alone."""

    def floating_point_ops(self, inputs: Any) -> int:  # noqa: ARG002  the library's signature
        """Not counted."""
        return 0

    def evaluate(self: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Held-out bits per byte, each process measuring a part."""
        began_at = time.monotonic()
        place, processes = self.args.process_index, self.args.world_size
        rows: Sequence[Row] = self.keeping.held_out
        nats = bits.total_nats(self.model, rows[place::processes], self.args.device)
        # Python's floats have twice the bits of the sums of processes, which differ by their number alone.
        total = sum(gather_object([nats]))
        found = {
            "eval_bits_per_byte": bits.bits_per_byte(total, sum(row.num_bytes for row in rows)),
            "eval_seconds": time.monotonic() - began_at,
        }
        self.log(dict(found))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def check_disk(self: Any) -> None:
        """See beforehand that the best checkpoint has room beside a new one.

        Raises:
            TrainingError: It has not.
        """
        needed = 2 * self._checkpoint_bytes()
        if needed > self.keeping.disk_bytes:
            raise TrainingError(
                f"two checkpoints need {needed / 1e9:.2f} GB, and {self.keeping.disk_bytes / 1e9:.2f} GB may be used; "
                f"set TRAIN_DISK_GB to at least {needed / 1e9:.2f}, or TRAIN_METHOD=lora"
            )

    def _checkpoint_bytes(self: Any) -> int:
        weights: int = sum(each.numel() for each in self.model.parameters() if each.requires_grad)
        return BYTES_PER_WEIGHT * weights

    def _save_checkpoint(self: Any, model: Module, trial: Any) -> None:  # noqa: ARG002  the library's signature
        """Write a checkpoint with all that going on bit by bit as before takes."""
        random_states = {name: data for part in gather_object([self._random_state()]) for name, data in part.items()}
        if self.args.should_save:
            self._write_checkpoint(random_states)
        self.accelerator.wait_for_everyone()

    def _write_checkpoint(self: Any, random_states: Mapping[str, bytes]) -> None:
        folder, step = self.keeping.folder / CHECKPOINTS, self.state.global_step
        saved = [each for each in checkpoints_in(folder) if each != step]
        room = self.keeping.disk_bytes // self._checkpoint_bytes() - 1
        checkpoints.prune(folder, kept(saved, self.saved_best, room))
        with checkpoints.staged(folder, step, self.keeping.digest) as work:
            self.model.save_pretrained(work, **({"save_embedding_layers": False} if _has_adapter(self.model) else {}))
            self._save_optimizer_and_scheduler(work)
            self.state.save_to_json(str(work / "trainer_state.json"))
            self.course.write(work)
            for name, data in random_states.items():
                (work / name).write_bytes(data)
        self.saved_bytes = sum(path.stat().st_size for path in (folder / f"step-{step:06d}").iterdir())
        # Not before the new one is there: until then, the old best is the one that a killed stage would end with.
        self.saved_best = self.course.best_step
        checkpoints.prune(folder, {step, self.saved_best, max(saved, default=step)})

    def _random_state(self: Any) -> dict[str, bytes]:
        """The file that the library keeps the state of chance in; each process has one of its own."""
        folder = Path(tempfile.mkdtemp())
        try:
            self._save_rng_state(folder)
            return {path.name: path.read_bytes() for path in folder.iterdir()}
        finally:
            shutil.rmtree(folder)


class TargetTrainer(Supervised, SFTTrainer):  # type: ignore[misc]  # TRL has no types
    """Learns the targets of rows, each by its weight.

    The loss of a step is the mean over all its targets, weighted: sum of weight times nats by sum of weights. The
    libraries' mean of the means of batches would make a short answer in a batch of short ones count for more.
    """

    def __init__(
        self,
        *,
        steps: Sequence[Sequence[Row]],
        batch_size: int,
        is_packed: bool,
        callbacks: list[TrainerCallback],
        **given: Any,
    ) -> None:
        """Each of `steps` is what one step of the optimiser learns, in all processes together."""
        self.steps, self.batch_size, self.is_packed = steps, batch_size, is_packed
        numbers = Dataset.from_dict({"step": range(len(steps))})
        super().__init__(train_dataset=numbers, data_collator=list, callbacks=callbacks, **given)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The steps, in order; every process gets all of them, and takes its share in `training_step`."""
        return DataLoader(range(len(self.steps)), batch_size=1, collate_fn=lambda steps: {"step": steps[0]})  # type: ignore[arg-type]  # any sequence does

    def training_step(self, model: Module, inputs: Mapping[str, Any], num_items_in_batch: Any = None) -> Tensor:  # noqa: ARG002
        """Add up the gradients of this process's share of a step, in portions that memory has room for."""
        model.train()
        rows = self.steps[inputs["step"]]
        weight = sum(sum(row.weights) for row in rows)
        batches = list(self._batches(rows))
        total = tensor(0.0, device=self.args.device)
        for number, batch in enumerate(batches):
            with self._synced(model, is_last=number == len(batches) - 1), self.compute_loss_context_manager():
                loss = self.compute_loss(model, batch, num_items_in_batch=weight)
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def compute_loss(
        self,
        model: Module,
        inputs: Batch,
        return_outputs: bool = False,  # noqa: ARG002  the library's signature
        num_items_in_batch: float | None = None,
    ) -> Tensor:
        """The part of a step's loss that a batch has.

        Args:
            num_items_in_batch: Sum of the weights of the step's targets, of all processes.
        """
        assert num_items_in_batch is not None
        found = losses(model, inputs)
        # Gradients are averaged over processes, and are to be summed.
        processes: int = self.args.world_size
        return (found.nats * found.weights).sum() * (processes / num_items_in_batch)

    def _batches(self, rows: Sequence[Row]) -> Iterator[Batch]:
        device, place = self.args.device, self.args.process_index
        # Neighbours in length need less padding; every so-manieth row, so that processes have the same to do.
        share = sorted(rows, key=lambda row: (len(row.ids), row.id))[place :: self.args.world_size]
        limit = TOKENS_AT_ONCE[device.type]
        if not share:  # in the last step; the other processes wait for gradients all the same
            batch = padded(rows[:1], device)
            yield Batch(batch.ids, batch.weights * 0, batch.placing)
        for portion in portions(share, self.batch_size, limit):
            yield packed(portion, PACKED_TOKENS, device) if self.is_packed else padded(portion, device)

    @contextmanager
    def _synced(self, model: Module, *, is_last: bool) -> Iterator[None]:
        """Let processes exchange gradients once a step, not once a portion."""
        if is_last:
            yield
        else:
            with self.accelerator.no_sync(model):
                yield


def checkpoints_in(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder."""
    return [checkpoints.step_of(path) for path in folder.glob("step-*")]


def _has_adapter(model: Any) -> bool:
    return hasattr(model, "peft_config")


@contextmanager
def _tokens_kept(model: Any) -> Iterator[None]:
    """Have a model's end and padding tokens afterwards be what they were before."""
    configs = [model.config, model.generation_config]
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    before = [{name: getattr(config, name, None) for name in names} for config in configs]
    yield
    for config, tokens in zip(configs, before, strict=True):
        for name, value in tokens.items():
            setattr(config, name, value)
