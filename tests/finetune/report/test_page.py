"""The data report as an operator opens it."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune.report import Concentration, DataReport, Histogram, StageLine, Times, Unit
from finetune.report.page import render
from tests.finetune.report.invented import EMPTY, NEW_YEAR_2024_MS, REPORT
from tests.finetune.report.parsed import Page, assert_loads_nothing

ROOT = Path(__file__).parents[3]
HOSTILE = '<script>alert(1)</script>{{ 7*7 }}{% x %}"\' onload="x" </style></title>'
PLOTS = 16


@pytest.fixture(scope="module")
def html() -> str:
    return render(REPORT)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_loads_nothing_and_links_nowhere(page: Page) -> None:
    assert_loads_nothing(page)


def test_the_page_forbids_what_it_does_not_need(page: Page) -> None:
    policy = next(a["content"] for a in page.with_tag("meta") if a.get("http-equiv", "") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_every_tag_is_closed_where_it_should_be_and_no_id_occurs_twice(page: Page) -> None:
    assert page.wrong == []
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [id for id, times in ids.items() if times > 1] == []
    targets = {str(a["href"])[1:] for a in page.with_tag("a")}
    assert targets <= set(ids)


def test_every_plot_has_a_title_words_for_who_cannot_see_it_and_its_numbers(page: Page) -> None:
    shown = [attributes for attributes in page.with_tag("div") if attributes.get("role") == "img"]
    assert len(shown) == len(page.with_tag("svg")) == len(page.with_tag("figure")) == PLOTS
    assert all(len(str(attributes["aria-label"])) > 20 for attributes in shown)
    assert len(page.with_tag("figcaption")) == len(page.with_tag("details")) == PLOTS


def test_the_funnel_stands_on_the_page_in_numbers_with_reasons(page: Page) -> None:
    assert "101,000 messages in, 8,900 examples out." in page.text
    assert "quality 1 9,000 conversations 1,500 too short 16.7 % 500 mostly links 5.6 %" in page.text
    assert "1,000 added" in page.text


def test_the_numbers_of_every_section_are_there(page: Page) -> None:
    for words in (
        "garden club irc irc written agreement 41,000 300 7 rows could not be read",
        "Median 3 tokens, 95 % at most 700, longest 700.",
        "4 authors; the largest has 73.3 %, the first 4 have 100.0 %. Gini 0.55.",
        "2024-01-01 to 2024-07-27, in UTC. 1 message without a time.",
        "EMAIL 31 72.1 %",
        "token 9 75.0 %",
        "reply 9 60.0 % inferred 2 13.3 % root 4 26.7 %",
        "train 6,000 7,700 154,321",
        "From 14 voters; 3 labels left out",
        "largest author ✗ failed 73.3 % at most 20 % the bot would talk like one person",
        "1 of 2 checks failed: no model is to be trained on this.",
    ):
        assert words in page.text


def test_a_sample_marks_what_went_and_what_came_and_strikes_what_was_dropped(html: str) -> None:
    assert '<p class="text"><del>mara</del>: mail me at <del>ines@example.org</del></p>' in html
    assert '<p class="text"><ins>[B]</ins>: mail me at <ins>[EMAIL]</ins></p>' in html
    assert "<del>the shed key is gate-0000</del>" in html
    text = Page(html).text
    assert "the shed key is gate-0000 after dropped secret: password in words" in text
    assert "(the original is not shown) after dropped secret: private key" in text


def test_a_page_that_quotes_people_says_where_to_keep_it(page: Page) -> None:
    warning = "keep this file where the chats themselves are kept"
    assert warning in page.text
    assert warning not in Page(render(EMPTY)).text


def hostile(value: Any, key: str = "") -> Any:
    """The same JSON with hostile text in place of each string and each name; what has a format of its own stays."""
    if isinstance(value, dict) and key != "days":
        by_name = key in {"dropped", "changed", "added", "redactions", "secrets", "links", "pairs"}
        return {f"{HOSTILE}{name}" if by_name else name: hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    return f"{HOSTILE}{value}" if isinstance(value, str) and key != "unit" else value


def strings(value: Any) -> Iterator[str]:
    """Every hostile string and name in some JSON."""
    if isinstance(value, dict):
        yield from (text for item in value.items() for part in item for text in strings(part))
    elif isinstance(value, list):
        yield from (text for item in value for text in strings(item))
    elif isinstance(value, str) and value.startswith(HOSTILE):
        yield value


def test_foreign_text_in_any_field_is_text_and_nothing_else(page: Page) -> None:
    row = hostile(json.loads(json.dumps(REPORT.to_json())))
    attacked = Page(render(DataReport.from_json(row)))
    assert attacked.wrong == []
    assert {(tag, *sorted(a)) for tag, a in attacked.tags} <= {(tag, *sorted(a)) for tag, a in page.tags}
    for tag in ("section", "figure", "svg", "p", "td", "li", "title", "style"):
        assert len(attacked.with_tag(tag)) == len(page.with_tag(tag))
    text = "".join(attacked.words)
    foreign = set(strings(row))
    assert len(foreign) > 50
    assert [string for string in sorted(foreign) if string not in text] == []


@pytest.mark.parametrize("name", ["\x00\x1b[2J", "\ud800", "\u202etxt.exe", "友達 😀", "$\\frac$", "", "x" * 5_000])
def test_odd_names_neither_stop_the_page_nor_warn(name: str) -> None:
    stages = (StageLine(name, name, Unit.MESSAGES, 3, 1, {name: 2}),)
    html = render(replace(EMPTY, stages=stages, redactions={name: 2}))
    assert Page(html).wrong == []
    html.encode()


def test_nothing_at_all_makes_a_page_that_says_so() -> None:
    page = Page(render(EMPTY))
    assert page.with_tag("svg") == []
    for words in (
        "Nothing was checked.",
        "No stage has run.",
        "No sources.",
        "Nothing to be learnt.",
        "No times in these sources.",
        "No personal data and no secret was found.",
        "No conversations.",
        "Nothing is left to train on.",
        "Nobody has rated an answer.",
        "No samples were taken.",
    ):
        assert words in page.text
    assert "None" not in page.text


@pytest.mark.parametrize(
    "report",
    [
        replace(EMPTY, times=Times.of([NEW_YEAR_2024_MS])),
        replace(EMPTY, times=Times.of([-(10**13), 10**14])),
        replace(EMPTY, authors=Concentration.of([1]), chats=Concentration.of([1])),
        replace(EMPTY, authors=Concentration.of(range(1, 5_000))),
        replace(EMPTY, target_tokens=Histogram.of([0])),
        replace(EMPTY, stages=(StageLine("only", "1", Unit.MESSAGES, 0, 0),)),
        replace(EMPTY, redactions={f"type {i}": i for i in range(200)}),
        replace(EMPTY, checks=REPORT.checks[:1]),
    ],
)
def test_extreme_data_makes_a_page_too(report: DataReport) -> None:
    assert Page(render(report)).wrong == []


def test_figures_that_do_not_add_up_are_told() -> None:
    report = replace(EMPTY, stages=(StageLine("quality", "1", Unit.MESSAGES, 10, 5),))
    assert "Does not add up: quality: 5 messages went missing without a reason." in Page(render(report)).text


def test_times_that_stages_took_are_on_the_page_only_if_given(page: Page) -> None:
    assert "normalise 2 101,000 messages" in page.text
    timed = replace(EMPTY, stages=(replace(REPORT.stages[0], seconds=12.34),))
    assert "normalise 2, 12.3 s 101,000 messages" in Page(render(timed)).text


def test_the_order_of_counts_makes_no_difference(html: str) -> None:
    row = json.loads(json.dumps(REPORT.to_json(), sort_keys=True))
    assert render(DataReport.from_json(row)) == html


def test_the_same_figures_give_the_same_page_in_another_process(html: str) -> None:
    code = (
        "import hashlib; from finetune.report.page import render; from tests.finetune.report.invented import REPORT;"
        "print(hashlib.sha256(render(REPORT).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.strip() == hashlib.sha256(html.encode()).hexdigest()
