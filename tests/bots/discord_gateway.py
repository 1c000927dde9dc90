"""The gateway of the Discord stand-in: sessions that survive their connections, and all that can go wrong with them.

Knows nothing of guilds or messages beyond the events that it is handed, and to which intents each belongs.
"""

import asyncio
import contextlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from discord_state import BotAccount, Guild
from discord_world import Changes, Render, World

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, REQUEST_MEMBERS = 0, 1, 2, 6, 7, 8
INVALID_SESSION, HELLO, HEARTBEAT_ACK = 9, 10, 11
MEMBERS, PRESENCES, MESSAGE_CONTENT = 1 << 1, 1 << 8, 1 << 15
"""The privileged intents."""

# An event's intents: within a guild, and in direct messages.
INTENTS = {
    "GUILD": (1 << 0, 0),
    "CHANNEL": (1 << 0, 1 << 12),
    "THREAD": (1 << 0, 0),
    "MESSAGE_REACTION": (1 << 10, 1 << 13),
    "MESSAGE": (1 << 9, 1 << 12),
}


class Connection:
    """One WebSocket. What is sent on it leaves in order, and nobody waits for that."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, time_s: float) -> None:
        self.session: Session | None = None
        self.opened_s = time_s
        self._request, self._socket = request, socket
        self._outgoing: asyncio.Queue[str | int] = asyncio.Queue()
        is_compressed = request.query.get("compress") == "zlib-stream"
        self._compressor = zlib.compressobj() if is_compressed else None

    def send(self, payload: dict[str, Any]) -> None:
        """Send one payload, some time soon."""
        self.send_text(json.dumps(payload))

    def send_text(self, text: str) -> None:
        """Send what need not be JSON."""
        self._outgoing.put_nowait(text)

    def close(self, code: int) -> None:
        """Close with a code, after all that was sent before."""
        self._outgoing.put_nowait(code)

    def abort(self) -> None:
        """Cut the line: the other side gets no close frame."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write(self) -> None:
        """Send what was queued, until the connection is closed."""
        with contextlib.suppress(ConnectionError):
            while not isinstance(item := await self._outgoing.get(), int):
                await self._write_text(item)
            await self._socket.close(code=item)

    async def _write_text(self, text: str) -> None:
        if self._compressor is None:
            await self._socket.send_str(text)
        else:
            data = self._compressor.compress(text.encode()) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
            await self._socket.send_bytes(data)


@dataclass(eq=False)
class Session:
    """What RESUME takes up again: every event of the session by its sequence number, whether received or not."""

    id: str
    bot: BotAccount
    shard_id: int
    num_shards: int
    intents: int
    connection: Connection | None
    events: list[dict[str, Any]] = field(default_factory=list)

    def dispatch(self, event: str, payload: dict[str, Any]) -> None:
        """Send an event now, or with the next RESUME."""
        frame = {"op": DISPATCH, "s": len(self.events) + 1, "t": event, "d": payload}
        # A copy, as what the payload is made of goes on changing.
        self.events.append(json.loads(json.dumps(frame)))
        if self.connection is not None:
            self.connection.send(frame)

    def wants(self, event: str, guild: Guild | None) -> bool:
        """Whether the event belongs to this shard, and to an intent that was asked for."""
        shard_id = 0 if guild is None else (guild.id >> 22) % self.num_shards
        if shard_id != self.shard_id:
            return False
        for prefix, (in_guild, in_dm) in INTENTS.items():
            if event.startswith(prefix):
                return bool(self.intents & (in_dm if guild is None else in_guild))
        return True


@dataclass(frozen=True)
class GatewayEntry:
    """Something that a bot did at the gateway: `connect`, `identify`, `resume` or `close`."""

    time_s: float
    what: str
    bot: BotAccount | None = None
    shard_id: int | None = None
    code: int | None = None


