"""What data has to be like: each figure passes at its limit and fails beyond it."""

from dataclasses import replace

import pytest

from finetune.checks import Facts, checks, common_reply_share

GOOD = Facts(
    targets=1000,
    conversations={"train": 900, "validation": 50, "test": 50},
    target_tokens=[4, 4, 5],
    common_reply=0.02,
    authors={"a": 20, "b": 20, "c": 20, "d": 20, "e": 20},
    chats={"x": 40, "y": 40, "z": 20},
    author_limit=0.2,
    chat_limit=0.4,
    dropped_share=0.7,
    secrets=0,
    personal_share=0.005,
    shared=0,
)


def failed(facts: Facts) -> list[str]:
    return [check.name for check in checks(facts) if not check.is_ok]


def test_data_at_every_limit_passes() -> None:
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"targets": 999}, "answers to learn"),
        ({"conversations": {"train": 1000, "validation": 50, "test": 49}}, "conversations held out"),
        ({"conversations": {"train": 1000}}, "conversations held out"),
        ({"target_tokens": [4, 3, 3]}, "median answer, in tokens"),
        ({"target_tokens": []}, "median answer, in tokens"),
        ({"common_reply": 0.021}, "most common answer's share"),
        ({"authors": {"a": 22, "b": 20, "c": 20, "d": 20, "e": 18}}, "largest author's share"),
        ({"chats": {"x": 42, "y": 38, "z": 20}}, "largest chat's share"),
        ({"authors": {"a": 5, "b": 5, "c": 5, "d": 5}, "author_limit": 0.275}, "authors to learn from"),
        ({"dropped_share": 0.71}, "taken by quality and duplicates"),
        ({"secrets": 1}, "secrets in a second look"),
        ({"personal_share": 0.006}, "personal data in a second look"),
        ({"shared": 1}, "conversations in two splits"),
    ],
)
def test_each_limit_is_one(change: dict[str, object], name: str) -> None:
    assert failed(replace(GOOD, **change)) == [name]  # type: ignore[arg-type]


def test_two_limits_are_an_operator_s_to_set() -> None:
    few = replace(GOOD, targets=20, authors={"a": 1}, author_limit=1.0)
    assert failed(few) == ["answers to learn", "authors to learn from"]
    assert all(check.is_ok for check in checks(few, min_targets=20, min_authors=1))
    most = {check.name: check for check in checks(GOOD, min_targets=1001, min_authors=6)}
    assert not most["answers to learn"].is_ok
    assert not most["authors to learn from"].is_ok
    assert most["authors to learn from"].limit == "at least 6"


def test_nothing_at_all_is_no_error() -> None:
    empty = Facts(0, {}, [], 0.0, {}, {}, 1.0, 1.0, 0.0, 0, 0.0, 0)
    assert "answers to learn" in failed(empty)


def test_figures_are_shown_as_people_read_them() -> None:
    many = {check.name: check for check in checks(replace(GOOD, targets=1_234_567, target_tokens=[5, 6]))}
    assert many["answers to learn"].value == "1,234,567"
    assert many["answers to learn"].limit == "at least 1,000"
    assert many["median answer, in tokens"].value == "5.5"
    assert many["largest author's share"].value == "20.0%"
    assert many["secrets in a second look"].limit == "none"


def test_the_most_common_answer_is_found_whatever_its_case_and_spaces() -> None:
    answers = ["Yes ", "yes", "  YES", *(f"answer {n}" for n in range(57))]
    assert common_reply_share(answers) == 3 / 60
    assert common_reply_share(["yes"] * 49) == 0.0
    assert common_reply_share([]) == 0.0
