"""`python -m bots`: every platform that has a token, in one process on one engine.

`python -m bots new-plugin NAME` writes a plugin to begin with.
"""

import sys

from bots.accounts import installed_platforms
from bots.discord.accounts import PLATFORM as DISCORD
from bots.errors import PluginError
from bots.launch import EXIT_NOT_STARTED, main
from bots.scaffold import new_plugin
from bots.telegram.accounts import PLATFORM as TELEGRAM


def run() -> int:
    """Do what the command line asks for; returns the exit code."""
    if sys.argv[1:2] == ["new-plugin"]:
        return new_plugin(sys.argv[2:])
    try:
        platforms = [DISCORD, TELEGRAM, *installed_platforms()]
    except PluginError as exc:
        print(f"mynah: {exc}", file=sys.stderr)
        return EXIT_NOT_STARTED
    return main("bots", platforms)


if __name__ == "__main__":
    sys.exit(run())
