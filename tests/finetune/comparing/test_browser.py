"""A judge at a real browser: keys and mouse, wide and narrow, with scripts and without."""

import shutil
from pathlib import Path

import pytest

from finetune.comparing.judging import Judging
from tests.finetune.comparing.chromium import Tab, tab
from tests.finetune.comparing.sittings import judging, pairs, quoting, served


@pytest.fixture
def chromium() -> str:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no browser is installed; on Debian: apt install chromium")
    return program


async def heading(page: Tab) -> str:
    return str(await page.value("document.querySelector('h1').textContent"))


async def left(page: Tab) -> str:
    return str(await page.value("document.querySelectorAll('.replies .text')[0].textContent"))


def counts(sitting: Judging) -> tuple[int, int, int, int]:
    result = sitting.result()
    return result.wins, result.losses, result.ties, result.both_bad


async def test_a_judge_goes_through_all_items_by_keys_to_the_result(tmp_path: Path, chromium: str) -> None:
    sitting = judging(tmp_path / "kept", pairs(6))
    async with served(sitting) as address, tab(chromium, tmp_path / "profile") as page:
        await page.open(address)
        await page.key("ArrowLeft" if (await left(page)).startswith("new") else "ArrowRight")
        await page.key("2" if (await left(page)).startswith("new") else "1")
        await page.key("3")
        await page.key("4")
        await page.key("5")
        await page.key("u")
        await page.key("3")
        await page.key("4")
        assert await heading(page) == "All done, thank you"
        await page.key("Enter")
        assert await heading(page) == "Which was which"
        assert counts(sitting) == (1, 1, 2, 2)
        assert page.problems == []


async def test_a_judge_without_scripts_at_a_phone_gets_through_by_touching_buttons(
    tmp_path: Path, chromium: str
) -> None:
    long = "It is a long story, and averyveryveryverylongwordwithoutanyplacetobreakitatallisinit. " * 60
    sitting = judging(tmp_path / "kept", (*pairs(1), *quoting(long)))
    async with served(sitting) as address, tab(chromium, tmp_path / "profile") as page:
        await page.call("Emulation.setScriptExecutionDisabled", value=True)
        await page.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
        await page.open(address)
        for _ in range(2):
            assert await page.value("document.documentElement.scrollWidth") <= 360
            assert (
                await page.value("Math.max(...[...document.querySelectorAll('.text')].map(t => t.clientHeight))") < 300
            )
            await page.click("button[value=same]")
        await page.click("form[action=end] button")
        assert await heading(page) == "Which was which"
        assert counts(sitting) == (0, 0, 2, 0)
