"""The page as a browser gets it, over a real socket."""

import asyncio
import html
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from finetune.comparing.judging import Judging
from finetune.comparing.page import render
from finetune.comparing.pairs import Pair
from finetune.comparing.server import AddressError, serve
from finetune.comparing.store import votes_path
from finetune.comparing.votes import Sitting
from tests.finetune.comparing.sittings import AGAINST, VERSION, judging, pairs, quoting, served, store


def form(page: str) -> dict[str, str]:
    """The hidden field of the form to vote with."""
    found = re.search(r'action="vote".*?name="item" value="([^"]+)"', page, re.DOTALL)
    assert found is not None, page
    return {"item": found[1]}


def sides(page: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r'answer, scrolls if it is long">([^<]*)<', page)]


class Visitor:
    """A browser without scripts."""

    def __init__(self, http: aiohttp.ClientSession, address: str) -> None:
        self.http, self.address = http, address
        parts = urlsplit(address)
        self.origin = {"Origin": f"{parts.scheme}://{parts.netloc}"}

    async def get(self, **headers: str) -> tuple[int, str]:
        async with self.http.get(self.address, headers=headers) as response:
            return response.status, await response.text()

    async def page(self) -> str:
        status, text = await self.get()
        assert status == 200, text
        return text

    async def post(self, to: str, data: Mapping[str, str], headers: Mapping[str, str] | None = None) -> int:
        sent = self.origin if headers is None else headers
        async with self.http.post(self.address + to, data=data, headers=sent, allow_redirects=False) as response:
            if response.status == 303:
                assert response.headers["Location"] == urlsplit(self.address).path
            return response.status

    async def vote(self, choice: str) -> None:
        assert await self.post("vote", {**form(await self.page()), "choice": choice}) == 303


async def test_a_judge_votes_on_every_item_and_then_learns_which_was_which(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(6, equal=1))
    async with served(sitting) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        for number in range(1, 6):
            page = await visitor.page()
            assert f"{number} of 5" in page
            assert f'max="5" value="{number - 1}"' in page
            await visitor.vote("left" if sides(page)[0].startswith("new") else "right")
        assert "All done" in await visitor.page()
        assert await visitor.post("end", {}) == 303
        page = await visitor.page()
    assert VERSION in page
    assert AGAINST in page
    assert "With ties as halves, it is the better one in 91.7 %" in page
    assert page.count("<details>") == 5


def test_nothing_before_the_end_names_a_model_or_differs_with_which_is_which(tmp_path: Path) -> None:
    made = pairs(4)
    swapped = tuple(Pair(each.id, each.question, each.against, each.version) for each in made)
    seen: dict[str, set[str]] = {"as it is": set(), "swapped": set()}
    for name, given in (("as it is", made), ("swapped", swapped)):
        for n in range(60):
            kept = store(tmp_path / name / str(n))
            kept.keep(Sitting(judge="ann", source="general", secret=f"{n}"))
            page = render(Judging(kept, "general", given, "ann"), "nonce")
            assert VERSION not in page
            assert AGAINST not in page
            seen[name].add(page)
    # Each of four items with either answer on the left is all that a judge can ever get to see first.
    assert seen["as it is"] == seen["swapped"]
    assert len(seen["as it is"]) == 8


async def test_reload_back_and_a_double_click_count_once(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(3))
    async with served(sitting) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        old = {**form(await visitor.page()), "choice": "same"}
        assert [await visitor.post("vote", old) for _ in range(3)] == [303] * 3
        assert "2 of 3" in await visitor.page()
        both = await asyncio.gather(*(visitor.post("vote", {**old, "choice": "bad"}) for _ in range(8)))
        assert both == [303] * 8
    result = sitting.result()
    assert (result.judged, result.both_bad) == (1, 1)


async def test_the_last_vote_is_taken_back_from_the_page(tmp_path: Path) -> None:
    async with served(judging(tmp_path, pairs(2))) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        first = await visitor.page()
        assert 'action="undo"' not in first
        item = form(first)
        await visitor.vote("skip")
        assert 'action="undo"' in await visitor.page()
        assert await visitor.post("undo", item) == 303
        assert form(await visitor.page()) == item


