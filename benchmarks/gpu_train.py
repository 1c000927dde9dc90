"""`python -m benchmarks.gpu_train`: how fast our trainer is on this machine's GPU, and what bf16 and packing are worth.

Trains with LoRA and the settings of `TRAIN_*` on invented rows; without `--model` on random weights of the size and
shape of Qwen2-0.5B. Needs no chats, no registry and no network. Ends in less than `--minutes`.
"""

import argparse
import gc
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from accelerate import PartialState
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from engine.errors import EngineError
from engine.settings import load_settings
from exporters import sources
from exporters.errors import ExportError
from exporters.progress import Progress
from exporters.settings import ExporterSettings
from finetune.errors import FinetuneError
from finetune.settings import TrainSettings
from finetune.training import hardware, planning, sft
from finetune.training.encoding import Row
from finetune.training.job import EVENTS, Budgets
from finetune.training.stage import Ground

NO_GPU = 2
HALF_BILLION = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "tie_word_embeddings": True,
}
TINY = HALF_BILLION | {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
# Lengths of rows in tokens, spread evenly by their logarithms, about 170 in the mean: windows of chats are like that.
SHORTEST, LONGEST = 32, 512
ROWS, HELD_OUT = 2048, 8
# The first steps wait for memory and for kernels to be chosen.
WARM_UP_STEPS = 3
# Of the time, the rest being for loading, evaluating and merging.
TRAINING_SHARE = 0.6
SETTINGS: Mapping[str, tuple[Literal["bf16", "fp32"], bool]] = {
    "bf16, packed": ("bf16", True),
    "bf16, padded": ("bf16", False),
    "fp32, packed": ("fp32", True),
    "fp32, padded": ("fp32", False),
}
COMPARED = ("bf16, packed", "bf16, padded", "fp32, packed")


@dataclass(frozen=True)
class Speed:
    """How a training went.

    Attributes:
        steps: Measured, without those to warm up.
        step_seconds: Median of them.
        tokens_per_second: Of them together, context included and padding not.
        memory_bytes: Largest; of a CPU that of the process, whatever it did before.
    """

    steps: int
    step_seconds: float
    tokens_per_second: float
    memory_bytes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table; returns the exit code."""
    options = _parser().parse_args(arguments)
    if not (torch.cuda.is_available() or options.cpu):
        print(
            "error: torch sees no CUDA device here; run this where there is one, or try --cpu --tiny", file=sys.stderr
        )
        return NO_GPU
    PartialState(cpu=not torch.cuda.is_available())
    transformers.utils.logging.set_verbosity_error()
    began_at = time.monotonic()
    try:
        with _folder(options.folder) as work:
            base, name = _base(options, work)
            figures = _measure(base, work, options)
    except (FinetuneError, ExportError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(_report(name, figures, time.monotonic() - began_at))
    if options.json:
        rows = {setting: asdict(speed) for setting, speed in figures.items()}
        text = json.dumps({"hardware": str(hardware.look()), "model": name, "figures": rows}, indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")
    return 0


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
    else:
        with tempfile.TemporaryDirectory() as work:
            yield Path(work)


def _base(options: argparse.Namespace, work: Path) -> tuple[Path, str]:
    """The checkpoint, and what to call it."""
    if options.model is None:
        return _invented(TINY if options.tiny else HALF_BILLION, work / "base")
    settings = load_settings(ExporterSettings)
    progress = Progress(sources.NUM_STAGES)
    found = sources.resolve(options.model, work, settings.cache_dir, progress, hub_url=settings.hub_url)
    return found.path, options.model


def _invented(config: Mapping[str, Any], folder: Path) -> tuple[Path, str]:
    """A checkpoint of random weights, with a tokeniser that knows nothing, as nothing is tokenised."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(Qwen2Config(**config))
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<end>": 0}, unk_token="<end>"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<end>").save_pretrained(folder)
    return folder, f"{model.num_parameters() / 1e6:.1f} M random parameters"


def _measure(base: Path, work: Path, options: argparse.Namespace) -> dict[str, Speed]:
    ends_at = time.monotonic() + 60 * options.minutes
    vocabulary = AutoConfig.from_pretrained(base, trust_remote_code=False).vocab_size
    rows = invented_rows(ROWS, vocabulary)
    chosen = options.setting or COMPARED
    figures = {}
    for number, name in enumerate(chosen):
        left = (ends_at - time.monotonic()) / (len(chosen) - number)
        print(f"{name}: {left:.0f} s", file=sys.stderr)
        figures[name] = train(base, rows, work / f"run-{number}", SETTINGS[name], left, options)
    return figures


