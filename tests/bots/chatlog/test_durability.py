"""Several processes at one database, and what is left when one is killed."""

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from chatlog_process import CHAT
from chatlog_samples import DIRECT, START, ask, message, talk, words, write

from bots.chatlog import AnswerState, ChatLog, DatabaseSettings, QuestionState
from bots.errors import DatabaseError
from bots.message import ChatRef, MessageId, MessagesDeleted

ROOT = Path(__file__).parents[3]
Process = asyncio.subprocess.Process


@pytest.fixture
async def start(log_settings: DatabaseSettings) -> AsyncIterator[Callable[..., Awaitable[Process]]]:
    """Starts processes that use the log; those that still run at the end are killed."""
    async with AsyncExitStack() as stack:

        async def start(what: str, first: int = 0) -> Process:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("chatlog_process.py")),
                what,
                log_settings.url,
                str(log_settings.key_file),
                str(first),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT)},
            )
            stack.push_async_callback(end, process)
            return process

        yield start


async def end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_processes_may_open_a_fresh_database_at_the_same_moment(
    log_settings: DatabaseSettings, start: Callable[..., Awaitable[Process]]
) -> None:
    processes = [await start("open") for _ in range(4)]
    for process in processes:
        go(process)
    assert [await line(process) for process in processes] == ["opened"] * 4
    assert [await process.wait() for process in processes] == [0] * 4
    assert len(log_settings.key_file.read_text().splitlines()) == 1
    async with ChatLog.open(log_settings) as log:
        assert (await log.stats()).chats == 0


async def test_a_killed_process_loses_nothing_that_it_had_stored(
    log_settings: DatabaseSettings, start: Callable[..., Awaitable[Process]]
) -> None:
    process = await start("turns")
    go(process)
    stored = [await line(process) for _ in range(60)][1:]
    process.kill()
    assert process.stdout is not None
    rest = (await process.stdout.read()).decode()
    stored += [text for text in rest.splitlines() if rest.endswith("\n")]
    async with ChatLog.open(log_settings) as log:
        turns = await log.history(CHAT, limit_turns=10_000)
        known = [str(turn.turn) for turn in turns]
        assert len(known) >= 59
        assert known[: len(stored)] == stored
        assert [words(turn.questions[0].segments) for turn in turns] == [
            f"message {number}" for number in range(1, len(turns) + 1)
        ]
        assert len(await log.unfinished(CHAT.platform, CHAT.account)) <= 1  # the one that it was at
        assert await log.receive(message(1, chat=CHAT), QuestionState.WAITING, addressed=DIRECT) is None


async def test_processes_that_write_at_the_same_time_do_not_disturb_each_other(
    log_settings: DatabaseSettings, start: Callable[..., Awaitable[Process]]
) -> None:
    processes = [await start("write", first=1_000_000 * number) for number in range(1, 4)]
    for process in processes:
        go(process)
    async with ChatLog.open(log_settings) as log:
        for number in range(1, 60):
            await talk(log, number, CHAT)
        for process in processes:
            assert await line(process) == "opened"
            for _ in range(50):
                assert (await line(process)).isdigit()
        assert len(await log.history(CHAT)) == 59
    assert [process.returncode for process in processes] == [None] * 3


