"""Updates by webhook: a small HTTP server that Telegram posts them to.

One server takes in the updates of all bots of a process; the last part of the address says for which one they are.
"""

import asyncio
import hmac
import logging
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from bots.errors import AccountError
from bots.telegram.connection import readable_update
from bots.telegram.inbox import Inbox

logger = logging.getLogger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105  # a header's name
MAX_BODY_BYTES = 1024 * 1024
"""An update is a few KB; the longest message with all its entities and a quote of another is under 200 KB."""

SHUTDOWN_S = 1.0


class WebhookServer:
    """Listens as long as at least one bot has entered it."""

    def __init__(self, url: str, listen: str, secret: str) -> None:
        """`url` is the public address, `listen` is `host:port`, and `secret` what Telegram has to show."""
        self._url, self.secret = url.rstrip("/"), secret
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._inboxes: dict[str, Inbox] = {}
        self._num_users = 0
        self._runner: web.AppRunner | None = None
        self._changing = asyncio.Lock()

    def url_for(self, account: str) -> str:
        """Where Telegram is to post the updates of one bot."""
        return f"{self._url}/{account}"

    @property
    def port(self) -> int:
        """Where it listens: of port 0, the one that it got."""
        return int(self._runner.addresses[0][1]) if self._runner and self._runner.addresses else self._port

    async def __aenter__(self) -> Self:
        async with self._changing:
            if self._runner is None:
                self._runner = await self._listen()
            self._num_users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._changing:
            self._num_users -= 1
            if self._num_users == 0 and self._runner is not None:
                runner, self._runner = self._runner, None
                await runner.cleanup()

    def connect(self, account: str, inbox: Inbox) -> None:
        """Bring the updates of one bot to `inbox` from now on."""
        self._inboxes[account] = inbox

    def disconnect(self, account: str) -> None:
        """Take in no more updates of a bot: Telegram keeps them."""
        self._inboxes.pop(account, None)

    async def _listen(self) -> web.AppRunner:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/{path:.*}", self._take_in)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as exc:
            await runner.cleanup()
            raise AccountError(
                f"cannot listen on {self._host}:{self._port} ({exc.strerror or exc}); set TELEGRAM_WEBHOOK_LISTEN"
            ) from exc
        return runner

    async def _take_in(self, request: web.Request) -> web.Response:
        shown = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(shown.encode(errors="surrogateescape"), self.secret.encode()):
            return web.Response(status=403)
        inbox = self._inboxes.get(request.match_info["path"].rpartition("/")[2])
        if inbox is None:
            return web.Response(status=503)  # a bot that comes up in a moment, or is gone for one
        try:
            data: Any = await request.json()
        except ValueError:
            return web.Response(status=400)
        if not isinstance(data, dict) or not isinstance(data.get("update_id"), int):
            return web.Response(status=400)
        update = readable_update(data)
        # One that cannot be read is let pass: refused, it would come again for a day, before all others.
        is_done = update is None or await inbox.deliver(update)
        return web.Response(status=200 if is_done else 503)
