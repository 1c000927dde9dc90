"""A GGUF file in, a clean Hugging Face folder out: config, weights, tokenizer, chat template.

transformers reads the weights and the config. The tokenizer is built here, from the GGUF header
alone, because the one that transformers 4.57 converts is wrong for SmolLM2 in five ways: eos is
`<|im_start|>`, no pad, a BOS before plain text, digits not split, and saving it writes the whole GGUF
again as `tokenizer.model`. Nothing here goes by a model's name. Knows nothing of wheels or hubs.

Header keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Token types and the
pre-tokenizers' names: llama.cpp, `llama_token_type` and `llama-vocab.cpp`.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, modeling_gguf_pytorch_utils
from transformers.utils import logging as transformers_logging

from exporters.checkpoint import sha256_file
from exporters.errors import SourceError, UnsupportedModelError, disk_full_reported, is_disk_full
from exporters.progress import Bar

CONVERSION_VERSION = 1
"""Part of the cache key: raise it whenever the folder that a GGUF file becomes changes."""

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_SPACE = "▁"  # how SentencePiece spells a space
# Tokens that a model knows but never says; the first one in the vocabulary pads if the header has none.
_PAD_CANDIDATES = ("<|endoftext|>", "<pad>", "<|pad|>", "<|finetune_right_pad_id|>", "<unk>")
_STALE_S = 3600.0
_GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Header = Mapping[str, Any]


def convert(path: Path, cache: Path, bar: Bar) -> Path:
    """The folder below `cache` that the GGUF file converts to, made only if it isn't there yet.

    It is keyed by the file's SHA-256 and CONVERSION_VERSION, and appears whole or not at all.

    Raises:
        SourceError, UnsupportedModelError, DiskFullError: see `import_gguf`.
    """
    with disk_full_reported(cache):
        folder = cache / "converted" / f"{sha256_file(path)[:32]}-v{CONVERSION_VERSION}"
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="partial-") as scratch:
            import_gguf(path, Path(scratch) / "hf", bar)
            _rename_or_keep(Path(scratch) / "hf", folder)
    return folder


def import_gguf(path: Path, out: Path, bar: Bar) -> None:
    """Write the folder `out`, which transformers loads as it is; `bar` counts tensors.

    Raises:
        SourceError: not a GGUF file, or cut off.
        UnsupportedModelError: an architecture or a tokenizer that can't be read here.
        DiskFullError: no room for `out`.
    """
    with disk_full_reported(out):
        header = read_header(path)
        tokenizer = build_tokenizer(header)
        out.mkdir(parents=True, exist_ok=True)
        _save_model(path, out, tokenizer, header, bar)
        tokenizer.save_pretrained(out)


def read_header(path: Path) -> Header:
    """The GGUF file's metadata, as plain values; also checks that all tensors are there.

    Raises:
        SourceError: not a GGUF file, or cut off.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise SourceError(f"{path} begins with {magic!r}, a GGUF file begins with b'GGUF'; name another")
        return {key: field.contents() for key, field in GGUFReader(path).fields.items()}
    except (ValueError, IndexError, KeyError, OverflowError) as exc:
        size = path.stat().st_size
        raise SourceError(f"{path} has {size} bytes and is cut off or damaged ({exc}); fetch it again") from exc
    except OSError as exc:
        raise SourceError(f"{path} can't be read ({exc.strerror}); check the name and its rights") from exc


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


def _save_model(path: Path, out: Path, tokenizer: PreTrainedTokenizerFast, header: Header, bar: Bar) -> None:
    with _quiet(bar):
        model = _load_model(path, header)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    end_of_turn = header.get("tokenizer.ggml.eot_token_id")
    stops = {ids["eos_token_id"], end_of_turn} - {None}
    for name, value in ids.items():
        setattr(model.config, name, value)
        setattr(model.generation_config, name, value)
    if len(stops) > 1:
        model.generation_config.eos_token_id = sorted(stops)
    model.config._name_or_path = ""  # else the folder's digest would depend on where the GGUF file lay
    model.save_pretrained(out, safe_serialization=True, max_shard_size="1TB")


def _load_model(path: Path, header: Header) -> Any:
    try:
        return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype="float32")
    except (ValueError, KeyError, NotImplementedError, RuntimeError, OSError) as exc:
        if is_disk_full(exc):
            raise
        architecture = header.get("general.architecture")
        readable = sorted(modeling_gguf_pytorch_utils.GGUF_SUPPORTED_ARCHITECTURES)
        if architecture not in readable:
            raise UnsupportedModelError(
                f"GGUF architecture {architecture!r} can't be read; supported are: {', '.join(readable)}"
            ) from exc
        raise SourceError(f"{path} doesn't load as a {architecture} model ({exc}); fetch it again") from exc


@contextmanager
def _quiet(bar: Bar) -> Iterator[None]:
    """Send the count of tensors to our bar, and silence transformers' bars and warnings.

    transformers draws with the `tqdm` that its module imported and takes no other, so that name is
    replaced for as long as the block runs.
    """

    def counted(tensors: Sequence[Any], **_: object) -> Iterator[Any]:
        bar.start(len(tensors), unit="tensors")
        for tensor in tensors:
            yield tensor
            bar.update(1)

    module: Any = modeling_gguf_pytorch_utils
    verbosity, original = transformers_logging.get_verbosity(), module.tqdm
    transformers_logging.set_verbosity(logging.ERROR)
    module.tqdm = counted
    try:
        yield
    finally:
        module.tqdm = original
        transformers_logging.set_verbosity(verbosity)


# --- the cache -----------------------------------------------------------------------------------


def _rename_or_keep(made: Path, folder: Path) -> None:
    """Rename, unless another process was faster; what it made is the same."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _remove_stale(parent: Path) -> None:
    """Remove what a killed conversion left behind; one under way is younger than `_STALE_S`."""
    for folder in parent.glob("partial-*"):
        if time.time() - folder.stat().st_mtime > _STALE_S:
            shutil.rmtree(folder, ignore_errors=True)