def invented_rows(number: int, vocabulary: int) -> list[Row]:
    """Rows of random tokens, the last third of each to be learnt."""
    random = np.random.default_rng(0)
    made = []
    for n in range(number):
        length = round(SHORTEST * (LONGEST / SHORTEST) ** random.random())
        targets = length // 3
        ids = tuple(random.integers(0, vocabulary, length).tolist())
        weights = (0.0,) * (length - targets) + (1.0,) * targets
        made.append(Row(f"r{n}", f"c{n}", "invented", ids, weights, 4 * targets))
    return made


def train(
    base: Path,
    rows: Sequence[Row],
    run: Path,
    setting: tuple[Literal["bf16", "fp32"], bool],
    seconds: float,
    options: argparse.Namespace,
) -> Speed:
    """Train for a share of some seconds, in a folder of the run's own."""
    precision, packing = setting
    settings = load_settings(TrainSettings)
    step_examples = options.step_examples or settings.step_examples
    epochs = options.steps * step_examples / len(rows)
    changed = {"precision": precision, "packing": packing, "step_examples": step_examples, "epochs": epochs}
    settings = settings.model_copy(update={"method": "lora", "evaluations": 1, **changed})
    run.mkdir()
    ground = Ground(
        name="sft",
        run=run,
        digest=hashlib.sha256(run.name.encode()).hexdigest(),
        budgets=Budgets(seconds=TRAINING_SHARE * seconds, disk_bytes=10**10),
        base=base,
        held_out=rows[:HELD_OUT],
        parameters=planning.hyperparameters(settings, hardware.look(), replay_share=0.0),
    )
    _forget_memory()
    trained = sft.carry_out(ground, rows).stage
    assert trained is not None
    return _speed(run, trained.memory_bytes)


def _forget_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _speed(run: Path, memory_bytes: int) -> Speed:
    """The speed of steps as the training has noted them.

    Raises:
        FinetuneError: There was not time enough for a single one.
    """
    noted = steps_of(run)
    # What is noted is of all steps so far together.
    ended = [(each["tokens"], each["tokens"] / each["tokens_per_second"]) for each in noted]
    first = min(WARM_UP_STEPS, len(ended) - 2)
    if first < 0:
        raise FinetuneError(f"there was time for {len(ended)} steps, and 2 are needed; set more --minutes")
    (tokens, seconds), (all_tokens, all_seconds) = ended[first], ended[-1]
    each = np.diff([seconds for _, seconds in ended[first:]])
    return Speed(len(each), float(np.median(each)), (all_tokens - tokens) / (all_seconds - seconds), memory_bytes)


def steps_of(run: Path) -> list[dict[str, Any]]:
    """The steps that a training has noted so far."""
    path = run / EVENTS
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [each for each in map(json.loads, lines) if each["event"] == "step"]


def _report(name: str, figures: Mapping[str, Speed], seconds: float) -> str:
    versions = ", ".join(f"{each} {metadata.version(each)}" for each in ("torch", "transformers", "trl", "peft"))
    lines = [
        f"{hardware.look()}; {versions}. {name}, LoRA, {seconds:.0f} s in all.",
        "",
        "| | tokens/s | step, s | memory, GB | steps |",
        "|---|---|---|---|---|",
    ]
    for setting, each in figures.items():
        cells = (
            f"{each.tokens_per_second:,.0f} | {each.step_seconds:.3g} | {each.memory_bytes / 1e9:.2f} | {each.steps}"
        )
        lines.append(f"| {setting} | {cells} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_train", description=__doc__)
    parser.add_argument("--model", help="source of a checkpoint (default: random weights of a 0.5B model)")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything together")
    parser.add_argument("--cpu", action="store_true", help="go on where there is no GPU")
    parser.add_argument("--tiny", action="store_true", help="random weights of a tiny model instead")
    parser.add_argument("--setting", action="append", choices=SETTINGS, help="repeat for more (default: three of them)")
    parser.add_argument("--step-examples", type=int, help="examples in a step (default: TRAIN_STEP_EXAMPLES)")
    parser.add_argument("--steps", type=int, default=10_000, help="most steps of each training")
    parser.add_argument("--folder", type=Path, help="new folder for what trainings leave (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
