"""`python -m bots.console`: talk to the model in a terminal, or through pipes."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bots.chatlog import DatabaseSettings, PolicySettings
from bots.console.session import EXIT_NO_ENGINE, run
from bots.conversation import AnswerOptions
from bots.dispatcher import ServingRules
from bots.launch import bot_rules
from bots.settings import BotSettings
from engine import Engine
from engine.errors import SettingsError
from engine.settings import EngineSettings, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console bot; returns the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        engine_settings, settings = load_settings(EngineSettings), load_settings(BotSettings)
        database, policy = load_settings(DatabaseSettings), load_settings(PolicySettings)
    except SettingsError as exc:
        sys.stderr.write(f"mynah: {exc}\n")
        return EXIT_NO_ENGINE
    registry = None if asked.bundle else engine_settings.registry
    rules = bot_rules(settings, database, policy, registry=registry)
    # One person at a keyboard presses Enter when done: there is nothing to gather, and nobody to answer later.
    rules = replace(rules, answers=_answers(rules.answers, asked), serving=ServingRules())
    return run(lambda: Engine(engine_settings, asked.bundle), rules=rules, database=database, policy=policy.policy)


def _answers(options: AnswerOptions, asked: argparse.Namespace) -> AnswerOptions:
    sampling = replace(options.sampling, seed=asked.seed)
    return replace(
        options,
        sampling=replace(sampling, temperature=0.0) if asked.greedy else sampling,
        max_tokens=asked.max_tokens or options.max_tokens,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bots.console",
        description="Talk to the model. With piped input: one message per line, one reply per message.",
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="serve this bundle instead of the registry's champion"
    )
    parser.add_argument(
        "--greedy", action="store_true", help="always take the likeliest word: the same answers every time"
    )
    parser.add_argument("--seed", type=_at_least(0), metavar="N", help="make the choice of words repeatable")
    parser.add_argument("--max-tokens", type=_at_least(1), metavar="N", help="longest answer, in tokens")
    return parser


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.lstrip("-").isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {minimum} or more")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
