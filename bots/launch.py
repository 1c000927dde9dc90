"""What `python -m bots`, `python -m bots.discord` and `python -m bots.telegram` share: arguments, settings and the
way from them to a running service, or to what `--check` says.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from bots.accounts import Account, Platform
from bots.bot import BotRules, open_bot
from bots.chatlog import ChatLog, DatabaseSettings, PolicySettings, keep_retention
from bots.checks import Finding, check_bundle, check_database, check_policy, told
from bots.companion import companion
from bots.conversation import AnswerOptions
from bots.dispatcher import ServingRules
from bots.errors import BotError
from bots.operators import operator_ids
from bots.pluginchecks import check_plugins
from bots.plugins.host import PluginRules
from bots.service import Service
from bots.settings import BotSettings
from bots.signals import closed_by_signals
from engine import Engine, EngineSettings, load_settings
from engine.errors import EngineError, SettingsError
from engine.generation import TextEngine
from engine.sampling import SamplingParams

logger = logging.getLogger(__name__)

EXIT_NOT_STARTED = 2
HOW_TO_BEGIN = "no token is set; put {tokens} into .env (README.md says where to get one)"

OpenEngine = Callable[[EngineSettings, Path | None], AbstractAsyncContextManager[TextEngine]]


def main(
    program: str,
    platforms: Sequence[Platform],
    arguments: Sequence[str] | None = None,
    *,
    open_engine: OpenEngine = Engine,
) -> int:
    """Serve all accounts that the settings name, or check them; returns the exit code.

    0 after a start that ended as it was told to, or a check that found nothing wrong; 2 if it could not start.
    """
    asked, tokens = _parser(program).parse_args(arguments), " or ".join(each.token_setting for each in platforms)
    _set_up_logging()
    try:
        settings, engine_settings = load_settings(BotSettings), load_settings(EngineSettings)
        database, policy = load_settings(DatabaseSettings), load_settings(PolicySettings)
        accounts = [account for platform in platforms for account in platform.find_accounts()]
    except SettingsError as exc:
        return _fail(str(exc))
    if not accounts and not asked.check:
        return _fail(HOW_TO_BEGIN.format(tokens=tokens))
    registry = None if asked.bundle else engine_settings.registry
    rules = bot_rules(settings, database, policy, registry=registry)
    try:
        if asked.check:
            return asyncio.run(_check(accounts, tokens, engine_settings, asked.bundle, rules, database, policy))
        opening = open_engine(engine_settings, asked.bundle)
        return asyncio.run(_serve(accounts, opening, rules, database, policy))
    except (EngineError, BotError) as exc:
        return _fail(" ".join(str(exc).split()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 128 + 2


async def _serve(
    accounts: Sequence[Account],
    opening: AbstractAsyncContextManager[TextEngine],
    rules: BotRules,
    database: DatabaseSettings,
    policy: PolicySettings,
) -> int:
    async with (
        ChatLog.open(database, policy=policy.policy) as log,
        opening as engine,
        open_bot(engine, log, rules) as bot,
    ):
        logger.info("the model %s answers", engine.version)
        service = Service(accounts, log, bot.dispatcher, bot.plugins.commands)
        keeping = keep_retention(
            log, database.retention_days, training_days=policy.training_retention_days, now=log.now
        )
        async with closed_by_signals(service), companion(keeping):
            num_given_up = await service.run()
    return EXIT_NOT_STARTED if num_given_up == len(accounts) else 0


def bot_rules(
    settings: BotSettings, database: DatabaseSettings, policy: PolicySettings, *, registry: Path | None
) -> BotRules:
    """How the bot behaves, by the settings."""
    return BotRules(
        persona=settings.persona,
        answers=answer_options(settings),
        serving=ServingRules(
            gather_s=settings.gather_s,
            drain_s=settings.drain_s,
            resume_within=timedelta(hours=settings.resume_within_h),
        ),
        plugins=PluginRules(settings.plugin_names, settings.plugins_folder),
        operator_ids=operator_ids(settings.operators),
        registry=registry,
        retention_days=database.retention_days,
        training_retention_days=policy.training_retention_days,
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
    bundle: Path | None,
    rules: BotRules,
    database: DatabaseSettings,
    policy: PolicySettings,
) -> int:
    """Look at everything, whatever is wrong with what was looked at before."""
    commands, plugins = await check_plugins(rules, database)
    findings = [
        *([] if accounts else [Finding("token", False, HOW_TO_BEGIN.format(tokens=tokens))]),
        *[finding for account in accounts for finding in await account.check(commands)],
        *await check_database(database),
        *await check_bundle(engine_settings, bundle),
        *plugins,
        *check_policy(policy.policy),
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
