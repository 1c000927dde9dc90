"""`python -m bots.discord`: every Discord account that has a token."""

import sys

from bots.discord.accounts import PLATFORM
from bots.launch import main

if __name__ == "__main__":
    sys.exit(main("bots.discord", [PLATFORM]))
