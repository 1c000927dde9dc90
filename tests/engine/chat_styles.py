"""Chat templates in the manners of known models, each with a small tokeniser, and conversations to try them on.

The reference is transformers; the served side goes through `exporters.vocabulary`, as in a real bundle.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as TokenizerLibrary
from transformers import GenerationConfig, PreTrainedTokenizerFast

from engine.chat_template import ChatTemplate
from engine.generation import ChatMessage
from engine.tokenizer import Tokenizer
from exporters.verify import shipped_dialogues
from exporters.vocabulary import read_vocabulary
from tests import tiny_models

LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
{%- endif %}
{{- bos_token }}
{%- for message in messages %}
    {%- if message["role"] == "system" %}
        {%- if not loop.first %}{{ raise_exception("Only the first message may be a system message") }}{%- endif %}
        {%- continue %}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST]" + system_message + "\n\n" + message["content"] + "[/INST]" }}
            {%- break %}
        {%- endif %}
        {{- "[INST]" + message["content"] + "[/INST]" }}
    {%- else %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- endif %}
{%- endfor %}"""
QWEN3 = """{%- if tools %}{{- 'tools: ' + tools | tojson }}{%- endif %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if not (enable_thinking is defined and enable_thinking) %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}"""
PHI3 = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)


@dataclass(frozen=True)
class Style:
    """A template with what its tokeniser must have.

    Attributes:
        special: Tokens marked as special; the first begins a text, the second ends it.
        unmarked: Added tokens that are not marked as special although the template writes them.
        spaces: How the tokeniser treats them: as bytes, or as sentencepiece does with a first one ("first",
            "every" after a control token, or "none").
        swallows: Whether control tokens take the white space behind them.
    """

    template: str
    special: tuple[str, ...]
    unmarked: tuple[str, ...] = ()
    spaces: Literal["bytes", "first", "every", "none"] = "bytes"
    swallows: bool = False
    accepts_system: bool = True


STYLES = {
    "chatml": Style(tiny_models.CHATML, ("<|im_start|>", "<|im_end|>", "<|endoftext|>")),
    "llama3": Style(
        LLAMA3, ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>")
    ),
    "gemma": Style(
        GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<unk>"), spaces="none", accepts_system=False
    ),
    "mistral": Style(MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]", "<unk>"), spaces="first"),
    "qwen3": Style(QWEN3, ("<|endoftext|>", "<|im_end|>", "<|im_start|>"), unmarked=("<think>", "</think>")),
    "phi3": Style(
        PHI3,
        ("<s>", "<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<unk>"),
        spaces="every",
        swallows=True,
    ),
}


def make_tokenizer(style: Style) -> PreTrainedTokenizerFast:
    """A tokeniser for a style, learnt from the shipped dialogues."""
    library = _trained(style)
    library.add_special_tokens([AddedToken(t, rstrip=style.swallows, special=True) for t in style.special])
    library.add_tokens([AddedToken(t, normalized=False, special=False) for t in style.unmarked])
    return _wrapped(library, style.template, bos=style.special[0], eos=style.special[1])


def _wrapped(library: TokenizerLibrary, template: str, *, bos: str | None, eos: str | None) -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=library, bos_token=bos, eos_token=eos, clean_up_tokenization_spaces=False
    )
    fast.chat_template = template
    return fast


def _trained(style: Style) -> TokenizerLibrary:
    library = TokenizerLibrary(models.BPE(byte_fallback=style.spaces != "bytes"))
    alphabet: list[str] = []
    if style.spaces == "bytes":
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.decoder = decoders.ByteLevel()
        library.normalizer = normalizers.NFC() if style.unmarked else None  # as Qwen has it
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        replaced = normalizers.Replace(" ", "▁")
        if style.spaces == "first":
            library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        elif style.spaces == "every":
            library.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replaced])
        else:
            library.normalizer = replaced
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        library.decoder = decoders.Sequence(steps + ([] if style.spaces == "none" else [decoders.Strip(" ", 1, 0)]))
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(style.special),
        initial_alphabet=alphabet,
        show_progress=False,
        max_token_length=12,
    )
    library.train_from_iterator((m["content"] for dialogue in shipped_dialogues() for m in dialogue), trainer)
    return library if style.spaces == "bytes" else _with_byte_tokens(library)


