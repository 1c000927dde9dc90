"""LoRA on a CPU learns the same with less work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from finetune.training.frugal import ByteDropout, spare


def test_dropout_leaves_out_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 999)
    out = ByteDropout(0.05)(x)
    assert (out == 0).float().mean().item() == pytest.approx(13 / 256, abs=1e-3)
    assert out.mean().item() == pytest.approx(1, abs=1e-3)
    assert out.unique().numel() == 2


def test_each_byte_of_a_draw_is_as_good_as_another() -> None:
    torch.manual_seed(0)
    out = ByteDropout(0.5)(torch.ones(40_000, 8))
    assert ((out == 0).float().mean(0) - 0.5).abs().max() < 0.02


def test_dropout_is_the_same_again_from_the_same_state_of_chance_and_none_in_evaluation() -> None:
    dropout, x = ByteDropout(0.1), torch.randn(3, 5, 7)
    state = torch.get_rng_state()
    first = dropout(x)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x), first)
    assert torch.equal(dropout.eval()(x), x)


def test_a_share_that_is_less_than_a_byte_can_say_is_not_none() -> None:
    assert (ByteDropout(0.001)(torch.ones(100_000)) == 0).any()


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_weights_rounded_beforehand_give_the_gradients_that_autocast_gives(
    checkpoints: Callable[..., Path], name: str
) -> None:
    def gradients(is_spared: bool) -> dict[str, Any]:
        model = AutoModelForCausalLM.from_pretrained(checkpoints(name)).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", fan_in_fan_out=name == "gpt2"))
        torch.manual_seed(0)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.1)
        if is_spared:
            spare(adapted, is_bf16=True)
            assert any(each.dtype is torch.bfloat16 for each in adapted.parameters())
        ids = torch.arange(24).reshape(2, 12)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            adapted(input_ids=ids, labels=ids).loss.backward()
        return {key: value.grad for key, value in adapted.named_parameters() if value.requires_grad}

    expected, found = gradients(False), gradients(True)
    assert expected
    assert all(torch.equal(found[key], gradient) for key, gradient in expected.items())
    assert any(gradient.abs().max() > 0 for gradient in expected.values())


def test_what_is_trained_as_a_whole_is_left_alone(checkpoints: Callable[..., Path]) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoints())
    spare(model, is_bf16=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
