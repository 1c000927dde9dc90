"""What `python -m bots`, `python -m bots.discord` and `python -m bots.telegram` share: arguments, settings and the
way from them to a running service, or to what `--check` says.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bots.accounts import Account
from bots.adapter import Adapter
from bots.chatlog import ChatLog, DatabaseSettings, keep_retention
from bots.checks import Finding, check_bundle, check_database, check_policy, told
from bots.companion import companion
from bots.conversation import AnswerOptions
from bots.dispatcher import Dispatcher, ServingRules
from bots.errors import BotError
from bots.service import Service, closed_by_signals
from bots.settings import BotSettings
from engine import Engine, EngineSettings, load_settings
from engine.errors import EngineError, SettingsError
from engine.generation import TextEngine
from engine.sampling import SamplingParams

logger = logging.getLogger(__name__)

EXIT_NOT_STARTED = 2
HOW_TO_BEGIN = "no token is set; put {tokens} into .env (README.md says where to get one)"

FindAccounts = Callable[[], Sequence[Account]]
"""Reads one platform's settings; no account if there is no token."""

OpenEngine = Callable[[EngineSettings, Path | None], AbstractAsyncContextManager[TextEngine]]


def main(
    program: str,
    find_accounts: Mapping[str, FindAccounts],
    arguments: Sequence[str] | None = None,
    *,
    open_engine: OpenEngine = Engine,
) -> int:
    """Serve all accounts that the settings name, or check them; returns the exit code.

    `find_accounts` go by the setting that holds the token.

    0 after a start that ended as it was told to, or a check that found nothing wrong; 2 if it could not start.
    """
    asked, tokens = _parser(program).parse_args(arguments), " or ".join(find_accounts)
    _set_up_logging()
    try:
        settings, engine_settings = load_settings(BotSettings), load_settings(EngineSettings)
        database = load_settings(DatabaseSettings)
        accounts = [account for find in find_accounts.values() for account in find()]
    except SettingsError as exc:
        return _fail(str(exc))
    if not accounts and not asked.check:
        return _fail(HOW_TO_BEGIN.format(tokens=tokens))
    try:
        if asked.check:
            return asyncio.run(_check(accounts, tokens, engine_settings, database, asked.bundle))
        opening = open_engine(engine_settings, asked.bundle)
        return asyncio.run(_serve(accounts, opening, settings, database))
    except (EngineError, BotError) as exc:
        return _fail(" ".join(str(exc).split()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 128 + 2


async def _serve(
    accounts: Sequence[Account],
    opening: AbstractAsyncContextManager[TextEngine],
    settings: BotSettings,
    database: DatabaseSettings,
) -> int:
    async with ChatLog.open(database) as log, opening as engine:
        logger.info("the model %s answers", engine.version)
        service = Service(accounts, log, lambda adapter: _dispatcher(adapter, engine, log, settings))
        keeping = keep_retention(log, database.retention_days, now=lambda: datetime.now(UTC))
        async with closed_by_signals(service), companion(keeping):
            num_given_up = await service.run()
    return EXIT_NOT_STARTED if num_given_up == len(accounts) else 0


def _dispatcher(adapter: Adapter, engine: TextEngine, log: ChatLog, settings: BotSettings) -> Dispatcher:
    return Dispatcher(
        adapter,
        engine,
        log,
        persona=settings.persona,
        options=answer_options(settings),
        rules=ServingRules(
            gather_s=settings.gather_s,
            drain_s=settings.drain_s,
            resume_within=timedelta(hours=settings.resume_within_h),
        ),
    )


def answer_options(settings: BotSettings) -> AnswerOptions:
    """How the engine is to answer, by the settings."""
    sampling = SamplingParams(
        temperature=settings.temperature, top_p=settings.top_p, frequency_penalty=settings.frequency_penalty
    )
    return AnswerOptions(sampling=sampling, max_tokens=settings.max_tokens, deadline_s=settings.deadline_s)


async def _check(
    accounts: Sequence[Account],
    tokens: str,
    engine_settings: EngineSettings,
    database: DatabaseSettings,
    bundle: Path | None,
) -> int:
    """Look at everything, whatever is wrong with what was looked at before."""
    findings = [
        *([] if accounts else [Finding("token", False, HOW_TO_BEGIN.format(tokens=tokens))]),
        *[finding for account in accounts for finding in await account.check()],
        *await check_database(database),
        *await check_bundle(engine_settings, bundle),
        *check_policy(),
    ]
    for finding in findings:
        sys.stdout.write(told(finding))
    return 0 if all(finding.is_ok for finding in findings) else EXIT_NOT_STARTED


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}", description="Serve every account that has a token. Settings: .env, README.md."
    )
    parser.add_argument(
        "--check", action="store_true", help="say what is right and what is not, and whether the bot could start"
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="serve this bundle instead of the registry's champion"
    )
    return parser


def _set_up_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # httpx writes whole addresses, and Telegram's have the token in them.
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _fail(text: str) -> int:
    sys.stderr.write(f"mynah: {text}\n")
    return EXIT_NOT_STARTED
