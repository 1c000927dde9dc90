"""From discord.py's callbacks to the inbox.

Decides what is an event for us at all; what it says is read by `events` and `content`.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import discord
from discord import app_commands

from bots.bounded import remember
from bots.buttons import pressed
from bots.commands import Command
from bots.discord.connection import Connection
from bots.discord.content import Viewer
from bots.discord.events import (
    PLATFORM,
    AnyInteraction,
    chat_of,
    command_of,
    deletion_of,
    edit_of,
    is_from_people,
    message_of,
    user_of,
)
from bots.discord.inbox import Inbox
from bots.discord.interactions import LiveCommands, LivePress
from bots.discord.moderators import Moderators
from bots.discord.reactions import Reactions
from bots.discord.slash import is_for_everyone, suggestions, typed
from bots.message import ButtonPressed, ChatRef, MessageId, Reacted, User

MAX_PRESSES = 1000
"""Presses that may wait for what comes of them."""


class Intake:
    """Listens to one connection.

    Attributes:
        ready: Set once all shards are connected.
    """

    def __init__(
        self,
        connection: Connection,
        viewer: Viewer,
        inbox: Inbox,
        live: LiveCommands,
        moderators: Moderators,
        commands: Mapping[str, Command],
    ) -> None:
        """`commands` are those that can be given, by name; they may change."""
        self._connection, self._viewer, self._inbox = connection, viewer, inbox
        self._live, self._moderators, self._commands = live, moderators, commands
        self._reactions = Reactions()
        self._our_deletions: dict[int, None] = {}
        self._presses: dict[str, LivePress] = {}
        self.ready = asyncio.Event()

    def expect_deletion(self, id: MessageId) -> None:
        """Take note that we delete a message: nobody else did, so it is no event."""
        remember(self._our_deletions, int(id), None)

    def on_ready(self) -> None:
        """All shards are connected."""
        self.ready.set()

    def on_message(self, message: discord.Message) -> None:
        """Somebody said something."""
        if is_from_people(message, self._viewer):
            self._inbox.put(message_of(message, self._viewer))

    def on_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """A message has changed."""
        edit = edit_of(event.message, self._viewer) if "content" in event.data else None
        if edit is not None:
            self._inbox.put(edit)

    def on_deletion(self, guild_id: int | None, channel_id: int, ids: set[int]) -> None:
        """Messages are gone."""
        others = ids - self._our_deletions.keys()
        if others:
            self._inbox.put(deletion_of(self._chat(guild_id, channel_id), others))

    def on_reaction(self, event: discord.RawReactionActionEvent) -> None:
        """A reaction was put below a message, or taken away; whether it is ours is known for the former only."""
        member, is_added = event.member, event.event_type == "REACTION_ADD"
        is_ours = event.message_author_id in (None, self._viewer.id)
        if event.user_id == self._viewer.id or (member is not None and member.bot) or not is_ours:
            return
        score = self._reactions.change(event.message_id, event.user_id, str(event.emoji), is_added=is_added)
        if score is not None:
            user = user_of(member) if member is not None else User(PLATFORM, str(event.user_id), "")
            chat, id = self._chat(event.guild_id, event.channel_id), MessageId(str(event.message_id))
            self._inbox.put(Reacted(chat, id, user, score, datetime.now(UTC)))

    async def on_interaction(self, interaction: AnyInteraction) -> None:
        """A command was given, or is being typed; a button was pressed."""
        if interaction.guild_id is not None and interaction.channel_id is not None:
            self._moderators.note(interaction.channel_id, interaction.user.id, interaction.permissions)
        data = cast(dict[str, Any], interaction.data or {})
        match interaction.type:
            case discord.InteractionType.application_command:
                await self._take_command(interaction, data)
            case discord.InteractionType.component:
                await self._take_press(interaction, data)
            case discord.InteractionType.autocomplete:
                choices = [app_commands.Choice(name=each, value=each) for each in suggestions(data, self._commands)]
                await interaction.response.autocomplete(choices)

    async def _take_command(self, interaction: AnyInteraction, data: Mapping[str, Any]) -> None:
        is_private = interaction.guild_id is None
        is_ephemeral = not is_private and not is_for_everyone(data, self._commands)
        command = self._live.begin(interaction, is_ephemeral=is_ephemeral)
        if command is not None:
            # Before anything is waited for, so that it keeps its place among the messages.
            segments = typed(data, self._commands, self._viewer)
            self._inbox.put(command_of(interaction, self._viewer, segments))
            await command.acknowledge()

    async def _take_press(self, interaction: AnyInteraction, data: Mapping[str, Any]) -> None:
        button, message = pressed(data.get("custom_id")), interaction.message
        if button is not None and message is not None:
            chat = chat_of(self._viewer, interaction.channel, interaction.channel_id or message.channel.id)
            id, user = MessageId(str(message.id)), user_of(interaction.user)
            press_id = str(interaction.id)
            press = remember(self._presses, press_id, LivePress(interaction), limit=MAX_PRESSES)
            self._inbox.put(ButtonPressed(chat, id, button, user, interaction.created_at, press_id))
            await press.acknowledge()

    def press(self, press_id: str) -> LivePress | None:
        """A press that nobody was told about yet; only once."""
        return self._presses.pop(press_id, None)

    def _chat(self, guild_id: int | None, channel_id: int) -> ChatRef:
        return chat_of(self._viewer, self._connection.place(guild_id, channel_id), channel_id)