async def test_tasks_that_are_cancelled_leave_the_log_usable_and_nothing_half_done(log: ChatLog) -> None:
    rng = random.Random(0)
    chats = [ChatRef("telegram", "bot1", str(number)) for number in range(5)]

    async def work(number: int) -> None:
        chat = rng.choice(chats)
        row_id = await ask(log, number, chat=chat)
        answer_id = await log.begin_answer(chat, [row_id])
        await log.posting(answer_id, 0, "n")
        await log.history(chat)

    for start in range(0, 300, 30):
        tasks = [asyncio.create_task(work(number)) for number in range(start, start + 30)]
        for task in tasks:
            for _ in range(rng.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
        for _ in range(3):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
    stats = await log.stats()
    left = await log.unfinished("telegram", "bot1")
    assert sum(len(u.questions) for u in left) == stats.questions.get(QuestionState.WAITING, 0)
    async with asyncio.timeout(10):
        await asyncio.gather(*(ask(log, f"x{number}", chat=chats[0]) for number in range(50)))


async def test_a_busy_log_serves_hundreds_of_chats_at_once(log: ChatLog) -> None:
    chats = [ChatRef("telegram", "bot1", str(number)) for number in range(200)]
    await asyncio.gather(*(talk(log, 1, chat) for chat in chats))
    histories = await asyncio.gather(*(log.history(chat) for chat in chats))
    assert [[words(turn.answer) for turn in turns] for turns in histories] == [["answer 1"]] * 200


async def test_the_sqlite_files_are_for_their_owner_alone(sqlite_url: str, log_settings: DatabaseSettings) -> None:
    if log_settings.url != sqlite_url:
        return
    async with ChatLog.open(log_settings) as log:
        await talk(log, 1)
        files = [*Path(sqlite_url.removeprefix("sqlite:///")).parent.glob("mynah.db*")]
        modes = {file.name: oct(file.stat().st_mode & 0o777) for file in files if not file.name.endswith(".lock")}
    assert modes == {"mynah.db": "0o600", "mynah.db-wal": "0o600", "mynah.db-shm": "0o600"}
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_long_look_does_not_hold_up_a_writer(log: ChatLog) -> None:
    await talk(log, 1)
    async with asyncio.timeout(10), log._database.read() as connection:  # a reader in the middle of its transaction
        await connection.exec_driver_sql("SELECT count(*) FROM messages")
        await talk(log, 2)
    assert await log.answer_at(ChatRef("telegram", "bot1", "100"), MessageId("21")) is not None


async def test_whatever_happens_to_a_chat_at_once_nobody_waits_for_ever(log: ChatLog) -> None:
    """On PostgreSQL, transactions that lock the same rows in different orders end each other."""
    chat = ChatRef("telegram", "bot1", "1")
    for start in range(0, 300, 10):
        ids = [await ask(log, number, chat=chat) for number in range(start, start + 6)]
        answer_ids = [await log.begin_answer(chat, ids[:3]), await log.begin_answer(chat, ids[3:])]
        for answer_id, post in zip(answer_ids, (start + 7, start + 8), strict=True):
            await write(log, answer_id)
            await log.posting(answer_id, 0, "n")
            await log.posted(answer_id, 0, MessageId(str(post)))
        gone = tuple(MessageId(str(number)) for number in range(start + 8, start, -1))
        await asyncio.gather(
            log.end_answer(answer_ids[0], AnswerState.DELIVERED),
            log.end_answer(answer_ids[1], AnswerState.DELIVERED),
            log.delete(MessagesDeleted(chat, gone, START)),
            log.set_state(ids[::-1], QuestionState.ANSWERED),
            log.begin_answer(chat, ids[1:5]),
            log.join_answer(answer_ids[0], ids[::-1]),
            log.end_answer(answer_ids[1], AnswerState.FAILED),
            log.write_answer(answer_ids[1], (), model_version=None, prompt_sha256=None, finish_reason=None),
            log.rotate_key() if start % 100 == 0 else log.purge(START - timedelta(days=1)),
        )
    assert (await log.stats()).chats == 1


async def test_an_account_is_served_by_one_process_at_a_time(log_settings: DatabaseSettings) -> None:
    async with ChatLog.open(log_settings) as first, ChatLog.open(log_settings) as second:
        async with first.served_alone("discord", "1"), second.served_alone("discord", "2"):
            with pytest.raises(DatabaseError, match="another process serves discord 1"):
                async with second.served_alone("discord", "1"):
                    raise AssertionError
        async with second.served_alone("discord", "1"):
            pass
