"""The report of a run as an operator opens it, and its plots as files."""

import hashlib
import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from finetune.flywheel.folder import DATA, RunFolder
from finetune.flywheel.folder import VERDICTS as VERDICTS_FILE
from finetune.flywheel.record import State
from finetune.runreport.page import write
from finetune.training.job import EVENTS, JOB
from tests.finetune.report.parsed import Page, assert_loads_nothing
from tests.finetune.runreport.invented import (
    BASE,
    CHALLENGER,
    DATA_JSON,
    DATA_VERDICTS,
    FAILED,
    PROMOTED,
    RECORD,
    VERDICTS,
    events,
    figures,
    fill,
    write_events,
)
from tests.finetune.runreport.invented import (
    JOB as A_JOB,
)

ROOT = Path(__file__).parents[3]
HOSTILE = '<script>alert(1)</script>{{ 7*7 }}{% x %}"\' onload="x" </style></title>'
PLOTS = ("bits_per_byte", "funnel", "learning_rate", "lengths", "loss", "speed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fill(tmp_path_factory.mktemp("full") / RECORD.id)
    write(folder, RECORD)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return parsed(folder)


def parsed(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_loads_nothing_and_links_nowhere(page: Page) -> None:
    assert_loads_nothing(page)


def test_every_tag_is_closed_where_it_should_be_and_every_section_can_be_jumped_to(page: Page) -> None:
    assert page.wrong == []
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [id for id, times in ids.items() if times > 1] == []
    assert {str(a["href"])[1:] for a in page.with_tag("a")} == {str(a["id"]) for a in page.with_tag("section")}


def test_what_became_of_the_run_and_why_comes_first(page: Page) -> None:
    beginning = page.text[page.text.index("Run") :].removeprefix(f"Run {RECORD.id} ").removeprefix(f"Run {RECORD.id} ")
    assert beginning.startswith(
        "Refused: mynah-20261121-3f9a was trained and does not serve: memorisation: mean exposure is 7.2 bits, "
        "limit at most 3 bits. ✗ memorisation: mean exposure is 7.2 bits, limit at most 3 bits. It knows secrets"
    )
    assert "- promoted" in page.text


def test_every_verdict_stands_in_the_table_with_its_figure_limit_result_and_meaning(page: Page) -> None:
    results = {(True, False): "✓ holds", (False, False): "✗ refused", (False, True): "- waived"}
    for each in (*DATA_VERDICTS, *VERDICTS):
        result = results[each.holds, each.is_waived]
        assert f"{each.gate} {each.name} {result} {each.value} {each.limit} {each.meaning}" in page.text


def test_champion_and_challenger_stand_side_by_side_with_what_changed(page: Page) -> None:
    for words in (
        "figure champion (the base) challenger change better version mynah-base mynah-20261121-3f9a",
        "held-out conversations, bits per byte 1.828 1.687 -7.7 % less",
        "general answers, bits per byte 0.207 0.222 +7.3 % less",
        "true reply found among ten 41.0 % 44.0 % +3.0 points more",
        "model file 137.4 MB 137.4 MB",
    ):
        assert words in page.text


def test_both_models_answers_to_a_prompt_stand_side_by_side_and_keep_their_lines(folder: Path, page: Page) -> None:
    assert "Say something kind. champion (the base) You have come far today. challenger ur doing great" in page.text
    assert "light.\n\nPinch" in (folder / "report.html").read_text()


def test_a_champion_that_is_not_the_base_has_a_column_of_its_own_and_the_base_does_not_answer(tmp_path: Path) -> None:
    champion = figures("mynah-old", 1.75, 0.21, [("Say something kind.", "I like you.")])
    RunFolder(fill(tmp_path)).write_figures("champion", champion)
    page = parsed(write(tmp_path, RECORD).parent)
    assert "held-out conversations, bits per byte 1.828 1.750 1.687 -3.6 % less" in page.text
    assert "Say something kind. champion I like you. challenger ur doing great" in page.text
    assert "How do I keep basil alive? champion (was not asked) challenger lots of light" in page.text


def test_what_went_in_is_told_with_rights_and_what_was_dropped_with_reasons(page: Page) -> None:
    for words in (
        "garden club written agreement 41,000",
        "quality 9,000 conversations 2,000 too short 22.2 % - 7,000 77.8 %",
        "train 6,000 7,700 154,321 validation 500 600 12,000 test 500 600 11,000",
        "Median 20 tokens, 95 % at most 47, longest 300.",
    ):
        assert words in page.text


def test_hyperparameters_budgets_and_lineage_are_told(page: Page) -> None:
    for words in (
        "lora_rank 16 Rank of the LoRA matrices",
        "tokens 500,000 Budget in tokens",
        "sft: tokens 480,000 of 500,000",
        "sft: time 31 min 52 s, 251 tokens/s",
        "sft: memory 3.4 GB",
        "kto: left out 120 ratings, 200 are needed",
        "taken up again sft, after step 60",
        "largest checkpoint 28.0 MB",
        "asked for 2026-11-21 04:00 UTC, by cron: it is Sunday",
        f"dataset, SHA-256 {A_JOB.dataset_sha256} base smollm2-135m-instruct base, SHA-256 {A_JOB.base_sha256}",
        f"job, SHA-256 {A_JOB.digest} mynah 0.1.0 torch 2.13.0 trl 1.16.0",
    ):
        assert words in page.text


def test_every_plot_is_in_the_page_and_beside_it_as_a_picture_that_shows_something(folder: Path, page: Page) -> None:
    assert len(page.with_tag("svg")) == len(page.with_tag("figure")) == len(PLOTS)
    assert tuple(sorted(path.stem for path in (folder / "plots").iterdir())) == PLOTS
    for name in PLOTS:
        pixels = imread(folder / "plots" / f"{name}.png")
        height, width, _ = pixels.shape
        assert width == 920
        assert height > 400
        assert np.all(pixels[0, 0, :3] == 1)  # on white, so that it can be read anywhere
        blue = (pixels[..., 2] > 0.6) & (pixels[..., 0] < 0.3)
        assert blue.sum() > 500, name


def test_a_run_that_failed_says_so_first_and_how_far_it_came(tmp_path: Path) -> None:
    RunFolder(tmp_path).write(DATA, DATA_JSON)
    A_JOB.write(tmp_path)
    write_events(tmp_path, islice(events(120), 49))
    write(tmp_path, FAILED)
    page = parsed(tmp_path)
    first = page.text.index("Failed at “train”: the disk is full; free 2 GB and run again.")
    assert first < page.text.index("✓ data prepared 154,321 tokens to learn - trained sft: step 45 of 120 - exported")
    assert "No model was measured." in page.text
    assert "No model has answered." in page.text
    assert "sft: so far step 45 of 120" in page.text
    assert (tmp_path / "plots" / "loss.png").exists()


def test_a_run_that_left_nothing_has_a_page_that_says_so(tmp_path: Path) -> None:
    write(tmp_path, replace(FAILED, started_at=None, ended_at=None, step="", outcome=""))
    page = parsed(tmp_path)
    assert page.wrong == []
    assert page.with_tag("svg") == []
    for words in ("Failed.", "No gate was reached.", "Nothing was trained.", "No dataset was made."):
        assert words in page.text
    assert "None" not in page.text
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_sentence_and_only_bad_news_is_marked_as_such(tmp_path: Path, state: State) -> None:
    write(tmp_path, replace(RECORD, state=state))
    page = parsed(tmp_path)
    marked = [a for a in page.with_tag("p") if a.get("class") == "verdict bad"]
    assert len(marked) == (state in (State.REFUSED, State.SKIPPED, State.FAILED))
    assert RECORD.outcome in page.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (DATA, b'{"sources": [{'),
        (DATA, b'{"funnel": [{}]}'),
        (JOB, b"[[1]]"),
        (EVENTS, b"\xff\xfe"),
        (VERDICTS_FILE, b"[[1]]"),
        (VERDICTS_FILE, b"\xff\xfe"),
        ("figures/challenger.json", b"{}"),
        ("result.json", b'{"stages": [{}]}'),
    ],
)
def test_a_damaged_file_is_left_out_and_the_rest_is_shown(tmp_path: Path, name: str, content: bytes) -> None:
    RunFolder(tmp_path).write_figures("base", BASE)
    RunFolder(tmp_path).path.joinpath(name).write_bytes(content)
    write(tmp_path, PROMOTED)
    page = parsed(tmp_path)
    assert page.wrong == []
    assert (f"{name} is damaged and left out here." in page.text) == (name != EVENTS)  # of events only lines are lost
    assert "held-out conversations, bits per byte 1.828" in page.text


