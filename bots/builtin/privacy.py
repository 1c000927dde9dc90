"""What becomes of what people write: `/privacy`, `/consent`, `/forget` and `/export`. Cannot be switched off.

What may be kept and what may be trained on is decided by `bots.policy`; this tells people, asks them, and does what
they say.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bots.bounded import remember
from bots.chatlog import ChatLog, ConsentSource, Forgotten
from bots.errors import UnsupportedError
from bots.plugins import (
    Button,
    ButtonPressed,
    ChatRef,
    CommandCall,
    Context,
    Message,
    Plugin,
    User,
)
from bots.policy import WORDINGS, Purpose, Wording

EXPORT_NAME = "mynah-export.json"
SHOWN = "shown {}"
"""Where it is kept which wording a person has seen last: nobody agrees to a text unseen."""
SURE_FOR = timedelta(minutes=1)
ARE_YOU_SURE = "Are you sure? It cannot be undone. Press once more within a minute, and I forget you."

IN_PRIVATE = "Others can read this chat. Write /export to me in a private one."
ABOUT_FORGETTING = (
    "I can forget what I know of you: in this chat, or everywhere on this platform. That removes your messages, my "
    "answers to them, your ratings, your consents and what plugins keep of you; everywhere, what you have refused is "
    "forgotten, too. It cannot be undone."
)


class PrivacyPlugin(Plugin):
    """People's rights over what they write."""

    class Config(BaseModel):
        """Settings."""

        model_config = ConfigDict(frozen=True)

        policy_url: str = Field(default="", description="Where the operator's privacy policy can be read.")
        contact: str = Field(default="", description="Whom to write to, for instance an e-mail address.")

    name = "privacy"
    summary = "what becomes of what you write"
    version = "1"
    is_essential = True

    def __init__(self, log: ChatLog, *, retention_days: int, training_retention_days: int) -> None:
        """Days are those that people are told; 0 for ever."""
        self._log = log
        self._sure_until: dict[tuple[str, str, str], datetime] = {}
        self._retention_days, self._training_retention_days = retention_days, training_retention_days

    async def setup(self, ctx: Context["PrivacyPlugin.Config"]) -> None:
        """Register the commands and their buttons."""
        self._ctx = ctx
        for name, handler in (
            ("privacy", self.privacy),
            ("consent", self.consent),
            ("forget", self.forget),
            ("export", self.export),
        ):
            ctx.command(name, handler, is_unconditional=True)
        self._agree = ctx.button("agree", "I agree", self.agreed)
        self._disagree = ctx.button("disagree", "I do not", self.disagreed)
        self._forget_here = ctx.button("here", "In this chat", self.forget_here)
        self._forget_all = ctx.button("all", "Everywhere", self.forget_everywhere)

    # /privacy

    async def privacy(self, user: User, chat: ChatRef) -> str:
        """Say what I keep of what you write, for how long, and what for."""
        verdicts = await self._log.consents.verdicts(user, chat)
        keep, train = verdicts[Purpose.MEMORY], verdicts[Purpose.TRAINING]
        kept, copied = _for_days(self._retention_days), _for_days(self._training_retention_days)
        remembered = "it is remembered" if keep.is_allowed else "it is not remembered"
        used = "it may be used" if train.is_allowed else "it is not used"
        config = self._ctx.config
        lines = [
            f"What you write to me is kept {kept}, encrypted, so that I can follow our conversation. What is not said "
            "to me is not kept.",
            f"Of what you write to me here: {remembered} ({keep.rule}: {keep.reason})",
            f"For training: {used} ({train.rule}: {train.reason}) Copies for training, if you agree to them, are kept "
            f"{copied}.",
            "/consent shows and changes what you have agreed to. /export gives you a copy of all I have of you, and "
            "/forget removes it.",
            *([f"The whole policy: {config.policy_url}"] if config.policy_url else []),
            *([f"Questions go to {config.contact}"] if config.contact else []),
        ]
        return "\n".join(lines)

    # /consent

    async def consent(
        self,
        message: Message,
        purpose: Annotated[Purpose | None, "what for"] = None,
        answer: Annotated[bool | None, "whether you agree"] = None,
    ) -> str | None:
        """Show what you have agreed to in this chat, agree to more, or take it back."""
        if purpose is None:
            return await self._agreed_to(message.author, message.chat)
        wording = WORDINGS[purpose]
        shown = self._ctx.store.user(message.author)
        if answer is False or (answer and await shown.get(SHOWN.format(purpose)) == wording.id):
            return await self._record(
                message.author, message.chat, wording, ConsentSource.COMMAND, is_granted=bool(answer)
            )
        await shown.set(SHOWN.format(purpose), wording.id)
        text = f"{wording.text}\n\nDo you agree? `/consent {purpose} yes` or `no` says so"
        return await self._offer(message.chat, text, self._agree(wording.id), self._disagree(wording.id))

    async def _offer(self, chat: ChatRef, text: str, *buttons: Button) -> str | None:
        """Post a text with buttons; where there are none, it is what the command says."""
        if self._ctx.has_buttons(chat) and await self._ctx.say(chat, f"{text}, and so do the buttons.", buttons):
            return None
        return f"{text}."

    async def agreed(self, press: ButtonPressed, argument: str) -> str:
        """Somebody agrees."""
        return await self._pressed(press, argument, is_granted=True)

    async def disagreed(self, press: ButtonPressed, argument: str) -> str:
        """Somebody does not, or no longer."""
        return await self._pressed(press, argument, is_granted=False)

    async def _pressed(self, press: ButtonPressed, wording_id: str, *, is_granted: bool) -> str:
        wording = next((each for each in WORDINGS.values() if each.id == wording_id), None)
        if wording is None:  # of an earlier version, or made up
            return "That text is not what I ask any more. /consent shows the one that is."
        return await self._record(press.user, press.chat, wording, ConsentSource.BUTTON, is_granted=is_granted)

    async def _record(
        self, user: User, chat: ChatRef, wording: Wording, source: ConsentSource, *, is_granted: bool
    ) -> str:
        purpose = wording.purpose
        is_taken = await self._log.consents.record(
            user, chat, purpose, is_granted=is_granted, source=source, wording_id=wording.id
        )
        if not is_taken:
            return "I can take that from a person only, not from a group or a channel in whose name somebody writes."
        verdict = (await self._log.consents.verdicts(user, chat))[purpose]
        if not is_granted:
            return f"Noted: no {purpose} with what you write in this chat. What was kept for that is removed."
        if verdict.is_allowed:
            return f"Noted, thank you. `/consent {purpose} no` takes it back."
        return f"Noted, thank you; `/consent {purpose} no` takes it back. For now it changes nothing: {verdict.reason}"

    async def _agreed_to(self, user: User, chat: ChatRef) -> str:
        standing = await self._log.consents.standing(user, chat)
        lines = []
        for purpose in Purpose:
            given = standing.get(purpose)
            if given is None:
                said = "you have said nothing"
            else:
                answer = "yes" if given.is_granted else "no"
                said = f"{answer} since {given.at:%Y-%m-%d}, by {given.source} ({given.wording_id})"
            lines.append(f"{purpose}: {said}. `/consent {purpose}` says what that is.")
        return "\n".join(["What you have agreed to in this chat:", *lines])

    # /forget

    async def forget(
        self, message: Message, what: Annotated[Literal["here", "everywhere"] | None, "in which chats"] = None
    ) -> str | None:
        """Forget all I know of you, in this chat or everywhere."""
        if what is None:
            text = f"{ABOUT_FORGETTING} `/forget here` and `/forget everywhere` do it"
            return await self._offer(message.chat, text, self._forget_here(""), self._forget_all(""))
        return await self._forget(message.author, message.chat if what == "here" else None)

    async def forget_here(self, press: ButtonPressed) -> str:
        """Forget whoever has pressed the button twice, in this chat."""
        return await self._forget(press.user, press.chat) if self._is_sure(press) else ARE_YOU_SURE

    async def forget_everywhere(self, press: ButtonPressed) -> str:
        """Forget whoever has pressed the button twice."""
        return await self._forget(press.user, None) if self._is_sure(press) else ARE_YOU_SURE

    def _is_sure(self, press: ButtonPressed) -> bool:
        """Whether the person has just pressed the same button before: one press is easily a slip."""
        key, now = (press.user.platform, press.user.id, press.button), self._ctx.now()
        is_sure = now < self._sure_until.pop(key, now)
        if not is_sure:
            remember(self._sure_until, key, now + SURE_FOR)
        return is_sure

    async def _forget(self, user: User, chat: ChatRef | None) -> str:
        if chat is not None:
            return _told(await self._log.forget_in(user.platform, user.id, chat), "in this chat")
        forgotten = await self._log.forget(user.platform, user.id)
        await self._ctx.hooks.on_user_forget.tell(user)
        return _told(forgotten, "everywhere on this platform")

    # /export

    async def export(self, call: CommandCall, user: User) -> str | None:
        """Give you a copy of all I have of you."""
        copy: dict[str, Any] = await self._log.export(user.platform, user.id)
        if elsewhere := self._as_json(await self._ctx.hooks.on_user_export.tell(user)):
            copy |= {"plugins_elsewhere": elsewhere}
        data = json.dumps(copy, ensure_ascii=False, indent=2)
        try:
            await call.hand_over(EXPORT_NAME, data.encode("utf-8", "replace"))
        except UnsupportedError as exc:
            return f"```json\n{data}\n```" if call.message.is_private else f"{IN_PRIVATE} ({exc})"
        return "That is all I have of you."

    def _as_json(self, parts: Mapping[str, object]) -> dict[str, object]:
        """What plugins have returned, but for what is no JSON: the rest of a copy does not wait for their authors."""
        good = {}
        for plugin, part in parts.items():
            try:
                json.dumps(part)
            except (TypeError, ValueError) as exc:
                self._ctx.log.error("what the plugin %s has for an export is no JSON: %s", plugin, exc)  # noqa: TRY400
            else:
                good[plugin] = part
        return good


def _for_days(days: int) -> str:
    return f"for {days} days" if days else "until you have me forget it"


def _told(forgotten: Forgotten, where: str) -> str:
    versions = forgotten.model_versions
    seen = (
        f" These versions of the model have learned from what you wrote: {', '.join(versions)}. They will not be used "
        "for the next ones, which are trained without it."
        if versions
        else " No model has learned from what you wrote."
    )
    return (
        f"I have forgotten you {where}: {forgotten.messages} messages, {forgotten.answers} answers to them, "
        f"{forgotten.feedback} ratings, {forgotten.plugin_data} values of plugins.{seen}"
    )
