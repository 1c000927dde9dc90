"""Small random checkpoints of every architecture, with a real tokeniser, made in a moment.

Weights are seeded and large enough that a row's two best logits stand well apart.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from exporters.verify import shipped_dialogues

VOCABULARY = 512
CONTEXT = 256
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.15,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_HEAD = {"head_dim": 16}
_WINDOW = {"sliding_window": 20}  # shorter than the test prompts, so that it matters

CONFIGS: dict[str, Any] = {
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=64,
        n_layer=3,
        n_head=4,
        n_positions=CONTEXT,
        initializer_range=0.15,
        bos_token_id=0,
        eos_token_id=2,
    ),
    "llama": LlamaConfig(**_SIZES, tie_word_embeddings=True),
    "llama3-rope": LlamaConfig(
        **_SIZES,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
    "qwen2": Qwen2Config(**_SIZES),
    "qwen3": Qwen3Config(**_SIZES, **_HEAD),
    "mistral": MistralConfig(**_SIZES, **_WINDOW),
    "gemma": GemmaConfig(**_SIZES, **_HEAD),
    "gemma2": Gemma2Config(**_SIZES, **_HEAD, **_WINDOW, query_pre_attn_scalar=16),
    "gemma3": Gemma3TextConfig(
        **_SIZES,
        **_HEAD,
        **_WINDOW,
        query_pre_attn_scalar=16,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "phi3": Phi3Config(**_SIZES, **_WINDOW),
    "phi3-partial-rotary": Phi3Config(**(_SIZES | {"num_attention_heads": 2}), partial_rotary_factor=0.5),
}


def save_checkpoint(name: str, folder: Path, *, seed: int = 0, template: str | None = CHATML) -> Path:
    """Write a checkpoint that transformers loads; returns its folder."""
    save_tokenizer(folder, template)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[name])
    model.save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path, template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """Write a byte-level BPE tokeniser learnt from the shipped dialogues."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=CONTROL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (message["content"] for dialogue in shipped_dialogues() for message in dialogue)
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    if template:
        fast.chat_template = template
    fast.save_pretrained(folder)
    return fast
