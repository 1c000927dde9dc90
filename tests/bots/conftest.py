"""A chat log of its own for each test."""

import pytest

from bots.chatlog import ChatLog, DatabaseSettings


@pytest.fixture
def database(tmp_path):
    return DatabaseSettings(url=f"sqlite:///{tmp_path}/log/chat.db", key_file=tmp_path / "keys" / "chat.keys")


@pytest.fixture
async def chat_log(database):
    async with ChatLog.open(database) as log:
        yield log


@pytest.fixture(params=["sqlite", "postgres"])
def each_database(request, database, tmp_path):
    if request.param == "sqlite":
        return database
    url = request.getfixturevalue("postgres_server").new_database()
    return DatabaseSettings(url=url, key_file=tmp_path / "postgres.keys")


@pytest.fixture
async def log_on_each_database(each_database):
    async with ChatLog.open(each_database) as log:
        yield log
