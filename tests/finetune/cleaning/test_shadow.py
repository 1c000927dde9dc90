"""What a text reads as, and where in it each part of that stands."""

import random

import pytest

from finetune.cleaning.shadow import shadow_of


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\uff10\uff11\uff17\uff11", "0171"),
        ("0\ufe0f\u20e31\ufe0f\u20e3", "01"),
        ("\u0661\u0662", "12"),
        ("a\u2011b\u2013c\u2212d", "a-b-c-d"),
        ("192\u2024168", "192.168"),
        ("example\u3002org", "example.org"),
        ("p\u0430ssw\u043erd", "password"),
        ("pass\u200bword", "password"),
    ],
)
def test_a_text_reads_as_its_plain_form(text: str, plain: str) -> None:
    shadow = shadow_of(text)
    assert shadow is not None
    assert shadow.text == plain


@pytest.mark.parametrize(
    "text", ["plain", "caf\u00e9", "\u043f\u0430\u0440\u043e\u043b\u044c", "\u898b\u3066\u3002\u6b21"]
)
def test_a_text_that_says_what_it_reads_as_has_no_shadow(text: str) -> None:
    assert shadow_of(text) is None


def test_what_stands_in_the_shadow_is_told_with_its_marks() -> None:
    text = "x \uff11\ufe0f\u20e32\ufe0f y"
    shadow = shadow_of(text)
    assert shadow is not None
    start, end = shadow.original(shadow.text.index("12"), shadow.text.index("12") + 2)
    assert text[start:end] == "\uff11\ufe0f\u20e32\ufe0f"


def test_every_stretch_of_a_shadow_reads_as_what_it_stands_for() -> None:
    chance = random.Random(5)
    for _ in range(500):
        text = "".join(chance.choices("a1 \uff11\ufe0f\u20e3\u2013\ufb01\u00bd\u200b", k=12))
        if shadow := shadow_of(text):
            first, last = sorted(chance.sample(range(len(shadow.text) + 1), 2)) if len(shadow.text) > 1 else (0, 1)
            start, end = shadow.original(first, last)
            part = text[start:end]
            other = shadow_of(part)
            assert shadow.text[first:last] in (other.text if other else part), ascii(text)
