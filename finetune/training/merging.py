"""What was learnt as a checkpoint of its own: the weights in fp32, and everything else as the base model has it.

Config, generation config, tokeniser and template are copied byte for byte. Saved by way of transformers, they would
come out as that has understood them: with other end tokens for some models (transformers writes what a tokeniser's
class thinks of them), and never with the same digest. Knows nothing of training.
"""

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from exporters.checkpoint import OTHER_FILES
from finetune.training.errors import TrainingError
from finetune.training.folders import whole

WEIGHTS = "model.safetensors"


def merge(base: Path, adapter: Path, out: Path) -> Path:
    """Add LoRA weights to the weights that they were trained beside; returns `out`.

    Args:
        base: Checkpoint folder.
        adapter: Folder that peft has saved.
        out: Folder that is there whole in the end, or not at all; one that is there gives way.

    Raises:
        TrainingError: The sum is not finite.
        StoreError: It cannot be written, for want of room perhaps.
    """
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, trust_remote_code=False)
    with warnings.catch_warnings():
        # peft finds out for itself which way round GPT-2 has its matrices, and says so each time.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False", category=UserWarning)
        model = PeftModel.from_pretrained(model, adapter)
    return save_full(model.merge_and_unload(), base, out)


def save_full(model: Any, base: Path, out: Path) -> Path:
    """Write a model that was trained as a whole, otherwise as `merge` does; it is not changed.

    Args:
        model: A causal model of transformers, of the architecture that `base` has.
    """
    weights = _weights(model)
    if broken := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise TrainingError(f"the weights {broken[0]} are not finite; lower TRAIN_LEARNING_RATE and train again")
    with whole(out) as work:
        save_file(weights, work / WEIGHTS, metadata={"format": "pt"})
        for path in map(base.joinpath, OTHER_FILES):
            if path.exists():
                shutil.copyfile(path, work / path.name)
    return out


def _weights(model: Any) -> Mapping[str, torch.Tensor]:
    """The weights by name, in fp32 on the CPU; those with two names, as tied embeddings, under the first alone."""
    by_place: dict[tuple[int, int], str] = {}
    state = model.state_dict()
    for name, tensor in state.items():
        by_place.setdefault((tensor.data_ptr(), tensor.numel()), name)
    return {name: state[name].to("cpu", torch.float32).contiguous() for name in by_place.values()}
