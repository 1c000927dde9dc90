"""The tokenizer of a GGUF file, built from its header alone.

Not converted by transformers, whose 4.57 makes five mistakes for SmolLM2: eos is `<|im_start|>`, no pad, a BOS
before plain text, digits not split, and saving it writes the whole GGUF again as `tokenizer.model`. Nothing here
goes by a model's name. Knows nothing of weights or files.

Token types and the pre-tokenizers' names: llama.cpp, `llama_token_type` and `llama-vocab.cpp`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from exporters.errors import UnsupportedModelError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_SPACE = "▁"  # how SentencePiece spells a space
# Tokens that a model knows but never says; the first one in the vocabulary pads if the header has none.
_PAD_CANDIDATES = ("<|endoftext|>", "<pad>", "<|pad|>", "<|finetune_right_pad_id|>", "<unk>")
_GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Header = Mapping[str, Any]


def build_tokenizer(header: Header) -> PreTrainedTokenizerFast:
    """The tokenizer that the GGUF header describes.

    Raises:
        UnsupportedModelError: a kind of tokenizer, or a way of splitting words, that isn't known here.
    """
    kind = header.get("tokenizer.ggml.model", "none")
    if kind not in _BUILDERS:
        raise UnsupportedModelError(f"tokenizer.ggml.model is {kind!r}; supported are: {', '.join(sorted(_BUILDERS))}")
    core = _BUILDERS[kind](header)
    tokens = header["tokenizer.ggml.tokens"]
    types = header.get("tokenizer.ggml.token_type", [])
    by_type = {
        wanted: [AddedToken(tokens[i], normalized=False) for i, each in enumerate(types) if each == wanted]
        for wanted in (_CONTROL, _USER_DEFINED)
    }
    core.add_special_tokens(by_type[_CONTROL])
    core.add_tokens(by_type[_USER_DEFINED])
    names = special_tokens(header)
    adds_bos = "bos_token" in names and header.get("tokenizer.ggml.add_bos_token", kind == "llama")
    if adds_bos:
        core.post_processor = _prepend(names["bos_token"], core)
    template = header.get("tokenizer.chat_template")
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        add_bos_token=bool(adds_bos),
        model_input_names=["input_ids", "attention_mask"],  # Llama takes no token_type_ids
        clean_up_tokenization_spaces=False,
        **names,
        **({"chat_template": template} if template else {}),
    )


def special_tokens(header: Header) -> dict[str, str]:
    """bos, eos, unk and pad by the names that transformers gives them, as far as there are any.

    A pad that equals eos would train a model never to stop (its loss is masked), so another token
    takes its place where the vocabulary has one.
    """
    tokens = header["tokenizer.ggml.tokens"]
    keys = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    ids = {name: header.get(f"tokenizer.ggml.{key}_token_id") for name, key in keys.items()}
    names = {name: tokens[each] for name, each in ids.items() if each is not None and each < len(tokens)}
    if names.get("pad_token") in {None, names.get("eos_token")}:
        known = set(tokens)
        free = [each for each in _PAD_CANDIDATES if each in known and each != names.get("eos_token")]
        if free:
            names["pad_token"] = free[0]
    return names


# --- tokenizers, by tokenizer.ggml.model ---------------------------------------------------------


def _byte_level_bpe(header: Header) -> Tokenizer:
    """Byte-level BPE (GPT-2 and its many heirs): merges come with the file."""
    tokens = header["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in header["tokenizer.ggml.merges"]]
    kind = header.get("tokenizer.ggml.pre", "default")
    if kind not in _PRE_TOKENIZERS:
        raise UnsupportedModelError(
            f"tokenizer.ggml.pre is {kind!r}; supported are: {', '.join(sorted(_PRE_TOKENIZERS))}"
        )
    vocab = {token: id_ for id_, token in enumerate(tokens)}
    core = Tokenizer(BPE(vocab=vocab, merges=merges, ignore_merges=kind == "llama-bpe"))
    core.normalizer = normalizers.NFC() if kind == "qwen2" else None
    core.pre_tokenizer = _PRE_TOKENIZERS[kind]()
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    return core


def _digits_apart() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2_words()])


def _gpt2_words() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _gpt4_words(numbers: str) -> Callable[[], pre_tokenizers.PreTokenizer]:
    pattern = _GPT4_WORDS.format(numbers=numbers)

    def build() -> pre_tokenizers.PreTokenizer:
        words = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
        return pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    return build


_PRE_TOKENIZERS: Mapping[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "default": _gpt2_words,
    "gpt-2": _gpt2_words,
    "smollm": _digits_apart,
    "llama-bpe": _gpt4_words(r"\p{N}{1,3}"),
    "qwen2": _gpt4_words(r"\p{N}"),
}


def _sentencepiece_bpe(header: Header) -> Tokenizer:
    """SentencePiece BPE (Llama 1 and 2, Mistral, Gemma): scores stand for merges."""
    tokens = header["tokenizer.ggml.tokens"]
    vocab = {token: id_ for id_, token in enumerate(tokens)}
    merges = merges_of_scores(tokens, header["tokenizer.ggml.scores"], header["tokenizer.ggml.token_type"])
    unknown = special_tokens(header).get("unk_token")
    core = Tokenizer(BPE(vocab=vocab, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    spaces = normalizers.Replace(" ", _SPACE)
    pieces = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if header.get("tokenizer.ggml.add_space_prefix", True):
        core.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces])
        core.decoder = decoders.Sequence([*pieces, decoders.Strip(" ", 1, 0)])
    else:
        core.normalizer, core.decoder = spaces, decoders.Sequence(pieces)
    return core


def merges_of_scores(tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> list[tuple[str, str]]:
    """BPE merges, best first, that do what SentencePiece does with scored pieces.

    SentencePiece (Kudo and Richardson, 2018) joins the neighbours whose union scores best. Two ways
    to make one piece tie there and the leftmost wins; here the shorter left half ranks first.
    """
    score_of = {tokens[i]: scores[i] for i, each in enumerate(types) if each == _NORMAL}
    ranked = sorted(score_of, key=score_of.__getitem__, reverse=True)
    return [
        (piece[:cut], piece[cut:])
        for piece in ranked
        for cut in range(1, len(piece))
        if piece[:cut] in score_of and piece[cut:] in score_of
    ]


_BUILDERS: Mapping[str, Callable[[Header], Tokenizer]] = {
    "gpt2": _byte_level_bpe,
    "llama": _sentencepiece_bpe,
}


def _prepend(bos: str, core: Tokenizer) -> processors.PostProcessor:
    return processors.TemplateProcessing(
        single=f"{bos}:0 $A:0",
        pair=f"{bos}:0 $A:0 {bos}:1 $B:1",
        special_tokens=[(bos, core.token_to_id(bos))],
    )


# --- weights and configs -------------------------------------------------------------------------
