"""Uses a chat log in a process of its own, for tests that kill it: `python chatlog_process.py WHAT URL KEY_FILE`.

`open` opens it and prints `opened`. `write` stores messages and prints each row id once it is committed, until it
is killed. `turns` does so with whole turns.
"""

import asyncio
import sys
from pathlib import Path

from bots.chatlog import AnswerState, ChatLog, DatabaseSettings, QuestionState
from bots.message import Addressed, ChatRef, Message, MessageId, Text, User

CHAT = ChatRef("telegram", "bot1", "process")


async def main(what: str, url: str, key_file: str, first: str = "0") -> None:
    sys.stdin.readline()  # so that several start at the same moment
    async with ChatLog.open(DatabaseSettings(url=url, key_file=Path(key_file))) as log:
        print("opened", flush=True)
        number = int(first)
        while what != "open":
            number += 1
            row_id = await log.receive(
                message(number, log), QuestionState.WAITING, addressed=frozenset({Addressed.DIRECT})
            )
            assert row_id is not None
            if what == "turns":
                answer_id = await log.begin_answer(CHAT, [row_id])
                await log.write_answer(
                    answer_id, (Text("hi"),), model_version="v", prompt_sha256="", finish_reason="stop"
                )
                await log.end_answer(answer_id, AnswerState.DELIVERED)
            print(row_id, flush=True)


def message(number: int, log: ChatLog) -> Message:
    author = User("telegram", "7", "Anna")
    return Message(MessageId(str(number)), CHAT, author, (Text(f"message {number}"),), log.now())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
