"""Mail between the bots and the programs beside them: what people ask of those, and what those have to tell.

Holds nothing of what was said, and knows nothing of what a request is for.
"""

from datetime import datetime
from typing import cast

from sqlalchemy import Select, insert, select, update

from bots.chatlog.archive import Archive
from bots.chatlog.database import AnyRow
from bots.chatlog.records import Notice, Person, Request, RequestState
from bots.chatlog.schema import notices, requests
from bots.message import ChatRef, User


class Mailbox:
    """Requests of people, and notices for them; reached as `ChatLog.mailbox`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def ask(self, kind: str, chat: ChatRef, user: User | Person) -> int:
        """Leave a request; returns its id."""
        now = self._archive.now()
        values = {
            "kind": kind,
            "chat_key": chat.key,
            "user_platform": user.platform,
            "user_id": user.id,
            "asked_at": now,
            "changed_at": now,
            "state": RequestState.WAITING,
        }
        async with self._archive.write() as connection:
            done = await connection.execute(insert(requests).values(values).returning(requests.c.id))
            return cast(int, done.scalar_one())

    async def requests(self, kind: str, limit: int = 20) -> list[Request]:
        """The newest requests of a kind, newest first, whatever became of them."""
        found = select(requests).where(requests.c.kind == kind).order_by(requests.c.id.desc()).limit(limit)
        async with self._archive.read() as connection:
            return [_request(row) for row in (await connection.execute(found)).all()]

    async def request(self, request_id: int) -> Request | None:
        """A request; None if there is none of that id, as when whoever asked was forgotten."""
        found = select(requests).where(requests.c.id == request_id)
        async with self._archive.read() as connection:
            row = (await connection.execute(found)).one_or_none()
        return None if row is None else _request(row)

    async def take(self, kind: str) -> Request | None:
        """The oldest request of a kind that waits, for the caller to see to and nobody else; None if none waits."""
        async with self._archive.write() as connection:
            row = (await connection.execute(_oldest(kind))).one_or_none()
            if row is None:
                return None
            is_it = requests.c.id == row.id
            values = {"state": RequestState.TAKEN, "changed_at": self._archive.now()}
            taken = update(requests).where(is_it).values(values).returning(*requests.c)
            return _request((await connection.execute(taken)).one())

    async def reclaim(self, kind: str, older_than: datetime) -> int:
        """Let those requests of a kind wait again that were taken before a time, by a program that has died since.

        Returns:
            How many that are.
        """
        is_left = (
            (requests.c.kind == kind) & (requests.c.state == RequestState.TAKEN) & (requests.c.changed_at < older_than)
        )
        values = {"state": RequestState.WAITING, "changed_at": self._archive.now()}
        async with self._archive.write() as connection:
            return (await connection.execute(update(requests).where(is_left).values(values))).rowcount

    async def end(self, request_id: int, *, is_done: bool, note: str = "") -> None:
        """Say what became of a request; `note` is for whoever asks about it."""
        state = RequestState.DONE if is_done else RequestState.FAILED
        values = {"state": state, "note": note, "changed_at": self._archive.now()}
        async with self._archive.write() as connection:
            await connection.execute(update(requests).where(requests.c.id == request_id).values(values))

    async def withdraw(self, request_id: int) -> bool:
        """Take back a request that nobody has taken; False if somebody has, or had."""
        is_waiting = (requests.c.id == request_id) & (requests.c.state == RequestState.WAITING)
        values = {"state": RequestState.FAILED, "note": "taken back", "changed_at": self._archive.now()}
        async with self._archive.write() as connection:
            return (await connection.execute(update(requests).where(is_waiting).values(values))).rowcount == 1

    async def post_notice(self, text: str) -> int:
        """Leave something to tell; returns its id."""
        values = {"text": text, "created_at": self._archive.now()}
        async with self._archive.write() as connection:
            done = await connection.execute(insert(notices).values(values).returning(notices.c.id))
            return cast(int, done.scalar_one())

    async def undelivered(self) -> list[Notice]:
        """What nobody was told yet, oldest first."""
        found = select(notices).where(notices.c.delivered_at.is_(None)).order_by(notices.c.id)
        async with self._archive.read() as connection:
            rows = (await connection.execute(found)).all()
        return [Notice(row.id, row.text, row.created_at) for row in rows]

    async def delivered(self, notice_id: int) -> None:
        """Note that a notice was told."""
        done = update(notices).where(notices.c.id == notice_id).values(delivered_at=self._archive.now())
        async with self._archive.write() as connection:
            await connection.execute(done)


def _oldest(kind: str) -> Select[tuple[int]]:
    waits = (requests.c.kind == kind) & (requests.c.state == RequestState.WAITING)
    # On PostgreSQL two may look at once, and each has to find another one.
    return select(requests.c.id).where(waits).order_by(requests.c.id).limit(1).with_for_update(skip_locked=True)


def _request(row: AnyRow) -> Request:
    return Request(
        id=row.id,
        kind=row.kind,
        chat_key=row.chat_key,
        user=Person(row.user_platform, row.user_id),
        asked_at=row.asked_at,
        state=RequestState(row.state),
        changed_at=row.changed_at,
        note=row.note,
    )
