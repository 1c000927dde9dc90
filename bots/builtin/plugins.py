"""Which plugins are built in, and what each needs beyond its context."""

from collections.abc import Sequence
from pathlib import Path

from bots.builtin.admin import AdminPlugin
from bots.builtin.chat import ChatPlugin
from bots.builtin.feedback import FeedbackPlugin
from bots.builtin.model import ModelPlugin
from bots.builtin.persona import PersonaPlugin
from bots.builtin.privacy import PrivacyPlugin
from bots.builtin.retrain import RetrainPlugin
from bots.chatlog import ChatLog
from bots.operators import Operators
from bots.plugins import Plugin, PluginHost


def builtin_plugins(
    host: PluginHost,
    log: ChatLog,
    operators: Operators,
    *,
    registry: Path | None = None,
    retention_days: int = 0,
    training_retention_days: int = 0,
) -> Sequence[Plugin]:
    """One of each, in the order of `/help`.

    Args:
        host: Who is going to load them.
        log: The chat log.
        operators: Who runs the bot.
        registry: Where the models are; None if a bundle was named instead.
        retention_days: How long messages are kept, as people are told; 0 for ever.
        training_retention_days: The same of the copies for training.
    """
    return (
        ChatPlugin(),
        PersonaPlugin(),
        ModelPlugin(registry),
        FeedbackPlugin(host, log),
        PrivacyPlugin(log, retention_days=retention_days, training_retention_days=training_retention_days),
        AdminPlugin(host, operators),
        RetrainPlugin(log),
    )
