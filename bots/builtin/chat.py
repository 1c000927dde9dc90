"""Talking: `/help`, `/ask`, `/stop`, `/retry`, `/reset` and `/start`."""

from typing import Any

from bots.commands import Command, Parameter
from bots.plugins import CommandCall, Context, Control, Conversation, Permission, Plugin, TextEngine


class ChatPlugin(Plugin):
    """What a conversation needs."""

    name = "chat"
    summary = "talking with me"
    version = "1"
    is_essential = True

    async def setup(self, ctx: Context[Any]) -> None:
        """Register the commands."""
        ctx.command("help", self.help)
        question = Parameter("question", "what you want to say", is_required=True)
        ctx.add_command(Command("ask", "ask me something", None, (question,), is_public=True, plugin=self.name))
        ctx.command("stop", self.stop, is_immediate=True)
        ctx.command("retry", self.retry)
        ctx.command("reset", self.reset, permission=Permission.CHAT_ADMIN, is_public=True)
        ctx.command("start", self.start, is_listed=False)

    async def help(self, call: CommandCall) -> str:
        """List the commands."""
        lines = [f"{command.usage}: {command.summary}" for command in call.commands.values() if command.is_listed]
        return "\n".join([*lines, "Anything else goes to me. To begin a message with a slash, type two."])

    async def stop(self, control: Control) -> str:
        """Stop the answer that I am writing."""
        return "Stopped." if control.stop() else "There is nothing to stop."

    async def retry(self, control: Control) -> str | None:
        """Answer the last question again."""
        return None if await control.retry() else "There is nothing that I could answer again."

    async def reset(self, conversation: Conversation) -> str:
        """Forget our conversation and begin a new one."""
        await conversation.reset()
        return "I have forgotten our conversation. What shall we talk about?"

    async def start(self, engine: TextEngine) -> str:
        """Say hello."""
        return (
            f"Hello! Write to me, and I answer ({engine.version} does). /help lists what else I can do, and /privacy "
            "says what becomes of what you write."
        )
