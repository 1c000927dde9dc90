"""What plugins are built on: see docs/plugins.md.

A plugin is a class derived from `Plugin`. All that it may use is listed here and in `bots.message`; the rest of `bots`
may change without notice.
"""

from bots.commands import CommandCall, Control, Permission
from bots.conversation import Conversation
from bots.message import Button, ButtonPressed, ChatRef, Mention, Message, Reacted, User
from bots.plugins.context import Context
from bots.plugins.guard import Fault
from bots.plugins.hooks import Answer, Feedback, Turn, Veto
from bots.plugins.host import PluginHost, PluginInfo, PluginRules
from bots.plugins.plugin import Plugin
from bots.plugins.scope import Handle
from bots.plugins.store import Drawer, Store
from engine.generation import ChatMessage, GenerationRequest, TextEngine

__all__ = [
    "Answer",
    "Button",
    "ButtonPressed",
    "ChatMessage",
    "ChatRef",
    "CommandCall",
    "Context",
    "Control",
    "Conversation",
    "Drawer",
    "Fault",
    "Feedback",
    "GenerationRequest",
    "Handle",
    "Mention",
    "Message",
    "Permission",
    "Plugin",
    "PluginHost",
    "PluginInfo",
    "PluginRules",
    "Reacted",
    "Store",
    "TextEngine",
    "Turn",
    "User",
    "Veto",
]
