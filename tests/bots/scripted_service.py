"""`python scripted_service.py`: both platforms as an operator runs them, with an engine that counts slowly.

The answer to `N count` is `N: 1 2 3 ... END`, a word each 0.15 s, so that tests can tell whose it is and whether
all of it is there.
"""

import asyncio
import sys

from bots.discord.accounts import PLATFORM as DISCORD
from bots.launch import main
from bots.telegram.accounts import PLATFORM as TELEGRAM
from bots.testing import ScriptedEngine

WORDS = 20


def script(request):
    name = request.messages[-1].content.removeprefix("[A] ").split()[0]

    async def pause():
        await asyncio.sleep(0.15)

    steps = [f"{name}:"]
    for number in range(1, WORDS + 1):
        steps += [f" {number}", pause]
    return [*steps, " END"]


def answer(name):
    return " ".join([f"{name}:", *map(str, range(1, WORDS + 1)), "END"])


if __name__ == "__main__":
    sys.exit(main("bots", [DISCORD, TELEGRAM], open_engine=lambda *_: ScriptedEngine(otherwise=script)))
