"""The REST interface of the Discord stand-in: from an HTTP request to what the world, or a fault, answers.

Every request is recorded, and goes through faults, authorisation and rate limits in that order, before
`discord_routes` lets it take effect.
"""

import asyncio
import json
import socket
import struct
import time
from typing import Any

from aiohttp import BodyPartReader, web
from discord_interactions import Interactions
from discord_limits import VIA, ApiError, Bucket, Faults, Reply, plain_refusal, refusal
from discord_limits import too_many_requests as over_limit
from discord_routes import Call, Request, Route, Routes
from discord_state import (
    BotAccount,
)
from discord_world import Changes, World

API = "/api/v10"


class Rest:
    """The REST interface. `rate_limit` is (requests, seconds) per channel for create, edit and delete together."""

    def __init__(
        self,
        world: World,
        interactions: Interactions,
        changes: Changes,
        *,
        rate_limit: tuple[int, float] | None,
        global_limit: tuple[int, float] | None,
        tolerated_429s: int,
    ) -> None:
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.faults = Faults()
        self.routes = Routes(world, interactions)
        self._world, self._interactions, self._changes = world, interactions, changes
        self._rate_limit, self._global_limit, self._tolerated_429s = rate_limit, global_limit, tolerated_429s
        self._buckets: dict[tuple[object, ...], Bucket] = {}
        self._refused_tokens: set[str] = set()
        self._num_429s: dict[BotAccount | None, int] = {}

    def app(self) -> web.Application:
        """The web application that speaks the protocol, and serves uploaded files."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/attachments/{channel}/{file}/{name}", self._download)
        app.router.add_route("*", API + "{route:/.*}", self._handle)
        return app

    async def _download(self, request: web.Request) -> web.Response:
        attachment = self._world.files.get(int(request.match_info["file"]))
        if attachment is None:
            return web.Response(status=404)
        return web.Response(body=attachment.data, content_type=attachment.content_type.partition(";")[0])

    async def _handle(self, web_request: web.Request) -> web.StreamResponse:
        token = web_request.headers.get("Authorization", "").removeprefix("Bot ")
        request = await self._read(web_request, self._world.bot_of(token))
        self.requests.append(request)
        fault = request.fault = self.faults.take(request)
        self._changes.notify()
        if fault is not None:
            await asyncio.sleep(fault.delay_s)
            if fault.gate is not None:
                await fault.gate.wait()
        reply = None
        if fault is None or fault.is_true or fault.is_applied:
            reply = self._answer(request, token)
        if fault is not None and fault.is_lost:
            return self._lose(web_request, request, is_reset=fault.is_reset)
        if fault is not None and fault.reply is not None:
            reply = fault.reply
        assert reply is not None
        request.status = reply.status
        self._changes.notify()
        headers = {name: value for name, value in ({"Via": VIA} | reply.headers).items() if value}
        kind = reply.content_type if reply.body is not None else "text/html; charset=utf-8"
        return web.Response(status=reply.status, body=reply.data(), headers=headers | {"Content-Type": kind})

    async def _read(self, request: web.Request, bot: BotAccount | None) -> Request:
        body: Any = None
        files: list[tuple[str, str, bytes]] = []
        if request.content_type.startswith("multipart/"):
            async for part in await request.multipart():
                assert isinstance(part, BodyPartReader)
                if part.name == "payload_json":
                    body = json.loads(await part.text())
                else:
                    kind = part.headers.get("Content-Type", "application/octet-stream")
                    files.append((part.filename or "file", kind, bytes(await part.read())))
        elif request.can_read_body:
            body = json.loads(await request.read())
        route, query = request.match_info["route"], dict(request.query)
        return Request(self._world.clock(), bot, request.method, route, query, body, files)

    def _lose(self, web_request: web.Request, request: Request, *, is_reset: bool) -> web.Response:
        """End the connection instead of answering."""
        request.status = 0
        self._changes.notify()
        if web_request.transport is not None:
            if is_reset:  # closing with a linger time of zero sends RST
                raw = web_request.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            web_request.transport.abort()
        return web.Response()

    def _answer(self, request: Request, token: str) -> Reply:
        route, found = self._find(request)
        try:
            if route is None:
                raise plain_refusal(404, "Not Found")
            request.bot = self._bot_of_interaction(found[1]) if route.is_open else self._authorised(request, token)
            call = Call(request, request.bot, found)
            headers = self._take_limits(call, is_limited=route.is_limited)
            reply = route.handler(call)
        except ApiError as refused:
            return refused.reply
        return Reply(reply.status, reply.body, headers | reply.headers)

    def _find(self, request: Request) -> tuple[Route | None, tuple[str, ...]]:
        for route in self.routes.table:
            match = route.path.fullmatch(request.route)
            if match and route.method == request.method:
                return route, match.groups()
        return None, ()

    def _authorised(self, request: Request, token: str) -> BotAccount:
        if request.bot is None:
            if token in self._refused_tokens:
                self.violations.append(f"{request.method} {request.route} with a token that got 401 before")
            self._refused_tokens.add(token)
            raise plain_refusal(401, "Unauthorized")
        return request.bot

    def _bot_of_interaction(self, token: str) -> BotAccount:
        """The routes of an interaction need no other authorisation than its token."""
        interaction = next((each for each in self._interactions.all if each.token == token), None)
        if interaction is None:
            raise refusal(10015)
        return interaction.bot

    def _take_limits(self, call: Call, *, is_limited: bool) -> dict[str, str]:
        """Count a request against its limits. Returns the headers that tell of them."""
        now_s = self._world.clock()
        is_interaction = call.request.route.startswith(("/interactions", "/webhooks"))
        if self._global_limit is not None and not is_interaction:
            bucket = self._buckets.setdefault((call.bot,), Bucket(*self._global_limit))
            if wait_s := bucket.take(now_s):
                self._refuse_429(call, wait_s, "global", {})
        if self._rate_limit is None or not is_limited:
            return {}
        name = "webhook" if is_interaction else "messages"
        key = (call.bot, name, call.found[1 if is_interaction else 0])
        bucket = self._buckets.setdefault(key, Bucket(*self._rate_limit))
        wait_s = bucket.take(now_s)
        headers = bucket.headers(name, now_s, time.time())
        if wait_s:
            self._refuse_429(call, wait_s, "user", headers)
        return headers

    def _refuse_429(self, call: Call, wait_s: float, scope: str, headers: dict[str, str]) -> None:
        count = self._num_429s[call.bot] = self._num_429s.get(call.bot, 0) + 1
        if count > self._tolerated_429s:
            self.violations.append(
                f"429 number {count} for {call.bot.name}: {call.request.method} {call.request.route}"
            )
        reply = over_limit(wait_s, scope=scope)
        raise ApiError(Reply(429, reply.body, headers | reply.headers))
