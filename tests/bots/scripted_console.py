"""`python scripted_console.py`: the console bot as it is, with an engine that says what the question asks for."""

import asyncio
import logging
import signal
import sys

from bots.bot import BotRules
from bots.chatlog import DatabaseSettings
from bots.console import run
from bots.testing import Refusal, ScriptedEngine
from engine.errors import QueueFullError, RegistryError
from engine.settings import load_settings


def script(request):
    match request.messages[-1].content.split():
        case ["hang", *_]:
            return ["begun", asyncio.Event().wait]
        case ["busy"]:
            return [Refusal(QueueFullError(9, 9))]
        case ["break"]:
            return ["half", ZeroDivisionError("a bug")]
        case ["count"]:
            return [f"{number}\n" for number in range(1, 31)]
        case ["evil"]:
            return ["\x1b]0;title\x07", "\x1b[2J"]
        case ["long"]:
            return ["x" * 1_000_000]
        case ["recall"]:
            return [" | ".join(message.content for message in request.messages)]
        case _:
            return ["You ", "said: ", request.messages[-1].content]


class NoModel(ScriptedEngine):
    async def __aenter__(self):
        raise RegistryError("models holds no model yet")


if __name__ == "__main__":
    # A shell that starts the tests in the background has them, and all that they start, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # In development mode asyncio reports slow callbacks, of which a loaded machine has some.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    kind = NoModel if "--no-model" in sys.argv else ScriptedEngine
    sys.exit(
        run(
            lambda: kind(otherwise=script),
            rules=BotRules("Be kind."),
            database=load_settings(DatabaseSettings),
        )
    )
