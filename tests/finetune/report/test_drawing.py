"""Drawings that can stand inside an HTML page, or beside it as pictures."""

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from finetune.report.charts import Bar, Curve, Step, bars, columns, curves, funnel
from finetune.report.courses import Panel, courses

NAMES = ["plain", "<script>alert(1)</script>", "$\\frac$ 5$", "友達 😀", "a\x00b\x1b\ud800\u202e", "", "x" * 300]


def drawings() -> dict[str, str]:
    cells = [Bar(name, place, name) for place, name in enumerate(NAMES)]
    return {
        "bars": bars("one", cells).svg(),
        "columns": columns("two", cells, "across", "up").svg(),
        "curves": curves("three", [Curve("authors", [(0, 0), (20, 80), (100, 100)])], "across", "up").svg(),
        "funnel": funnel("four", [("messages", [Step(name, 90, 10, 5) for name in NAMES])]).svg(),
    }


@pytest.mark.parametrize("shape", ["bars", "columns", "curves", "funnel"])
def test_a_drawing_is_well_formed_and_names_no_address(shape: str) -> None:
    svg = drawings()[shape]
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    assert "viewBox" in root.attrib
    assert "http" not in svg
    assert not re.findall(r"<(?:style|metadata|script|image|a)\b", svg)
    assert set(re.findall(r"#([\w-]*[g-z-][\w-]*)", svg)) <= {e.attrib["id"] for e in root.iter() if "id" in e.attrib}


def test_text_stays_text() -> None:
    words = ["".join(element.itertext()) for element in ET.fromstring(drawings()["bars"]).iter("text")]
    assert "plain" in words
    assert "$\\frac$ 5$" in words  # a formula that does not parse would have raised
    assert "友達 😀" in words


def test_drawings_are_the_same_whatever_the_user_has_set() -> None:
    usual = drawings()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path", "axes.grid": True}):
        assert drawings() == usual


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    drawings()
    assert dict(mpl.rcParams) == before


def test_nothing_of_matplotlib_that_has_state_or_windows_is_loaded() -> None:
    code = "import sys, finetune.report.page; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=100).returncode == 0


def test_the_figures_alone_load_no_matplotlib() -> None:
    code = "import sys, finetune.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=100).returncode == 0


def test_zeros_are_drawn_without_complaint() -> None:
    assert bars("zeros", [Bar("none", 0, "0")]).svg()
    assert columns("zeros", [Bar("none", 0)], "", "").svg()
    assert funnel("zeros", [("messages", [Step("none", 0)])]).svg()


def test_a_picture_has_its_title_on_white_and_the_same_bytes_each_time() -> None:
    drawing = bars("one", [Bar("a", 1, "one"), Bar("b", 2, "two")])
    picture, other = drawing.png("A title"), drawing.png("Another")
    assert picture == drawing.png("A title") != other
    assert picture.startswith(b"\x89PNG\r\n")
    assert int.from_bytes(picture[16:20]) == 2 * drawing.width_px
    assert b"matplotlib" not in picture


def test_a_course_is_drawn_with_what_it_comes_to() -> None:
    panel = Panel("SFT", "bits", [(0, 1.83), (9, 1.6871)], start=1.83, best=(9, 1.6871), breaks=[4])
    words = ["".join(each.itertext()) for each in ET.fromstring(courses("c", [panel], "step").svg()).iter("text")]
    assert {"SFT", "bits", "step", "before 1.83", "best 1.687", "taken up again"} <= set(words)
    plain = courses("c", [Panel("SFT", "loss", [(1, 2.5)])], "step").svg()
    assert ">2.5</text>" in plain
