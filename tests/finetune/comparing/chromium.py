"""A real browser without a window, driven over its DevTools protocol (https://chromedevtools.github.io)."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


class Tab:
    """One tab; `problems` is what the page's console and policy complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self._events: list[dict[str, Any]] = []
        self.problems: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while (message := await self._receive()).get("id") != number:
            self._events.append(message)
        assert "error" not in message, (method, message)
        return message.get("result", {})

    async def loaded(self) -> None:
        """Wait until the next page is there; its event may have come already."""
        while True:
            message = self._events.pop(0) if self._events else await self._receive()
            if message.get("method") == "Page.loadEventFired":
                return

    async def open(self, address: str) -> None:
        await self.call("Page.navigate", url=address)
        await self.loaded()

    async def key(self, key: str) -> None:
        """Press a key that leads to another page."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        await self.loaded()

    async def click(self, selector: str) -> None:
        """Click on what leads to another page, with the mouse."""
        box = await self.value(
            "(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        place = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        await self.call("Input.dispatchMouseEvent", type="mousePressed", **place)
        await self.call("Input.dispatchMouseEvent", type="mouseReleased", **place)
        await self.loaded()

    async def value(self, expression: str) -> Any:
        """What a piece of JavaScript comes to."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json()
        if message.get("method") == "Log.entryAdded":
            self.problems.append(message["params"]["entry"]["text"])
        return message


@asynccontextmanager
async def tab(program: str, folder: Path) -> AsyncIterator[Tab]:
    """A browser with one tab; `folder` is for its profile."""
    process = await asyncio.create_subprocess_exec(
        program,
        *FLAGS,
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    draining = None
    try:
        port = await _port(process.stderr)
        draining = asyncio.create_task(process.stderr.read())  # a full pipe would stop the browser
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as response:
                pages = [each for each in await response.json() if each["type"] == "page"]
            async with http.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                one = Tab(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await one.call(f"{domain}.enable")
                yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if draining is not None:
            await draining
        await process.wait()


async def _port(stderr: asyncio.StreamReader) -> int:
    async for line in stderr:
        if b"DevTools listening on ws://" in line:
            return int(line.split(b"://")[1].split(b"/")[0].rsplit(b":")[-1])
    raise AssertionError("the browser did not start")