def hostile(value: Any, key: str = "") -> Any:
    """The same JSON with hostile text in place of each string; what has a format of its own stays."""
    if isinstance(value, dict):
        return {name: hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    return f"{HOSTILE}{value}" if isinstance(value, str) and key != "unit" else value


def test_foreign_text_in_any_file_is_text_and_nothing_else(tmp_path: Path, page: Page) -> None:
    fill(tmp_path)
    for path in [*tmp_path.glob("*.json"), *tmp_path.glob("figures/*.json")]:
        if path.name != "result.json":
            path.write_text(json.dumps(hostile(json.loads(path.read_text()))))
    write(tmp_path, replace(RECORD, outcome=HOSTILE, version=HOSTILE, reason=HOSTILE, step=HOSTILE))
    attacked = parsed(tmp_path)
    assert attacked.wrong == []
    assert {(tag, *sorted(a)) for tag, a in attacked.tags} <= {(tag, *sorted(a)) for tag, a in page.tags}
    for tag in ("section", "tr", "svg", "title", "article"):
        assert len(attacked.with_tag(tag)) == len(page.with_tag(tag))
    for text in (CHALLENGER.samples[0][1], VERDICTS[0].meaning, "garden club", A_JOB.base):
        assert f"{HOSTILE}{text}" in attacked.text


@pytest.mark.parametrize("answer", ["", " \n ", "\x00\x1b[2J", "\ud800", "\u202etxt.exe", "友達 😀", "x" * 5_000])
def test_an_odd_answer_stops_nothing_and_an_empty_one_is_marked(tmp_path: Path, answer: str) -> None:
    row = figures("new", 1.0, 1.0).to_json() | {"samples": [["Hello?", answer]]}
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "challenger.json").write_text(json.dumps(row))
    write(tmp_path, RECORD)
    page = parsed(tmp_path)
    assert page.wrong == []
    assert ("Hello? challenger (empty)" in page.text) == (not answer.strip())
    assert "\x1b" not in page.text


