"""A tiny base model that has been to school: it answers whatever it is asked with a short sentence, and ends."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.persona import DEFAULT_PERSONA
from finetune.dataset import replay
from finetune.evaluation import anchor
from tests import tiny_models

ANSWERS = (
    "I do not know that, sorry.",
    "That depends on many things.",
    "Yes, I think so, but ask somebody else.",
    "No, not at all, as far as I know.",
    "You could look that up in a book.",
    "It is about the same as last year.",
    "Most people would say so, I guess.",
    "Let me think about that for a while.",
)
STEPS, BATCH = 150, 16


def save_schooled(folder: Path) -> Path:
    """Write the checkpoint; takes some seconds."""
    tiny_models.save_checkpoint("llama", folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(0)
    lessons = [_lesson(tokenizer, question) for question in (*anchor.prompts(), *replay.prompts())]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(STEPS):
        chosen = [lessons[(step * BATCH + n) * 7 % len(lessons)] for n in range(BATCH)]
        optimizer.zero_grad()
        ids, labels = _batch(chosen, tokenizer.pad_token_id)
        model(ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.save_pretrained(folder)
    return folder


def _lesson(tokenizer, question: str) -> tuple[list[int], int]:
    messages = [{"role": "system", "content": DEFAULT_PERSONA}, {"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    answer = ANSWERS[hashlib.sha256(question.encode()).digest()[0] % len(ANSWERS)]
    start = tokenizer.encode(prompt, add_special_tokens=False)
    return start + tokenizer.encode(f"{answer}<|im_end|>", add_special_tokens=False), len(start)


def _batch(lessons: Sequence[tuple[list[int], int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(len(ids) for ids, _ in lessons)
    ids = torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in lessons])
    labels = torch.tensor([[-100] * start + ids[start:] + [-100] * (length - len(ids)) for ids, start in lessons])
    return ids, labels
