"""`python -m bots`: every platform that has a token, in one process on one engine."""

import sys

from bots.discord.accounts import find_accounts as find_discord_accounts
from bots.launch import main
from bots.telegram.accounts import find_accounts as find_telegram_accounts

if __name__ == "__main__":
    sys.exit(main("bots", {"DISCORD_TOKEN": find_discord_accounts, "TELEGRAM_TOKEN": find_telegram_accounts}))
