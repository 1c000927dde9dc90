"""`python -m bots.telegram`: every Telegram account that has a token."""

import sys

from bots.launch import main
from bots.telegram.accounts import PLATFORM

if __name__ == "__main__":
    sys.exit(main("bots.telegram", [PLATFORM]))
