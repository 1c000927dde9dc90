"""`python -m bots.chatlog migrate|rotate-key|purge|stats`: look after the chat log; bots may be running."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from bots.chatlog.log import ChatLog, utc_now
from bots.chatlog.settings import DatabaseSettings
from bots.errors import BotError
from engine.errors import EngineError
from engine.settings import load_settings

AnyName = TypeVar("AnyName", bound=str)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options, load_settings(DatabaseSettings)))
    except (BotError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was lost, the same command goes on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bots.chatlog", description="Look after the chat log.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="make the tables, or bring them up to date; bots do so when they start")
    commands.add_parser(
        "rotate-key", help="encrypt everything with a new key; finishes a rotation that was interrupted"
    )
    purge = commands.add_parser("purge", help="remove old messages for good; bots do so every hour")
    purge.add_argument(
        "--older-than-days", type=_days, metavar="N", help="instead of DATABASE_RETENTION_DAYS; 0 removes all"
    )
    commands.add_parser("stats", help="how much the log holds")
    return parser


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 100_000:
        raise argparse.ArgumentTypeError("from 0 to 100000")
    return days


async def _run(options: argparse.Namespace, settings: DatabaseSettings) -> None:
    async with ChatLog.open(settings) as log:
        await _COMMANDS[options.command](log, options, settings)


async def _migrate(log: ChatLog, *_: object) -> None:
    stats = await log.stats()
    print(f"{stats.database} is at format {stats.revision}")


async def _rotate_key(log: ChatLog, _: argparse.Namespace, settings: DatabaseSettings) -> None:
    done = await log.rotate_key()
    dropped = f", dropped {', '.join(done.dropped_key_ids)}" if done.dropped_key_ids else ""
    print(f"{done.num_rows} rows are encrypted anew, with key {done.key_id}{dropped}")
    print(f"make a copy of {settings.key_file} now: an older one does not open new messages")


async def _purge(log: ChatLog, options: argparse.Namespace, settings: DatabaseSettings) -> None:
    days = settings.retention_days if options.older_than_days is None else options.older_than_days
    if options.older_than_days is None and days == 0:
        print("nothing was removed: DATABASE_RETENTION_DAYS=0 keeps everything; see --older-than-days")
        return
    print(f"{await log.purge(utc_now() - timedelta(days=days))} messages older than {days:g} days are removed")


async def _stats(log: ChatLog, *_: object) -> None:
    stats = await log.stats()
    print(f"database  {stats.database}, format {stats.revision}")
    print(f"chats     {stats.chats}")
    print(f"questions {_listed(stats.questions)}")
    print(f"answers   {_listed(stats.answers)}")
    print(f"posts     {stats.posts}")
    print(f"feedback  {stats.feedback}")
    print(f"keys      {_listed(stats.keys)}")
    print(f"oldest    {stats.oldest.isoformat(timespec='seconds') if stats.oldest else 'none'}")


def _listed(numbers: Mapping[AnyName, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(numbers.items(), key=str)) or "0"


_Run = Callable[[ChatLog, argparse.Namespace, DatabaseSettings], Awaitable[None]]
_COMMANDS: dict[str, _Run] = {"migrate": _migrate, "rotate-key": _rotate_key, "purge": _purge, "stats": _stats}


if __name__ == "__main__":
    sys.exit(main())
