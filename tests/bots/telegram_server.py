"""A loopback stand-in for the Telegram Bot API that speaks the real protocol, to drive real clients through.

    async with TelegramServer() as server:
        bot = server.add_bot("1:abc", "mynah_bot")
        ann = server.add_user("Ann")
        chat = server.private_chat(ann, bot)
        server.say(ann, chat, "hello")
        await server.until(lambda: server.messages(chat, bot))

Clients are pointed at it with base_url=f"{server.api_url}/bot" and base_file_url=f"{server.api_url}/file/bot".
This module is HTTP: requests in, answers or faults out, updates by long poll or webhook, and the records. What people
do stands in telegram_state, the queue of updates in telegram_accounts, what methods do in telegram_methods, what may
be said how often in telegram_limits, and what can go wrong in telegram_faults.
"""

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web
from telegram_accounts import Account, Json, User, Webhook
from telegram_faults import CONFLICT, Fault, Faults
from telegram_limits import FloodGate, Limits
from telegram_methods import (
    ACTION_LIFETIME_S,
    DRAFT_LIFETIME_S,
    Action,
    ApiError,
    BadRequestError,
    Draft,
    Ledger,
    Methods,
    hold_key,
    read_params,
)
from telegram_state import Chat, Message, World

T = TypeVar("T")
Answer = tuple[int, Json]
_MAX_POLL_S = 50
_USUAL_LIMITS = Limits()
_WEBHOOK_BACKOFF_S = (0.05, 1.0)
_WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)


@dataclass(eq=False)
class Request:
    """A call that a bot made; `status` is `None` until it is answered, and 0 if the connection was dropped."""

    time_s: float
    bot: Account
    method: str
    params: Json
    is_early: bool  # made while the bot was told to wait in that chat
    status: int | None = None
    description: str = ""

    def __repr__(self) -> str:
        return f"<{self.method} {self.params} -> {self.status} {self.description}>"