class Gateway:
    """Accepts connections, keeps sessions, and breaks both on demand.

    The faults take the bot whose connections they concern; None means all.
    """

    def __init__(self, world: World, changes: Changes, *, heartbeat_interval_s: float) -> None:
        self.url = ""
        self.log: list[GatewayEntry] = []
        self.sessions: dict[str, Session] = {}
        self.connections: list[Connection] = []
        self.is_acking = True
        self._world, self._changes = world, changes
        self._heartbeat_interval_s = heartbeat_interval_s
        self._num_sessions = 0
        world.sink = self.dispatch

    def app(self) -> web.Application:
        """The web application that speaks the protocol."""
        app = web.Application()
        app.router.add_get("/", self._handle)
        return app

    def dispatch(self, bot: BotAccount, event: str, guild: Guild | None, render: Render) -> None:
        """Send an event to the sessions of a bot that want it."""
        for session in list(self.sessions.values()):
            if session.bot is bot and session.wants(event, guild):
                session.dispatch(event, render(bool(session.intents & MESSAGE_CONTENT)))

    def is_connected(self, bot: BotAccount) -> bool:
        """Whether the bot has a session that gets events now."""
        return any(session.bot is bot and session.connection for session in self.sessions.values())

    # Faults.

    def drop_connection(self, bot: BotAccount | None = None) -> None:
        """Cut the connections without a close frame."""
        for connection in self._of(bot):
            self._detach(connection)
            connection.abort()

    def close(self, code: int, bot: BotAccount | None = None) -> None:
        """Close the connections with a code, as Discord does with 4000 ("unknown error") or 4004."""
        for connection in self._of(bot):
            self._detach(connection)
            connection.close(code)

    def send_reconnect(self, bot: BotAccount | None = None) -> None:
        """Ask to reconnect and resume (op 7)."""
        for connection in self._of(bot):
            self._detach(connection)
            connection.send({"op": RECONNECT, "d": None})

    def invalidate(self, bot: BotAccount | None = None, *, resumable: bool) -> None:
        """Say that the session is no longer valid (op 9)."""
        for connection in self._of(bot):
            session = self._detach(connection)
            if session is not None and not resumable:
                self.sessions.pop(session.id, None)
            connection.send({"op": INVALID_SESSION, "d": resumable})

    def forget_sessions(self, bot: BotAccount | None = None) -> None:
        """Drop the sessions without a word, so that the next RESUME is refused."""
        for session in list(self.sessions.values()):
            if bot in (None, session.bot):
                del self.sessions[session.id]

    def send_garbage(self, text: str = "{", bot: BotAccount | None = None) -> None:
        """Send something that is no payload."""
        for connection in self._of(bot):
            connection.send_text(text)

    def stop_acking(self) -> None:
        """Answer no heartbeats from now on; whatever else there is to send is still sent."""
        self.is_acking = False

    def resume_acking(self) -> None:
        """Answer heartbeats again."""
        self.is_acking = True

    def abort_all(self) -> None:
        """Cut every connection, identified or not."""
        for connection in list(self.connections):
            self._detach(connection)
            connection.abort()

    def _of(self, bot: BotAccount | None) -> Iterator[Connection]:
        for connection in list(self.connections):
            if connection.session is not None and bot in (None, connection.session.bot):
                yield connection

    def _detach(self, connection: Connection) -> Session | None:
        """Keep events for later rather than send them on a connection that is about to go."""
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
        return session

    # The protocol.

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=1)
        await socket.prepare(request)
        connection = Connection(request, socket, self._world.clock())
        self.connections.append(connection)
        self._note("connect")
        connection.send({"op": HELLO, "d": {"heartbeat_interval": int(self._heartbeat_interval_s * 1000)}})
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(connection.write())
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._receive(connection, json.loads(frame.data))
            writer.cancel()
        self._detach(connection)
        self.connections.remove(connection)
        self._note("close", connection.session, code=socket.close_code)
        return socket

    def _receive(self, connection: Connection, payload: dict[str, Any]) -> None:
        handlers: dict[int, Callable[[Connection, Any], None]] = {
            HEARTBEAT: self._heartbeat,
            IDENTIFY: self._identify,
            RESUME: self._resume,
            REQUEST_MEMBERS: self._send_members,
        }
        if handler := handlers.get(payload["op"]):
            handler(connection, payload["d"])

    def _heartbeat(self, connection: Connection, _: Any) -> None:
        if self.is_acking:
            connection.send({"op": HEARTBEAT_ACK})

    def _identify(self, connection: Connection, data: dict[str, Any]) -> None:
        bot = self._world.bot_of(data["token"])
        shard_id, num_shards = data.get("shard", (0, 1))
        self._note("identify", bot=bot, shard_id=shard_id)
        if code := _refusal(bot, data["intents"], shard_id, num_shards):
            connection.close(code)
            return
        assert bot is not None
        self._drop_lost_sessions(bot, shard_id)
        self._num_sessions += 1
        session_id = f"session-{self._num_sessions}"
        session = Session(session_id, bot, shard_id, num_shards, data["intents"], connection)
        self.sessions[session_id] = connection.session = session
        self._greet(session)
        self._changes.notify()

    def _greet(self, session: Session) -> None:
        bot = session.bot
        guilds = [guild for guild in self._world.guilds.values() if bot.id in guild.members]
        guilds = [guild for guild in guilds if session.wants("GUILD_CREATE", guild)]
        ready = {
            "v": 10,
            "user": bot.payload(),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": [session.shard_id, session.num_shards],
            "application": {"id": str(bot.application_id), "flags": bot.application_flags},
        }
        session.dispatch("READY", ready)
        for guild in guilds:
            session.dispatch("GUILD_CREATE", guild.create_payload(bot))

    def _drop_lost_sessions(self, bot: BotAccount, shard_id: int) -> None:
        for session in list(self.sessions.values()):
            if session.bot is bot and session.shard_id == shard_id and session.connection is None:
                del self.sessions[session.id]

    def _resume(self, connection: Connection, data: dict[str, Any]) -> None:
        bot = self._world.bot_of(data["token"])
        session = self.sessions.get(data["session_id"])
        self._note("resume", session, bot=bot)
        if bot is None:
            connection.close(4004)
            return
        if session is None or session.bot is not bot or not 0 < (data["seq"] or 0) <= len(session.events):
            connection.send({"op": INVALID_SESSION, "d": False})
            return
        session.connection, connection.session = connection, session
        for frame in session.events[data["seq"] :]:
            connection.send(frame)
        session.dispatch("RESUMED", {})
        self._changes.notify()

    def _send_members(self, connection: Connection, data: dict[str, Any]) -> None:
        session = connection.session
        guild = self._world.guilds.get(int(data["guild_id"]))
        if session is None or guild is None:
            return
        wanted = {int(user_id) for user_id in data.get("user_ids", [])}
        prefix = data.get("query") if not wanted else None
        members = [
            member.payload()
            for member in guild.members.values()
            if member.user.id in wanted or (prefix is not None and member.user.name.startswith(prefix))
        ]
        chunk = {"guild_id": str(guild.id), "members": members, "chunk_index": 0, "chunk_count": 1, "not_found": []}
        session.dispatch("GUILD_MEMBERS_CHUNK", chunk | {"nonce": data.get("nonce")})

    def _note(self, what: str, session: Session | None = None, **details: Any) -> None:
        if session is not None:
            details = {"bot": session.bot, "shard_id": session.shard_id} | details
        self.log.append(GatewayEntry(self._world.clock(), what, **details))
        self._changes.notify()


def _refusal(bot: BotAccount | None, intents: int, shard_id: int, num_shards: int) -> int | None:
    """The code that closes the connection of one that may not identify like this."""
    if bot is None:
        return 4004
    if not 0 <= shard_id < num_shards:
        return 4010
    granted = {MESSAGE_CONTENT: bot.has_message_content, MEMBERS: bot.has_members, PRESENCES: bot.has_presences}
    if any(intents & intent and not is_granted for intent, is_granted in granted.items()):
        return 4014
    return None
