"""Text to tokens and back, against transformers; what the chat template does is in test_chat_template.py."""

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine import BundleError
from engine.bundle import TEMPLATE_NAME, TOKENIZER_NAME
from engine.tokenizer import Tokenizer
from tests.engine.chat_styles import PIECES, STYLES, make_tokenizer, random_text, serve

EMOJI = ("👍", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷", "👩🏽‍🚀", "❤️‍🔥", "🫠")


@pytest.fixture(scope="module")
def tokenizer(reference: PreTrainedTokenizerFast) -> Tokenizer:
    """The engine's counterpart."""
    return serve(reference).tokenizer


def texts(seed: int, number: int = 200) -> Iterator[str]:
    """Random texts of everything that people type, emoji at all places."""
    rng = random.Random(seed)
    pieces = (*PIECES, *EMOJI, *EMOJI)
    for _ in range(number):
        yield random_text(rng, pieces)


def test_text_gets_the_ids_that_transformers_gives_it(reference: PreTrainedTokenizerFast, tokenizer: Tokenizer) -> None:
    for text in texts(1):
        assert tokenizer.encode(text) == reference(text, add_special_tokens=False).input_ids


def test_ids_decode_to_what_transformers_decodes(reference: PreTrainedTokenizerFast, tokenizer: Tokenizer) -> None:
    rng = random.Random(2)
    size = len(reference)
    for _ in range(300):
        ids = [rng.randrange(size) for _ in range(rng.randint(0, 30))]
        assert tokenizer.decode(ids) == reference.decode(ids, skip_special_tokens=True)


def test_a_control_token_typed_as_plain_text_is_encoded_as_characters(tokenizer: Tokenizer) -> None:
    for token in tokenizer.control_tokens:
        ids = tokenizer.encode(f"a {token} b")
        assert tokenizer.token_id(token) not in ids
        assert tokenizer.decode(ids) == f"a {token} b"


def test_streamed_pieces_add_up_to_the_decoded_text(tokenizer: Tokenizer) -> None:
    num_split = 0
    for text in texts(3):
        ids = tokenizer.encode(text)
        stream = tokenizer.stream()
        pieces = [stream.push(token) for token in ids]
        expected = tokenizer.decode(ids)
        assert "".join(pieces) == expected.removesuffix("\ufffd"), "a text may end in a replacement character"
        num_split += pieces.count("")
    assert num_split > 100, "hardly any character was split over tokens"


def test_a_stream_never_shows_half_a_character(tokenizer: Tokenizer) -> None:
    for emoji in EMOJI:
        text = f"so {emoji}{emoji} it is"
        stream = tokenizer.stream()
        shown = ""
        for token in tokenizer.encode(text):
            shown += stream.push(token)
            assert text.startswith(shown)
        assert shown == text


def test_a_stream_of_any_tokens_shows_the_decoded_text(tokenizer: Tokenizer) -> None:
    """A sampled model may write bytes that are no text; that must neither stop the stream nor change what follows."""
    rng = random.Random(4)
    control = [i for token in tokenizer.control_tokens if (i := tokenizer.token_id(token)) is not None]
    typed = tokenizer.encode("".join(PIECES) + string.printable)
    has_byte_fallback = tokenizer.token_id("<0x00>") is not None
    end = " and so it ends"
    for _ in range(500):
        ids = [rng.choice((rng.choice(control), rng.choice(typed), rng.randrange(300))) for _ in range(30)]
        ids += tokenizer.encode(end)
        stream = tokenizer.stream()
        shown = "".join(stream.push(token) for token in ids)
        if has_byte_fallback:  # one stray byte makes its whole run unreadable, also what was shown of it before
            assert shown.endswith(end)
        else:
            assert shown == tokenizer.decode(ids)


def test_two_streams_do_not_mix(tokenizer: Tokenizer) -> None:
    streams = [tokenizer.stream(), tokenizer.stream()]
    shown = ["", ""]
    ids = [tokenizer.encode(text) for text in ("first 👍 text, and more", "second 你好 text 👨‍👩‍👧‍👦")]
    for step in range(max(map(len, ids))):
        for which in range(2):
            if step < len(ids[which]):
                shown[which] += streams[which].push(ids[which][step])
    assert shown == [tokenizer.decode(each) for each in ids]


def test_half_a_surrogate_pair_is_encoded_as_a_replacement_character(tokenizer: Tokenizer) -> None:
    r"""JSON may hold "\ud83d" alone, and Python passes it on."""
    assert tokenizer.encode("a \ud83d b") == tokenizer.encode("a \ufffd b")
    assert tokenizer.encode_prompt("a \ud83d b") == tokenizer.encode_prompt("a \ufffd b")


def test_an_unknown_token_has_no_id(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_id("no such token") is None


def test_control_tokens_are_the_special_ones_and_those_that_the_template_writes() -> None:
    style = STYLES["qwen3"]
    assert serve(make_tokenizer(style)).tokenizer.control_tokens == {*style.special, *style.unmarked}


def test_what_a_normaliser_turns_into_a_control_token_is_text() -> None:
    """GPT-2 has its control token searched in normalised text, and NFKC makes plain brackets of wide ones."""
    library = make_tokenizer(STYLES["chatml"]).backend_tokenizer
    definition = json.loads(library.to_str()) | {"normalizer": {"type": "NFKC"}}
    for token in definition["added_tokens"]:
        token["normalized"] = True
    tokenizer = Tokenizer(json.dumps(definition))
    wide = "\uff1c|im_end|\uff1e"
    end = tokenizer.token_id("<|im_end|>")
    assert library.token_to_id("<|im_end|>") == end
    assert end in tokenizer.encode_prompt("a<|im_end|>")
    assert end not in tokenizer.encode_prompt(f"a{wide}")
    assert end not in tokenizer.encode(f"a{wide}")


def test_the_bundle_holds_the_tokeniser_of_the_checkpoint(real_model: tuple[Path, Path]) -> None:
    checkpoint, bundle = real_model
    reference = AutoTokenizer.from_pretrained(checkpoint)
    template = (bundle / TEMPLATE_NAME).read_text(encoding="utf-8")
    tokenizer = Tokenizer.open(bundle / TOKENIZER_NAME, template)
    assert template == reference.get_chat_template()
    for text in texts(5):
        assert tokenizer.encode(text) == reference(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("content", ["", "{", "{}", '{"added_tokens": []}', "\x00"])
def test_a_file_that_is_no_tokeniser_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / TOKENIZER_NAME
    path.write_text(content)
    with pytest.raises(BundleError, match=r"tokenizer\.json is not a tokeniser"):
        Tokenizer.open(path)


def test_a_missing_tokeniser_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        Tokenizer.open(tmp_path / TOKENIZER_NAME)
