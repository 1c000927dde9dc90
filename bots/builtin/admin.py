"""Looking after a bot: `/trigger` and `/plugins` for a chat, `/access`, `/quota` and `/notices` for operators."""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bots.bounded import remember
from bots.buttons import RETRY
from bots.chatlog import Trigger
from bots.errors import PluginError
from bots.operators import Operators
from bots.plugins import (
    ButtonPressed,
    ChatRef,
    CommandCall,
    Context,
    Conversation,
    Mention,
    Message,
    Permission,
    Plugin,
    PluginHost,
    PluginInfo,
    Reacted,
    User,
    Veto,
)

HOUR_S = 3600.0
REFRESH_S = 30.0
"""How soon lists that another process has changed hold here, too."""
MAX_PEOPLE = 100_000


class AccessAction(StrEnum):
    """What `/access` does with a person or a chat."""

    DENY = "deny"
    ALLOW = "allow"
    CLEAR = "clear"


class PluginAction(StrEnum):
    """What `/plugins` does with a plugin."""

    ON = "on"
    OFF = "off"
    LOAD = "load"
    UNLOAD = "unload"
    RELOAD = "reload"


class AdminPlugin(Plugin):
    """Who is served, how much, and with what."""

    class Config(BaseModel):
        """Settings."""

        model_config = ConfigDict(frozen=True)

        messages_per_hour: int = Field(default=0, ge=0, description="What a person may ask in an hour; 0 for no limit.")

    name = "admin"
    summary = "looking after me"
    version = "1"
    is_essential = True

    def __init__(self, host: PluginHost, operators: Operators) -> None:
        self._host, self._operators = host, operators
        self._denied: frozenset[str] = frozenset()
        self._allowed: frozenset[str] = frozenset()
        self._changing = asyncio.Lock()
        self._asked_s: dict[str, deque[float]] = {}
        self._was_told: dict[str, None] = {}

    async def setup(self, ctx: Context["AdminPlugin.Config"]) -> None:
        """Register the commands, and keep out whom they name."""
        self._ctx = ctx
        for name, handler in (("trigger", self.trigger), ("plugins", self.plugins)):
            ctx.command(name, handler, permission=Permission.CHAT_ADMIN, shows_without_arguments=True, is_public=True)
        ctx.command("access", self.access, permission=Permission.OPERATOR)
        ctx.command("quota", self.quota, permission=Permission.OPERATOR)
        ctx.command("notices", self.notices, permission=Permission.OPERATOR)
        ctx.before_log(self.keep_out, order=-100)
        ctx.before_press(self.keep_from_pressing, order=-100)
        ctx.every(self.refresh, interval_s=REFRESH_S)
        await self.refresh()

    # Which messages are answered.

    async def trigger(
        self,
        conversation: Conversation,
        when: Annotated[Trigger | None, "which messages"] = None,
        words: Annotated[str, "for `keywords`: the words, separated by commas"] = "",
    ) -> str:
        """Show or change which messages of a group I answer."""
        if when is not None:
            keywords = tuple(word.strip() for word in words.split(",") if word.strip())
            if when is Trigger.KEYWORDS and not keywords:
                return "Please name the words, separated by commas: /trigger keywords mynah, bird"
            await conversation.set_trigger(when, keywords)
        trigger, keywords = await conversation.trigger()
        if conversation.is_private:
            return "Between the two of us I answer everything. /trigger is for groups."
        answered = {
            Trigger.ADDRESSED: "messages that mention me or reply to me",
            Trigger.KEYWORDS: "messages that mention me, reply to me, or hold one of these words: "
            + ", ".join(keywords),
            Trigger.EVERY: "every message that I can see",
        }
        return f"In this chat I answer {answered[trigger]}."

    # Plugins.

    async def plugins(
        self,
        call: CommandCall,
        action: Annotated[PluginAction | None, "what to do; all but on and off are for those who run me"] = None,
        name: Annotated[str, "which plugin"] = "",
    ) -> str:
        """List the plugins, switch one on or off in this chat, or load one anew."""
        if action is None:
            off = await self._host.off_in(call.message.chat)
            return "\n".join(_described(each, is_off=each.name in off) for each in self._host.listing())
        if not name:
            return f"Which one? /plugins {action} NAME; /plugins lists them."
        if action in (PluginAction.ON, PluginAction.OFF):
            return await self._switch(call.conversation, name, is_on=action is PluginAction.ON)
        if not call.is_operator:
            return "Only those who run this bot can do that."
        change = {
            PluginAction.LOAD: self._host.load,
            PluginAction.UNLOAD: self._host.unload,
            PluginAction.RELOAD: self._host.reload,
        }[action]
        try:
            await change(name)
        except PluginError as exc:
            return f"That did not work: {exc}"
        return f"Done: /plugins {action} {name}."

    async def _switch(self, conversation: Conversation, name: str, *, is_on: bool) -> str:
        found = [each for each in self._host.listing() if each.name == name and each.problem is None]
        if not found:
            return f"There is no plugin {name}; /plugins lists them."
        if found[0].is_essential and not is_on:
            return f"The plugin {name} cannot be switched off."
        await conversation.switch_plugin(name, is_on=is_on)
        return f"The plugin {name} is {'on' if is_on else 'off'} in this chat."

    # Whom to serve.

    async def access(
        self,
        message: Message,
        action: Annotated[AccessAction | None, "`deny` ignores, `allow` serves only those allowed"] = None,
        who: Annotated[str, "`here` for this chat, a mention, or PLATFORM:USER_ID"] = "here",
    ) -> str:
        """Show or change whom I ignore, and whom alone I serve."""
        if action is None:
            return f"Ignored: {_listed(self._denied)}\nServed, and nobody else: {_listed(self._allowed)}"
        subject = _subject(message, who)
        if subject is None:
            return f"{who!r} is neither `here`, nor a mention that tells me who it is, nor PLATFORM:USER_ID."
        async with self._changing:
            await self.refresh()
            denied, allowed = self._denied - {subject}, self._allowed - {subject}
            if action is AccessAction.DENY:
                denied |= {subject}
            elif action is AccessAction.ALLOW:
                allowed |= {subject}
            await self._ctx.store.plugin.set("access", {"denied": sorted(denied), "allowed": sorted(allowed)})
            await self.refresh()
        only = f" From now on I serve nobody but: {_listed(self._allowed)}." if self._allowed else ""
        return f"Done: {action} {subject}.{only}"

    async def quota(
        self, per_hour: Annotated[int | None, "messages that a person may send me in an hour; 0 for no limit"] = None
    ) -> str:
        """Show or change how much each person may ask."""
        if per_hour is not None:
            if per_hour < 0:
                return "Less than nothing is not possible; 0 lifts the limit."
            await self._ctx.store.plugin.set("quota", per_hour)
            await self.refresh()
        limit = self._limit
        return f"Each person may send me {limit} messages in an hour." if limit else "There is no limit."

    async def refresh(self) -> None:
        """Read the lists as they are in the database."""
        access = await self._ctx.store.plugin.get("access", {})
        self._denied = frozenset(access.get("denied", ()))
        self._allowed = frozenset(access.get("allowed", ()))
        self._limit = int(await self._ctx.store.plugin.get("quota", self._ctx.config.messages_per_hour))

    async def keep_out(self, message: Message) -> Veto | None:
        """Ignore whom the lists say, and those who have asked too much."""
        if self._is_kept_out(message.author, message.chat):
            return Veto()
        return self._over_quota(message.author, message.time)

    async def keep_from_pressing(self, event: ButtonPressed | Reacted) -> Veto | None:
        """Ignore the presses and reactions of those whose messages are ignored, but for their rights."""
        button = event.button if isinstance(event, ButtonPressed) else ""
        if not button.startswith("privacy:") and self._is_kept_out(event.user, event.chat):
            return Veto()
        return self._over_quota(event.user, event.time) if button == RETRY.name else None

    def _is_kept_out(self, user: User, chat: ChatRef) -> bool:
        subjects = {_of_person(user.platform, user.id), _of_chat(chat)}
        is_served = not subjects & self._denied and (not self._allowed or bool(subjects & self._allowed))
        return not is_served and not self._operators.include(user)

    def _over_quota(self, user: User, time: datetime) -> Veto | None:
        """Count what takes an answer; say once that it is one too many."""
        if not self._limit or self._operators.include(user):
            return None
        person, now_s = _of_person(user.platform, user.id), time.timestamp()
        asked_s = self._asked_s.get(person) or remember(self._asked_s, person, deque[float](), limit=MAX_PEOPLE)
        while asked_s and asked_s[0] <= now_s - HOUR_S:
            asked_s.popleft()
        if len(asked_s) < self._limit:
            asked_s.append(now_s)
            self._was_told.pop(person, None)
            return None
        if person in self._was_told:
            return Veto()
        remember(self._was_told, person, None, limit=MAX_PEOPLE)
        wait_min = max(1, round((asked_s[0] + HOUR_S - now_s) / 60))
        return Veto(
            f"You have sent me {self._limit} messages within an hour, which is the limit. Try in {wait_min} min."
        )

    # Where operators are told what happens.

    async def notices(
        self, chat: ChatRef, where: Annotated[Literal["here", "off"] | None, "`here`, or `off` for no more here"] = None
    ) -> str:
        """Show or change whether I tell those who run me in this chat what happens to me."""
        if where is not None:
            await self._operators.tell_in(chat, is_wanted=where == "here")
        is_told = chat in await self._operators.chats()
        return "I tell you here what happens to me." if is_told else "I do not tell you here what happens to me."


def _described(info: PluginInfo, *, is_off: bool) -> str:
    state = "off in this chat" if is_off and not info.is_essential else "on"
    if info.problem is not None:
        state = info.problem
    what = f": {info.summary}" if info.summary else ""
    return f"{info.name}{f' {info.version}' if info.version else ''}{what} ({state})"


def _listed(subjects: Iterable[str]) -> str:
    return ", ".join(sorted(subjects)) or "nobody"


def _subject(message: Message, who: str) -> str | None:
    """Who or what is meant, as the lists have it."""
    if who == "here":
        return _of_chat(message.chat)
    for segment in message.segments:
        if isinstance(segment, Mention) and who == f"@{segment.name}":
            # Of a @username, Telegram does not tell bots whose it is; nobody has an id like that.
            is_known = not segment.user_id.startswith("@")
            return _of_person(message.chat.platform, segment.user_id) if is_known else None
    platform, _, user_id = who.partition(":")
    return _of_person(platform, user_id) if platform and user_id and " " not in who else None


def _of_person(platform: str, user_id: str) -> str:
    return f"{platform.lower()}:{user_id}"


def _of_chat(chat: ChatRef) -> str:
    return f"chat {chat.parent.key}"