class Changes:
    """Wakes everyone who waits for something to happen."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Something happened."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when something happens, or after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)


class TelegramServer:
    """The Bot API on a loopback port, with everything that its bots did on record."""

    def __init__(
        self,
        *,
        limits: Limits | None = _USUAL_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests: list[Request] = []
        self.faults = Faults()
        self.webhook_statuses: list[int] = []  # what webhooks answered, 0 for those that could not be reached
        self._clock, self._changes = clock, Changes()
        self._gate, self._ledger = FloodGate(limits, clock), Ledger()
        self.world = World(self._changes.notify)
        self._methods = Methods(self.world, self._gate, self._ledger, clock)
        self._runner: web.AppRunner | None = None
        self._port, self._is_up = 0, False
        self._deliveries: dict[Account, asyncio.Task[None]] = {}
        self._take_over_the_worlds_actions()

    def _take_over_the_worlds_actions(self) -> None:
        world = self.world
        self.add_bot, self.add_user, self.private_chat = world.add_bot, world.add_user, world.private_chat
        self.add_group, self.add_supergroup, self.add_topic = world.add_group, world.add_supergroup, world.add_topic
        self.add_member, self.promote, self.upgrade = world.add_member, world.promote, world.upgrade
        self.say, self.edit, self.delete = world.say, world.edit, world.delete
        self.press, self.react, self.block = world.press, world.react, world.block
        self.updates, self.redeliver, self.lose_updates = world.updates, world.redeliver, world.lose_updates
        self.hold_updates, self.release_updates = world.hold_updates, world.release_updates

    # -- up and down

    @property
    def api_url(self) -> str:
        """Where it listens; stays the same over stop() and start()."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._deliveries.values():
            task.cancel()
        await asyncio.gather(*self._deliveries.values(), return_exceptions=True)
        if self._is_up:
            await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=1024)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._is_up = True
        self._changes.notify()

    async def stop(self) -> None:
        """Drop all connections and refuse new ones; nothing that bots were told or did is forgotten."""
        assert self._runner is not None, "not started"
        self._is_up = False
        self._changes.notify()
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await self._runner.cleanup()

    # -- the records

    def messages(self, chat: Chat, sender: User | Account | None = None) -> list[Message]:
        """The messages that stand in a chat, in order, of one sender or of all."""
        return [m for m in chat.messages if not m.is_deleted and (sender is None or m.sender.id == sender.id)]

    def drafts(self, chat: Chat) -> list[Draft]:
        """All drafts ever shown in a chat."""
        return self._ledger.drafts.get(chat, [])

    def shown_draft(self, chat: Chat) -> Draft | None:
        """The draft that the person sees now."""
        draft = self._ledger.shown_drafts.get(chat)
        return draft if draft and self._clock() - draft.time_s < DRAFT_LIFETIME_S else None

    def actions(self, chat: Chat) -> list[Action]:
        """All chat actions ever shown in a chat."""
        return self._ledger.actions.get(chat, [])

    def is_typing(self, chat: Chat) -> bool:
        """Whether a chat action shows now."""
        action = self._ledger.shown_actions.get(chat)
        return action is not None and self._clock() - action.time_s < ACTION_LIFETIME_S

    @property
    def deleted(self) -> list[Message]:
        """What bots deleted."""
        return self._ledger.deleted

    @property
    def pings(self) -> list[Any]:
        """Bots' messages and edits that named a person, as `Ping`."""
        return self._ledger.pings

    @property
    def violations(self) -> list[Any]:
        """What our bots must never do and did, as `Violation`."""
        return self._ledger.violations

    @property
    def query_answers(self) -> dict[str, list[Json]]:
        """The answers to callback queries by query id."""
        return self._ledger.answers

    def calls(self, method: str, bot: Account | None = None, chat: Chat | None = None) -> list[Request]:
        """The requests whose method is `method`, a name or a pattern."""
        wanted = re.compile(method, re.IGNORECASE)
        return [
            request
            for request in self.requests
            if wanted.fullmatch(request.method)
            and bot in (None, request.bot)
            and (chat is None or request.params.get("chat_id") == chat.id)
        ]

    async def until(self, condition: Callable[[], T], timeout_s: float = 10.0) -> T:
        """Wait until `condition` holds; returns what it gave. Looked at after each change, and now and then."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while not (result := condition()):
            assert loop.time() < end_s, f"still not so after {timeout_s} s; last requests: {self.requests[-8:]}"
            await self._changes.wait(0.05)
        return result

    # -- requests

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        bot = self._authenticate(request.match_info["token"])
        if not isinstance(bot, Account):
            return _respond(bot)
        params = read_params(await _read_params(request))
        record = self._record(bot, method, params)
        fault = self.faults.next(method, params.get("chat_id"))
        if fault is not None:
            return await self._go_wrong(fault, request, record)
        return self._close(record, await self._apply(request, record))

    def _authenticate(self, token: str) -> Account | Answer:
        if not re.fullmatch(r"\d+:[\w-]+", token):
            return _refusal(404, "Not Found")
        return self.world.accounts.get(token) or _refusal(401, "Unauthorized")

    def _record(self, bot: Account, method: str, params: Json) -> Request:
        is_early = self._gate.is_early(bot.id, hold_key(method, params))
        self.requests.append(record := Request(self._clock(), bot, method, params, is_early))
        self._changes.notify()
        return record

    def _close(self, record: Request, answer: Answer) -> web.Response:
        record.status, record.description = answer[0], answer[1].get("description", "")
        self._changes.notify()
        return _respond(answer)

    async def _apply(self, request: web.Request, record: Request) -> Answer:
        bot, params = record.bot, record.params
        try:
            match record.method.lower():
                case "getupdates":
                    result: Any = await self._get_updates(request, bot, params)
                case "setwebhook":
                    result = self._set_webhook(bot, params)
                case "deletewebhook":
                    result = self._set_webhook(bot, {**params, "url": ""})
                case "getwebhookinfo":
                    result = _webhook_info(bot)
                case _:
                    result = self._methods.call(bot, record.method, params)
        except ApiError as error:
            return _refusal(error.status, error.description, error.parameters)
        return 200, {"ok": True, "result": result}

    async def _go_wrong(self, fault: Fault, request: web.Request, record: Request) -> web.Response:
        answer = await self._apply(request, record) if fault.applies == "at once" else None
        self._changes.notify()
        if fault.gate is not None:
            await fault.gate.wait()
        await asyncio.sleep(fault.delay_s)
        if fault.applies == "late":
            answer = await self._apply(request, record)
        if fault.is_dropped:
            record.status = 0
            self._changes.notify()
            _drop(request, is_reset=answer is None)
            return web.Response()
        if "retry_after" in fault.parameters:
            key = hold_key(record.method, record.params)
            self._gate.hold(record.bot.id, key, fault.parameters["retry_after"])
        if fault.html is not None:
            self._close(record, (fault.status or 502, {}))
            return web.Response(status=fault.status or 502, text=fault.html, content_type="text/html")
        honest = answer if fault.status is None else None
        return self._close(record, honest or _refusal(fault.status or 500, fault.description, fault.parameters))

    async def _download(self, request: web.Request) -> web.Response:
        bot = self._authenticate(request.match_info["token"])
        wanted = request.match_info["path"]
        stored = next((file for file in self.world.files.values() if file.path == wanted), None)
        if not isinstance(bot, Account) or stored is None:
            return _respond(_refusal(404, "Not Found"))
        return web.Response(body=stored.data)

    # -- updates

    async def _get_updates(self, request: web.Request, bot: Account, params: Json) -> list[Json]:
        if bot.webhook is not None:
            raise ApiError(409, _WEBHOOK_ACTIVE)
        bot.poll += 1
        mine = bot.poll
        self._changes.notify()  # an older poll that still waits ends now, as on the real platform
        if "allowed_updates" in params:
            bot.allowed_updates = params["allowed_updates"]
        if params.get("offset"):
            bot.confirm(params["offset"])
        loop = asyncio.get_running_loop()
        end_s = loop.time() + min(params.get("timeout", 0), _MAX_POLL_S)
        while self._is_up and bot.poll == mine and not bot.pending and (left_s := end_s - loop.time()) > 0:
            await self._changes.wait(left_s)
        if bot.poll != mine:
            raise ApiError(409, "Conflict: terminated by setWebhook request" if bot.webhook else CONFLICT)
        if request.transport is None or request.transport.is_closing():
            return []  # nobody is there to read them
        return [update.to_api() for update in bot.take(min(max(params.get("limit", 100), 1), 100))]

    def _set_webhook(self, bot: Account, params: Json) -> bool:
        if params.get("drop_pending_updates"):
            bot.pending.clear()
        if "allowed_updates" in params:
            bot.allowed_updates = params["allowed_updates"]
        url = params.get("url") or ""
        if not url:
            bot.webhook = None
        elif not re.match(r"https?://", url):  # plain http, which a Bot API server of one's own takes, is loopback's
            raise BadRequestError("bad webhook: An HTTPS URL must be provided for webhook")
        else:
            bot.webhook = Webhook(url, params.get("secret_token"), params.get("max_connections", 40))
            bot.poll += 1
            if bot not in self._deliveries:
                self._deliveries[bot] = asyncio.create_task(self._deliver(bot))
        self._changes.notify()
        return True

    async def _deliver(self, bot: Account) -> None:
        """Post a bot's updates one by one, each until it is taken. Ends with the server."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            backoff_s = _WEBHOOK_BACKOFF_S[0]
            while True:
                if bot.webhook is None or not bot.pending or not self._is_up:
                    await self._changes.wait(1.0)
                    continue
                update = bot.pending[0]
                if await self._post(session, bot.webhook, update.to_api()):
                    bot.pending = [other for other in bot.pending if other is not update]
                    backoff_s = _WEBHOOK_BACKOFF_S[0]
                else:
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(backoff_s * 2, _WEBHOOK_BACKOFF_S[1])
                self._changes.notify()

    async def _post(self, session: aiohttp.ClientSession, webhook: Webhook, update: Json) -> bool:
        headers = {"X-Telegram-Bot-Api-Secret-Token": webhook.secret} if webhook.secret else {}
        try:
            async with session.post(webhook.url, json=update, headers=headers) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            status, webhook.last_error = 0, f"Connection failed: {error!r}"
        else:
            webhook.last_error = None if response.ok else f"Wrong response from the webhook: {status}"
        self.webhook_statuses.append(status)
        return 200 <= status < 300


