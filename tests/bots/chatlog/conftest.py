"""One log per test, on each of the two databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chatlog_samples import CONFIRMED, Clock, settings

from bots.chatlog import ChatLog, DatabaseSettings

if TYPE_CHECKING:
    from postgres_server import PostgresServer


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data/mynah.db"


@pytest.fixture
def postgres_url(postgres_server: "PostgresServer") -> Iterator[str]:
    """An empty PostgreSQL database."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def log_settings(database_url: str, tmp_path: Path) -> DatabaseSettings:
    return settings(database_url, tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def log(log_settings: DatabaseSettings, clock: Clock) -> AsyncIterator[ChatLog]:
    async with ChatLog.open(log_settings, now=clock) as opened:
        yield opened


@pytest.fixture
async def confirmed_log(log_settings: DatabaseSettings, clock: Clock) -> AsyncIterator[ChatLog]:
    """One whose operator has confirmed Telegram's terms."""
    async with ChatLog.open(log_settings, policy=CONFIRMED, now=clock) as opened:
        yield opened