async def test_the_page_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        async with served(judging(tmp_path, pairs(5))) as address:
            await Visitor(http, address).vote("same")
            before = Visitor(http, address)
            item, path = form(await before.page()), urlsplit(address).path
        async with served(judging(tmp_path, pairs(5))) as address:
            assert urlsplit(address).path == path
            assert form(await Visitor(http, address).page()) == item


async def test_only_forms_of_the_page_itself_are_taken(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(2))
    async with served(sitting) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        vote = {**form(await visitor.page()), "choice": "same"}
        foreign = [{}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"}]
        assert [await visitor.post("vote", vote, headers) for headers in foreign] == [403] * 4
        assert await visitor.post("end", {}, {}) == 403
        assert await visitor.post("undo", vote, {}) == 403
    assert sitting.result().judged == 0


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "10.0.0.1", "["])
async def test_a_name_that_somebody_points_here_gets_nothing(tmp_path: Path, host: str) -> None:
    async with served(judging(tmp_path, pairs(2))) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        status, page = await visitor.get(Host=host)
        assert status == 403
        assert "What is" not in page
        assert (await visitor.get(Host="localhost:9000"))[0] == 200, "a tunnel to this machine"


async def test_an_address_that_was_guessed_finds_nothing(tmp_path: Path) -> None:
    async with served(judging(tmp_path, pairs(2))) as address, aiohttp.ClientSession() as http:
        parts = urlsplit(address)
        for path in ("/", "/guess/", "/gu%C3%A9ss/", parts.path.rstrip("/")[:-1] + "/"):
            assert (await Visitor(http, f"{parts.scheme}://{parts.netloc}{path}").get())[0] == 404
        guess = Visitor(http, f"{parts.scheme}://{parts.netloc}/guess/")
        assert await guess.post("end", {}) == 404


async def test_what_is_no_vote_is_refused(tmp_path: Path) -> None:
    sitting = judging(tmp_path, pairs(2))
    async with served(sitting) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        item = form(await visitor.page())
        wrong = [{}, item, {**item, "choice": "middle"}, {"item": "other", "choice": "left"}]
        assert [await visitor.post("vote", each) for each in wrong] == [400] * 4
        assert await visitor.post("vote", {"item": "x" * 10_000, "choice": "left"}) == 413
    assert sitting.result().judged == 0


async def test_a_vote_that_cannot_be_kept_is_said_not_to_count(tmp_path: Path) -> None:
    async with served(judging(tmp_path, pairs(2))) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        item = form(await visitor.page())
        path = votes_path(tmp_path, VERSION, AGAINST)
        path.with_name(f".{path.name}.unfinished").mkdir()
        assert await visitor.post("vote", {**item, "choice": "left"}) == 500
        assert form(await visitor.page()) == item


async def test_everything_that_models_and_people_say_is_escaped(tmp_path: Path) -> None:
    text = '<script>alert(1)</script> </div> & "q" **bold** \ud800'
    sitting = judging(tmp_path, quoting(text))
    async with served(sitting) as address, aiohttp.ClientSession() as http:
        visitor = Visitor(http, address)
        page = await visitor.page()
        await visitor.vote("left")
        await visitor.post("end", {})
        end = await visitor.page()
    for each in (page, end):
        assert "<script>alert" not in each
        assert "**bold**" in each, "markdown is shown as it is"
    assert {side[-1] for side in sides(page)} == {"1", "2"}


async def test_responses_may_not_be_stored_framed_or_run_anything_else(tmp_path: Path) -> None:
    async with (
        served(judging(tmp_path, pairs(2))) as address,
        aiohttp.ClientSession() as http,
        http.get(address) as response,
    ):
        page, policy = await response.text(), response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
    nonces = set(re.findall(r'nonce="([^"]+)"', page))
    assert len(nonces) == 1
    assert f"script-src 'nonce-{nonces.pop()}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"(src|href)=\"(?!data:,)", page), "nothing to load"


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    sitting: Judging = judging(tmp_path, pairs(2))
    async with served(sitting) as address:
        port = urlsplit(address).port
        assert port is not None
        with pytest.raises(AddressError, match=f"port {port} cannot be had .* --port"):
            await serve(sitting, port, print)
