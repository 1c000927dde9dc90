"""The learned scorer: the same on every machine."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import finetune.threads.scorer
from finetune.threads import decoding, features
from finetune.threads.columns import NONE, columns
from finetune.threads.scorer import IMPOSSIBLE, SCORE_HALVING, SHIFT, Scorer, shipped
from tests.finetune.threads.chats import chat, said, to


def sample():
    people = ("ann", "bob", "cem", "dan")
    lines = (
        (n / 2, said(people[n * n % 4], *([to(people[n % 3]), ": yes"] if n % 3 else ["and what?"]))) for n in range(30)
    )
    return columns(chat(*lines))


def arrays():
    rows = np.arange(30)
    found = features.candidates(sample(), rows)
    return features.of_messages(sample(), rows), features.of_pairs(sample(), rows, found), found


def test_scores_are_those_of_unbounded_integers():
    messages, pairs, found = arrays()
    weights = json.loads(Path(finetune.threads.scorer.__file__).with_name("scorer.json").read_text(encoding="ascii"))
    exact = {name: np.array(values, dtype=object) for name, values in weights.items()}
    hidden = (
        pairs.astype(object) @ exact["pair"] + (messages.astype(object) @ exact["message"] + exact["bias"])[:, None]
    )
    expected = (np.maximum(hidden, 0) @ exact["out"]) // (1 << SHIFT)
    scores = shipped().score(messages, pairs, found)
    assert (scores[:, :-1] == np.where(found == NONE, IMPOSSIBLE, expected)).all()


def test_scores_do_not_depend_on_which_messages_are_scored_together():
    messages, pairs, found = arrays()
    whole = shipped().score(messages, pairs, found)
    parts = [shipped().score(messages[n : n + 1], pairs[n : n + 1], found[n : n + 1]) for n in range(30)]
    assert (whole == np.concatenate(parts)).all()


def test_features_are_zeros_and_ones_and_nothing_where_there_is_no_candidate():
    messages, pairs, found = arrays()
    assert set(np.unique(messages)) | set(np.unique(pairs)) == {0, 1}
    assert not pairs[found == NONE].any()


def test_weights_whose_sums_could_be_inexact_are_refused():
    row = {name: getattr(shipped(), name).tolist() for name in Scorer.__dataclass_fields__}
    row["out"] = [weight * 10**9 for weight in row["out"]]
    with pytest.raises(AssertionError):
        Scorer.from_json(row)


def test_a_message_joins_the_conversation_that_is_likeliest_as_a_whole():
    # Message 3: as likely to answer 0 or 1 of one conversation as to start anew, and somewhat likelier to answer 2.
    scores = np.full((4, 4), IMPOSSIBLE)
    scores[:, -1] = -decoding.ROOT_BONUS
    scores[0:3, -1] = 0
    scores[1, 0] = 10 * SCORE_HALVING
    scores[3, :3] = [SCORE_HALVING // 2, 0, 0]
    found = np.array([[NONE] * 3, [0, NONE, NONE], [1, 0, NONE], [2, 1, 0]])
    scores[2, -1] = 10 * SCORE_HALVING
    assert decoding.parents([(scores, found)], {}) == [None, 0, None, 1]
    assert decoding.parents([(scores, found)], {1: None}) == [None, None, None, 2]


def test_likelihoods_halve_at_every_step_of_that_many_points():
    chances = decoding.likelihoods(np.array([[0, -SCORE_HALVING, -3 * SCORE_HALVING, IMPOSSIBLE]]))[0]
    assert chances.tolist() == [decoding.ONE, decoding.ONE // 2, decoding.ONE // 8, 0]


def test_fractions_of_a_halving_fall_evenly():
    chances = decoding.likelihoods(-np.arange(2 * SCORE_HALVING)[None, :])[0]
    ratios = [after / before for before, after in itertools.pairwise(chances.tolist())]
    assert ratios == pytest.approx([2 ** (-1 / SCORE_HALVING)] * len(ratios), rel=1e-5)
