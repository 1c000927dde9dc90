"""A merged model says what the model with its LoRA weights says, and is otherwise the base model, byte for byte."""

import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from exporters.checkpoint import OTHER_FILES, Checkpoint, digest_checkpoint
from exporters.loading import load
from finetune.training.errors import TrainingError
from finetune.training.merging import merge, save_full

IDS = torch.tensor([[random.Random(n).randrange(3, 500) for n in range(40)]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(model.eval()(IDS, use_cache=False).logits)


def loaded(folder: Path) -> Any:
    # Eager, as an export loads it: the other ways leave out what Gemma does to its attention.
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def with_adapter(base: Path) -> Any:
    """The model with LoRA weights that change it, on all linear layers."""
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")
        model = get_peft_model(loaded(base), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data *= 0.05  # a change that leaves logits of the size that they had
    return model


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3", "gemma2", "phi3"])
def test_a_merged_model_has_the_logits_of_the_model_with_its_adapter(
    name: str, checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    base = checkpoints(name)
    trained = with_adapter(base)
    trained.save_pretrained(tmp_path / "adapter")
    out = merge(base, tmp_path / "adapter", tmp_path / "sft" / "merged")
    merged = load(Checkpoint(out, str(out), "for tests", digest_checkpoint(out)), context=128).model
    wanted = logits(trained)
    assert (logits(merged) - wanted).abs().max() < 1e-4
    assert (logits(loaded(base)) - wanted).abs().max() > 0.1, "the adapter would not be missed"
    assert merged.config.tie_word_embeddings == loaded(base).config.tie_word_embeddings
    assert digest_checkpoint(out) != digest_checkpoint(base)


def test_all_but_the_weights_is_the_base_model_s_byte_for_byte(
    checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    base = shutil.copytree(checkpoints(), tmp_path / "base")
    config = base / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float32"', '"torch_dtype": "bfloat16"') + "\n\n")
    (base / "optimizer.pt").write_text("not a part of the model")
    out = save_full(loaded(base), base, tmp_path / "merged")
    there = [name for name in OTHER_FILES if (base / name).exists()]
    assert {"config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"} <= {*there}
    assert [(out / name).read_bytes() for name in there] == [(base / name).read_bytes() for name in there]
    assert {each.name for each in out.iterdir()} == {*there, "model.safetensors"}


def test_tied_embeddings_stay_tied(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    base = checkpoints("llama")
    with_adapter(base).save_pretrained(tmp_path / "adapter")
    out = merge(base, tmp_path / "adapter", tmp_path / "merged")
    assert "lm_head.weight" not in load_file(out / "model.safetensors")
    model = loaded(out)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_model_trained_as_a_whole_is_written_in_fp32_and_not_changed(
    checkpoints: Callable[..., Path], tmp_path: Path
) -> None:
    base = checkpoints("qwen2")
    model = loaded(base).to(torch.bfloat16)
    with torch.no_grad():
        model.lm_head.weight += 0.25
    out = save_full(model, base, tmp_path / "merged")
    saved = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert model.lm_head.weight.dtype == torch.bfloat16
    assert torch.equal(loaded(out).lm_head.weight, model.lm_head.weight.float())
    assert {*saved} == {*load_file(base / "model.safetensors")}


def test_a_merged_model_takes_the_place_of_an_older_one_whole(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "merged"
    out.mkdir()
    (out / "model-00001-of-00002.safetensors").touch()
    save_full(loaded(checkpoints()), checkpoints(), out)
    assert not (out / "model-00001-of-00002.safetensors").exists()
    assert [each.name for each in tmp_path.iterdir()] == ["merged"]


def test_weights_that_are_not_finite_are_refused(checkpoints: Callable[..., Path], tmp_path: Path) -> None:
    trained: PeftModel = with_adapter(checkpoints())
    next(p for name, p in trained.named_parameters() if "lora_A" in name).data[0, 0] = float("nan")
    trained.save_pretrained(tmp_path / "adapter")
    with pytest.raises(TrainingError, match="are not finite; lower TRAIN_LEARNING_RATE"):
        merge(checkpoints(), tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
