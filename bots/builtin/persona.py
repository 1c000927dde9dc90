"""Who the bot is in a chat: `/persona`."""

from typing import Annotated, Any

from bots.plugins import Context, Conversation, Permission, Plugin

MAX_PERSONA_BYTES = 1000
"""No token is shorter than a byte: with half of the default context for the answer, this leaves room to talk."""


class PersonaPlugin(Plugin):
    """The system message of each chat."""

    name = "persona"
    summary = "who I am to be"
    version = "1"

    async def setup(self, ctx: Context[Any]) -> None:
        """Register the command."""
        ctx.command(
            "persona", self.persona, permission=Permission.CHAT_ADMIN, shows_without_arguments=True, is_public=True
        )

    async def persona(
        self,
        conversation: Conversation,
        text: Annotated[str | None, "the new persona, or `default`", ("default",)] = None,
    ) -> str:
        """Show who I am to be, or change it; `default` goes back."""
        if text is None:
            return f"My persona: {await conversation.persona() or 'none'}"
        if len(text.encode()) > MAX_PERSONA_BYTES:
            return f"That is too much for me to be. Please say it in {MAX_PERSONA_BYTES} letters or less."
        await conversation.set_persona(None if text.lower() == "default" else text)
        return f"My persona is now: {await conversation.persona()}\n(I still know what we said; /reset forgets it.)"