def _webhook_info(bot: Account) -> Json:
    hook = bot.webhook
    told: Json = {"url": hook.url if hook else "", "has_custom_certificate": False}
    told["pending_update_count"] = len(bot.pending)
    if hook is not None:
        told["max_connections"] = hook.max_connections
        if hook.last_error is not None:
            told |= {"last_error_date": int(time.time()), "last_error_message": hook.last_error}
    return told | ({"allowed_updates": bot.allowed_updates} if bot.allowed_updates else {})


def _refusal(status: int, description: str, parameters: dict[str, int] | None = None) -> Answer:
    body: Json = {"ok": False, "error_code": status, "description": description}
    return status, body | ({"parameters": parameters} if parameters else {})


def _respond(answer: Answer) -> web.Response:
    return web.json_response(answer[1], status=answer[0])


async def _read_params(request: web.Request) -> dict[str, Any]:
    """The parameters of a form, with or without files, of a JSON body, or of the address; files as tuples."""
    raw: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        return raw | await request.json()
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            raw[name] = (value.filename, value.content_type, value.file.read())
        else:
            raw[name] = value
    return raw


def _drop(request: web.Request, *, is_reset: bool) -> None:
    """End the connection: with a RST, or in an orderly way without an answer."""
    transport = request.transport
    if transport is None:
        return
    if is_reset:
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