def test_figures_that_are_not_numbers_are_named_and_drawn_around(tmp_path: Path) -> None:
    rows = list(events(40))
    rows[2]["loss"] = rows[3]["loss"] = math.nan
    write_events(fill(tmp_path), iter(rows))
    broken = replace(figures("new", math.nan, math.inf), hits_at_1=math.nan, num_ranked=5)
    RunFolder(tmp_path).write_figures("challenger", broken)
    write(tmp_path, RECORD)
    page = parsed(tmp_path)
    assert "held-out conversations, bits per byte 1.828 not finite - less" in page.text
    assert "Of 2 steps it is not a finite number." in page.text
    assert page.wrong == []


def test_a_training_of_thousands_of_steps_makes_no_larger_a_page(tmp_path: Path, folder: Path) -> None:
    write_events(fill(tmp_path), events(5_000))
    write(tmp_path, RECORD)
    assert (tmp_path / "report.html").stat().st_size < 1.4 * (folder / "report.html").stat().st_size


def test_both_stages_of_a_training_are_drawn(tmp_path: Path) -> None:
    write_events(tmp_path, iter([*events(8), *events(8, "kto")]))
    write(tmp_path, RECORD)
    page = parsed(tmp_path)
    assert "Fine-tuning (SFT): from" in " ".join(str(a.get("aria-label")) for a in page.with_tag("div"))
    assert "Ratings (KTO): from" in " ".join(str(a.get("aria-label")) for a in page.with_tag("div"))


def test_the_same_run_gives_the_same_files_in_another_process(tmp_path: Path, folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.finetune.runreport.invented import RECORD, fill;"
        "from finetune.runreport.page import write; write(fill(Path(sys.argv[1])), RECORD)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8"}
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, env=environment, check=True, timeout=100)
    assert digests(tmp_path) == digests(folder)


def digests(folder: Path) -> dict[str, str]:
    paths = [folder / "report.html", *sorted((folder / "plots").iterdir())]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
