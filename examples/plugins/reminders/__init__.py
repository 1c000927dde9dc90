"""Reminders: `/remind in:10m text:tea`, also after a restart.

Shows a schedule, values that outlive the process, and messages that nobody has just asked for. What a person wants to
be reminded of is kept for that person, so that `/export` and `/forget` take care of it; in the plugin's own drawer
stands only when to look whom up.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bots.plugins import ChatRef, Context, Plugin, User

HOW_TO = "Please say when as 30s, 10m, 1h30m or 2d, for instance: /remind 10m tea"
LONGEST = timedelta(days=366)
GIVE_UP_AFTER = timedelta(days=1)
"""How long a reminder is kept that cannot be said, for instance because the bot was removed from its chat."""

_SPAN = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,4})m)?(?:(\d{1,4})s)?")


class Reminders(Plugin):
    """Reminds people of things."""

    class Config(BaseModel):
        """Settings."""

        model_config = ConfigDict(frozen=True)

        most_per_person: int = Field(default=20, ge=1, description="How many reminders a person may have at once.")
        most_characters: int = Field(default=500, ge=1, description="How long the text of one may be.")
        look_every_s: float = Field(default=5.0, gt=0, description="Seconds between looks: how late one may come.")

    name = "reminders"
    summary = "reminds you of things"
    version = "1.0"

    async def setup(self, ctx: Context["Reminders.Config"]) -> None:
        """Register the commands, and look for what is due."""
        self._ctx = ctx
        self._numbering = asyncio.Lock()
        ctx.command("remind", self.remind)
        ctx.command("reminders", self.reminders)
        ctx.command("unremind", self.unremind)
        ctx.every(self.deliver, interval_s=ctx.config.look_every_s)
        ctx.on_user_forget(self.forget)

    # What people do. `in` is no name in Python; `in_` is what they type as `in`.

    async def remind(
        self,
        user: User,
        chat: ChatRef,
        in_: Annotated[str, "when: 30s, 10m, 1h30m or 2d from now"],
        text: Annotated[str, "what of"],
    ) -> str:
        """Remind you of something."""
        config, after = self._ctx.config, span(in_)
        if after is None:
            return HOW_TO
        if after > LONGEST:
            return "That is too far away for me. I remember things for a year."
        if len(text) > config.most_characters:
            return f"That is too long for me. Please say it in {config.most_characters} letters or less."
        due, drawer = self._ctx.now() + after, self._ctx.store.user(user)
        async with self._numbering:  # looking which number is free and taking it are two steps
            kept = await drawer.items()
            if len(kept) >= config.most_per_person:
                return f"You have {len(kept)} reminders already. /unremind cancels one of those that /reminders shows."
            number = next(number for number in range(1, len(kept) + 2) if str(number) not in kept)
            reminder = {"text": text, "due": due.isoformat(), "chat": _parts(chat), "name": user.name}
            await drawer.set(str(number), reminder)
        await self._ctx.store.plugin.set(_key(due, user, number), [user.platform, user.id, number])
        return f"I will remind you on {due:%Y-%m-%d at %H:%M:%S} UTC; /unremind {number} cancels it."

    async def reminders(self, user: User, chat: ChatRef) -> str:
        """Show what I am to remind you of in this chat."""
        here = (await self._of(user, chat)).items()
        lines = [f"{number}: {_due(each):%Y-%m-%d %H:%M:%S}, {each['text']}" for number, each in sorted(here)]
        return "\n".join(lines) or "There is nothing that I am to remind you of in this chat."

    async def unremind(self, user: User, chat: ChatRef, number: Annotated[int, "which, as /reminders has it"]) -> str:
        """Cancel a reminder of yours."""
        reminder = (await self._of(user, chat)).get(number)
        if reminder is None:
            return f"You have no reminder {number} in this chat. /reminders shows them."
        await self._drop(_key(_due(reminder), user, number), user, number)
        return f"I will not remind you of this: {reminder['text']}"

    async def forget(self, user: User) -> None:
        """Let go of what stands in the plugin's own drawer; what is the person's goes by itself."""
        for key, (platform, id, _) in (await self._ctx.store.plugin.items()).items():
            if (platform, id) == (user.platform, user.id):
                await self._ctx.store.plugin.delete(key)

    # What happens by itself.

    async def deliver(self) -> None:
        """Say what is due. What cannot be said now is tried again."""
        now = _sortable(self._ctx.now())
        for key, (platform, id, number) in (await self._ctx.store.plugin.items()).items():
            if key.partition(" ")[0] > now:
                return  # they come in the order of their times
            user = User(platform, id, "")
            reminder = await self._ctx.store.user(user).get(str(number))
            if reminder is None or _key(_due(reminder), user, number) != key:  # of another time
                await self._ctx.store.plugin.delete(key)
            elif await self._say(reminder) or self._ctx.now() - _due(reminder) > GIVE_UP_AFTER:
                await self._drop(key, user, number)

    async def _say(self, reminder: Mapping[str, Any]) -> bool:
        text = f"{reminder['name']}, I was to remind you: {reminder['text']}"
        return await self._ctx.say(ChatRef(*reminder["chat"]), text) is not None

    async def _drop(self, key: str, user: User, number: int) -> None:
        await self._ctx.store.user(user).delete(str(number))
        await self._ctx.store.plugin.delete(key)

    async def _of(self, user: User, chat: ChatRef) -> dict[int, dict[str, Any]]:
        """A person's reminders in one chat, by number."""
        kept = await self._ctx.store.user(user).items()
        return {int(number): each for number, each in kept.items() if each["chat"] == _parts(chat)}


def span(text: str) -> timedelta | None:
    """How long `1h30m` is; None if it is nothing like that."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds) or None


def _due(reminder: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(reminder["due"])


def _sortable(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}"


def _key(due: datetime, user: User, number: int) -> str:
    return f"{_sortable(due)} {user.platform} {user.id} {number}"


def _parts(chat: ChatRef) -> list[str | None]:
    """A chat as JSON can say it."""
    return [chat.platform, chat.account, chat.chat, chat.thread]