def _with_byte_tokens(library: TokenizerLibrary) -> TokenizerLibrary:
    """The same tokeniser with the 256 tokens that spell characters beyond its alphabet."""
    definition = json.loads(library.to_str())
    vocabulary = definition["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    definition["model"] |= {"unk_token": "<unk>", "fuse_unk": True}
    return TokenizerLibrary.from_str(json.dumps(definition))


@dataclass(frozen=True)
class Served:
    """The engine's side of a tokeniser and template."""

    template: ChatTemplate
    tokenizer: Tokenizer

    def ids(self, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True) -> list[int]:
        """A conversation's token ids."""
        return self.tokenizer.encode_prompt(self.template.render(messages, add_generation_prompt=add_generation_prompt))


def serve(reference: PreTrainedTokenizerFast) -> Served:
    """What the engine makes of the bundle files that the exporter makes of a tokeniser."""
    vocabulary = read_vocabulary(reference, GenerationConfig(eos_token_id=reference.eos_token_id))
    tokenizer = Tokenizer(vocabulary.tokenizer_json, vocabulary.template)
    template = ChatTemplate(vocabulary.template, vocabulary.tokens.special, tokenizer.control_tokens)
    return Served(template, tokenizer)


def renamed(reference: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The same tokeniser and template, but control tokens are spelled in a way that nobody types.

    What a person types in the old spelling is ordinary text to it, so its ids are what ours have to be.
    """
    template = reference.get_chat_template()
    definition = json.loads(reference.backend_tokenizer.to_str()) | {"post_processor": None}
    control = [t for t in definition["added_tokens"] if t["special"] or t["content"] in template]
    names = {token["content"]: f"\ue000{number}\ue001" for number, token in enumerate(control)}
    for token in control:
        token["content"] = names[token["content"]]
    vocabulary = definition["model"]["vocab"]
    definition["model"]["vocab"] = {names.get(text, text): number for text, number in vocabulary.items()}
    if definition["model"].get("unk_token"):
        definition["model"]["unk_token"] = names[definition["model"]["unk_token"]]
    for old in sorted(names, key=len, reverse=True):
        template = template.replace(old, names[old])
    if "'<|' + message['role'] + '|>\n'" in template:  # Phi-3 puts the token together from the role
        roles = "{" + ", ".join(f"'{r}': '{names[f'<|{r}|>']}'" for r in ("user", "assistant", "system")) + "}"
        template = template.replace("'<|' + message['role'] + '|>\n'", roles + "[message['role']] + '\n'")
    library = TokenizerLibrary.from_str(json.dumps(definition))
    bos, eos = (names.get(t) if t else None for t in (reference.bos_token, reference.eos_token))
    return _wrapped(library, template, bos=bos, eos=eos)


def reference_ids(
    reference: PreTrainedTokenizerFast, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True
) -> list[int]:
    """What transformers makes of a conversation."""
    ids: list[int] = reference.apply_chat_template(
        as_dicts(messages), tokenize=True, add_generation_prompt=add_generation_prompt
    )
    return ids


def as_dicts(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages as transformers takes them."""
    return [{"role": m.role, "content": m.content} for m in messages]


PIECES = (
    "Hello, how are you?",
    "What is the capital of France? ",
    "👍",
    "👨‍👩‍👧‍👦",  # four people joined by zero-width joiners
    "🏳️‍🌈🇫🇷👩🏽‍🚀",
    "你好，今天天气怎么样？",  # noqa: RUF001  as Chinese has it
    "日本語の文章です。カタカナ",
    "안녕하세요",
    "مَرْحَبًا بِكُمْ",
    "שָׁלוֹם",
    "नमस्ते दुनिया",
    "e\u0301 n\u0303 Z\u0351\u036b\u0343\u0300\u0316a\u0334\u0341",
    "Ünïcödé ﬁ ½ Å",
    "def f(x):\n    return {'a': [x, 1.5e-3]}  # {{ jinja }} {% if x %}\n",
    '<b class="x">&amp;</b> </s <|im <| |> [INST <think',
    "```python\nprint('hi')\n```",
    "   indented\t\ttabs",
    "trailing   \n\n",
    "\r\nwindows\r\n",
    "\u00a0\u2003\u200b\u2028\ufeff",
    "\x00\x07\ufffd\uffff\U0010ffff",
    "12345678901234567890 3.14159",
    "snake_case camelCase SHOUTING don't we'll",
    "\\n \\u0041 %s {0} $HOME",
)


def random_text(rng: random.Random, pieces: Sequence[str] = PIECES) -> str:
    """A text of a few pieces with all sorts of white space around them; empty or very long now and then."""
    kind = rng.random()
    if kind < 0.05:
        return ""
    if kind < 0.07:
        return rng.choice(pieces) * 400
    if kind < 0.15:
        return rng.choice((" ", "\n", "  \n\t ", "\u3000"))
    space = ("", "", " ", "\n", "  ", "\n\n", "\t")
    return "".join(rng.choice(space) + rng.choice(pieces) for _ in range(rng.randint(1, 5))) + rng.choice(space)


def random_conversation(
    rng: random.Random, *, with_system: bool, pieces: Sequence[str] = PIECES
) -> tuple[ChatMessage, ...]:
    """Turns that alternate and end with the user's, a system message before them if asked for."""
    messages = [ChatMessage("system", random_text(rng, pieces))] if with_system else []
    for _ in range(rng.randint(0, 4)):
        messages += [ChatMessage("user", random_text(rng, pieces)), ChatMessage("assistant", random_text(rng, pieces))]
    return (*messages, ChatMessage("user", random_text(rng, pieces)))
