"""Serves the page of a comparison to browsers on this machine, and to nobody else.

What is on it may be private, and votes count: it listens on loopback, answers to names of this machine only (a page
elsewhere may have its own name point here: DNS rebinding), has an address that nobody can guess, and takes forms from
its own page only. Knows nothing of what it shows.
"""

import asyncio
import hmac
import logging
import secrets
import signal
from collections.abc import Awaitable, Callable

from aiohttp import web

from finetune.comparing.blinding import Choice
from finetune.comparing.judging import Judging
from finetune.comparing.page import render
from finetune.errors import FinetuneError, StoreError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORT = 8765
_OURSELVES = {HOST, "localhost"}
# A vote is under 100 bytes.
_MAX_FORM_BYTES = 4096
_SHUTDOWN_S = 1.0
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Without any referrer browsers would not name the origin of a form, which is looked at.
    "Referrer-Policy": "same-origin",
}
_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AddressError(FinetuneError):
    """The page cannot be served at that port."""


def app(judging: Judging) -> web.Application:
    """The page as a web application."""
    application = web.Application(middlewares=[_only_from_here], client_max_size=_MAX_FORM_BYTES)
    application.on_response_prepare.append(_add_headers)
    pages = _Pages(judging)
    application.add_routes(
        [
            web.get("/{address}/", pages.show),
            web.post("/{address}/vote", pages.vote),
            web.post("/{address}/undo", pages.undo),
            web.post("/{address}/end", pages.end),
        ]
    )
    return application


async def serve(judging: Judging, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until the process is asked to end (Ctrl-C, SIGTERM).

    Args:
        port: 0 for any that is free.
        say: Told the address, once it is served.

    Raises:
        AddressError: The port is taken, or not to be had.
    """
    is_asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app(judging), access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, is_asked.set)
    try:
        await _listen(runner, port)
        say(f"http://{HOST}:{runner.addresses[0][1]}/{judging.address}/")
        await is_asked.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        raise AddressError(f"port {port} cannot be had ({error.strerror}); name a free one with --port") from error


class _Pages:
    """What becomes of each request; one at a time, and off the event loop, as votes have to be on disk."""

    def __init__(self, judging: Judging) -> None:
        self._judging, self._one_at_a_time = judging, asyncio.Lock()

    async def show(self, request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        self._check_address(request)
        async with self._one_at_a_time:
            html = await asyncio.to_thread(render, self._judging, nonce)
        policy = {"Content-Security-Policy": _POLICY.format(nonce=nonce)}
        return web.Response(text=html, content_type="text/html", charset="utf-8", headers=policy)

    async def vote(self, request: web.Request) -> web.Response:
        item, choice = await self._form(request, "item", "choice")
        if choice not in set(Choice):
            raise web.HTTPBadRequest(text="no such choice")
        return await self._after(request, self._judging.vote, item, Choice(choice))

    async def undo(self, request: web.Request) -> web.Response:
        (item,) = await self._form(request, "item")
        return await self._after(request, self._judging.undo, item)

    async def end(self, request: web.Request) -> web.Response:
        await self._form(request)
        return await self._after(request, self._judging.end)

    async def _form(self, request: web.Request, *names: str) -> tuple[str, ...]:
        self._check_address(request)
        # Browsers name the origin of every form; what comes without one is none of our page's.
        if request.headers.get("Origin") != f"http://{request.host}":
            raise web.HTTPForbidden(text="not from this page")
        form = await request.post()
        return tuple(str(form.get(name, "")) for name in names)

    async def _after(self, request: web.Request, act: Callable[..., None], *arguments: object) -> web.Response:
        """Go back to the page when it is done, so that a reload sends nothing again."""
        try:
            async with self._one_at_a_time:
                await asyncio.to_thread(act, *arguments)
        except KeyError:
            raise web.HTTPBadRequest(text="no such item") from None
        except StoreError as error:
            logger.error("not counted: %s", error)  # noqa: TRY400 - one line says it all, and not on the page: it is blind
            raise web.HTTPInternalServerError(text="This could not be kept on disk, and does not count.") from None
        return web.Response(status=303, headers={"Location": f"/{request.match_info['address']}/"})

    def _check_address(self, request: web.Request) -> None:
        if not hmac.compare_digest(request.match_info["address"].encode(), self._judging.address.encode()):
            raise web.HTTPNotFound


@web.middleware
async def _only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests that were meant for another name."""
    # Through a tunnel the port may be another one.
    if request.host.partition(":")[0] not in _OURSELVES:
        raise web.HTTPForbidden(text="not served under this name")
    return await handler(request)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
