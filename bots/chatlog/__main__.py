"""`python -m bots.chatlog migrate|rotate-key|purge|stats|policy`: look after the chat log; bots may be running."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from bots.chatlog.log import ChatLog, utc_now
from bots.chatlog.settings import DatabaseSettings, PolicySettings
from bots.errors import BotError
from bots.policy import GROUNDS, RULES, Purpose
from engine.errors import EngineError
from engine.settings import load_settings

AnyName = TypeVar("AnyName", bound=str)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options, load_settings(DatabaseSettings), load_settings(PolicySettings)))
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
        "--older-than-days",
        type=_days,
        metavar="N",
        help="conversations only, and instead of DATABASE_RETENTION_DAYS; 0 removes all",
    )
    commands.add_parser("stats", help="how much the log holds")
    commands.add_parser("policy", help="what may be trained on and what not, and what you would have to set")
    return parser


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 100_000:
        raise argparse.ArgumentTypeError("from 0 to 100000")
    return days


async def _run(options: argparse.Namespace, settings: DatabaseSettings, policy: PolicySettings) -> None:
    async with ChatLog.open(settings, policy=policy.policy) as log:
        await _COMMANDS[options.command](log, options, settings, policy)


async def _migrate(log: ChatLog, *_: object) -> None:
    stats = await log.stats()
    print(f"{stats.database} is at format {stats.revision}")


async def _rotate_key(log: ChatLog, _: argparse.Namespace, settings: DatabaseSettings, *__: object) -> None:
    done = await log.rotate_key()
    dropped = f", dropped {', '.join(done.dropped_key_ids)}" if done.dropped_key_ids else ""
    print(f"{done.num_rows} rows are encrypted anew, with key {done.key_id}{dropped}")
    print(f"make a copy of {settings.key_file} now: an older one does not open new messages")


async def _purge(log: ChatLog, options: argparse.Namespace, settings: DatabaseSettings, policy: PolicySettings) -> None:
    days = settings.retention_days if options.older_than_days is None else options.older_than_days
    if options.older_than_days is None and days == 0:
        print("nothing was removed: DATABASE_RETENTION_DAYS=0 keeps everything; see --older-than-days")
    else:
        number = await log.purge(utc_now() - timedelta(days=days))
        print(f"{number} messages older than {days:g} days are removed")
    training_days = policy.training_retention_days
    if options.older_than_days is None and training_days:
        number = await log.purge_training(utc_now() - timedelta(days=training_days))
        print(f"{number} copies for training older than {training_days} days are removed")


async def _stats(log: ChatLog, *_: object) -> None:
    stats = await log.stats()
    print(f"database  {stats.database}, format {stats.revision}")
    print(f"chats     {stats.chats}")
    print(f"questions {_listed(stats.questions)}")
    print(f"answers   {_listed(stats.answers)}")
    print(f"posts     {stats.posts}")
    print(f"feedback  {stats.feedback}")
    for name, number in stats.others.items():
        print(f"{name.replace('_', ' '):9} {number}")
    print(f"keys      {_listed(stats.keys)}")
    print(f"oldest    {stats.oldest.isoformat(timespec='seconds') if stats.oldest else 'none'}")


async def _policy(log: ChatLog, _: argparse.Namespace, __: DatabaseSettings, settings: PolicySettings) -> None:
    for line in _in_force(settings):
        print(line)
    counts = await log.training.counts()
    print(f"\nmay be trained on: {sum(counts.passing.values())} turns of the training log")
    for name, number in sorted(counts.passing.items()):
        print(f"  {number:6} {name}: {GROUNDS[name]}")
    print(f"with {counts.ratings} ratings of their answers")
    print(f"\nmay not: {sum(counts.refused.values())} turns of the conversations")
    for rule in RULES:
        if rule.purpose is Purpose.TRAINING and rule.name in counts.refused:
            print(f"  {counts.refused[rule.name]:6} {rule.name}: {rule.reason}")


def _in_force(settings: PolicySettings) -> list[str]:
    """The operator's part of the policy, and what to set to change it."""
    policy = settings.policy
    discord = f"with consent; permission: {policy.discord_permission}"
    if not policy.discord_permission:
        discord = "no; with Discord's written permission, set POLICY_DISCORD_PERMISSION to its reference"
    telegram = "with consent; you have confirmed Telegram's terms"
    if not policy.telegram_confirmed:
        telegram = "no; when you have read and keep to Telegram's terms, set POLICY_TELEGRAM_CONFIRMED=true"
    others = "no; if their terms allow it, list them in POLICY_OTHER_PLATFORMS"
    if policy.other_platforms:
        others = f"with consent, on {', '.join(sorted(policy.other_platforms))}; see POLICY_OTHER_PLATFORMS"
    days = settings.training_retention_days
    kept = f"for {days} days" if days else "for ever"
    return [
        "training on what people say to the bot:",
        "  console   with consent",
        f"  discord   {discord}",
        f"  telegram  {telegram}",
        f"  others    {others}",
        f"copies for training are kept {kept}; see POLICY_TRAINING_RETENTION_DAYS",
    ]


def _listed(numbers: Mapping[AnyName, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(numbers.items(), key=str)) or "0"


_Run = Callable[[ChatLog, argparse.Namespace, DatabaseSettings, PolicySettings], Awaitable[None]]
_COMMANDS: dict[str, _Run] = {
    "migrate": _migrate,
    "rotate-key": _rotate_key,
    "purge": _purge,
    "stats": _stats,
    "policy": _policy,
}


if __name__ == "__main__":
    sys.exit(main())
