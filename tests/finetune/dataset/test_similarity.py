"""Near duplicates of texts, checked against the shingles themselves."""

import random

import pytest

from finetune.dataset.similarity import SHORT_CHARS, Index, MinHashValues, digest, fingerprint, likeness
from tests.finetune.dataset.dialogues import sentence


def exact_likeness(a: str, b: str) -> float:
    """The exact Jaccard similarity of 5-character shingles."""
    x, y = ({text[i : i + 5] for i in range(len(text) - 4)} for text in (a, b))
    return len(x & y) / len(x | y)


def values(text: str) -> MinHashValues:
    words = fingerprint(text)
    assert not isinstance(words, bytes)
    return words


def found_in(known: list[str], sought: list[str]) -> list[list[int]]:
    """For each text that is sought, the numbers of the known ones that it is a near duplicate of."""
    index = Index([fingerprint(text) for text in (*known, *sought)])
    for number in range(len(known)):
        index.add(number)
    return [list(index.find(number)) for number in range(len(known), len(known) + len(sought))]


def with_another_word(text: str, rng: random.Random) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = "zeppelin"
    return " ".join(words)


@pytest.mark.parametrize("seed", range(20))
def test_the_likeness_of_fingerprints_is_that_of_the_texts(seed: int) -> None:
    rng = random.Random(seed)
    a = sentence(rng, 60)
    b = a
    for _ in range(rng.randint(1, 12)):
        b = with_another_word(b, rng)
    # 128 permutations have a standard error of at most 0.044.
    assert likeness(values(a), values(b)) == pytest.approx(exact_likeness(a, b), abs=0.15)


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    found = values("The lantern hangs over the copper basket, and the river goes by it. " * 2)
    assert found[:4].tolist() == [23430406, 179242221, 28309425, 45877679]


def test_case_and_white_space_do_not_count() -> None:
    text = "the lantern hangs over the copper basket and the river goes by it"
    assert likeness(values(text), values(f"  {text.upper()}\n".replace(" ", "  "))) == 1.0


def test_nearly_all_texts_with_one_changed_word_are_found() -> None:
    rng = random.Random(0)
    texts = [sentence(rng, 15) for _ in range(300)]
    found = found_in(texts, [with_another_word(text, rng) for text in texts])
    assert sum(number in numbers for number, numbers in enumerate(found)) >= 0.95 * len(found)


def test_texts_that_share_but_words_are_not_found() -> None:
    rng = random.Random(1)
    texts = [sentence(rng, 40) for _ in range(600)]
    assert found_in(texts[:300], texts[300:]) == [[]] * 300


def test_all_that_are_alike_are_found_the_smallest_number_first() -> None:
    rng = random.Random(2)
    text = sentence(rng, 40)
    assert found_in([sentence(rng, 40), text, text.upper(), text], [text]) == [[1, 2, 3]]


def test_only_what_was_added_is_found() -> None:
    text = sentence(random.Random(2), 40)
    index = Index([fingerprint(text)] * 3)
    assert list(index.find(2)) == []
    index.add(1)
    assert list(index.find(2)) == [1]


def test_short_texts_are_alike_only_if_they_are_equal() -> None:
    known = ["and how are you on this fine day then", "", "hm"]
    sought = ["And how are  you on this fine day then", "and who are you on this fine day then", " ", "hmm"]
    assert found_in(known, sought) == [[0], [], [1], []]


def test_a_very_long_text_has_the_fingerprint_of_its_shingles() -> None:
    text = sentence(random.Random(3), 20_000)
    assert len(text) > 100 * SHORT_CHARS
    assert likeness(values(text), values(text + text[:1000])) > 0.95


def test_digests_tell_where_one_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("lone surrogate \ud800") != digest("lone surrogate ")
