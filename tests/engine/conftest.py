"""Fixtures that several test modules of the engine share."""

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.engine.chat_styles import STYLES, make_tokenizer


@pytest.fixture(scope="module", params=[*STYLES, "default model"])
def reference(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """A tokeniser of transformers, one of each style, and that of the real model."""
    if request.param in STYLES:
        return make_tokenizer(STYLES[request.param])
    checkpoint, _ = request.getfixturevalue("real_model")
    return AutoTokenizer.from_pretrained(checkpoint)
