"""A word filter: words that are neither shown nor kept, by a list of each chat's own.

Shows hooks, a command for those who look after a chat, one for those who run the bot, and figures that are written down
now and then. A hook is called for every message and for every piece of an answer, so it reads the list from memory.
"""

import re
from collections import Counter
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bots.message import Text
from bots.plugins import Answer, ChatRef, Context, Message, Permission, Plugin

COMMAND = "filter"
MOST_CHATS = 2000
"""Of how many chats the list is held in memory."""
WRITE_DOWN_EVERY_S = 60.0


class Action(StrEnum):
    """What can be done with a word."""

    ADD = "add"
    REMOVE = "remove"


class WordFilter(Plugin):
    """Replaces words by stars."""

    class Config(BaseModel):
        """Settings."""

        model_config = ConfigDict(frozen=True)

        most_words: int = Field(default=200, ge=1, description="How many words a chat may filter.")

    name = "wordfilter"
    summary = "words that are not said here"
    version = "1.0"

    async def setup(self, ctx: Context["WordFilter.Config"]) -> None:
        """Register the commands and the hooks."""
        self._ctx = ctx
        self._patterns: dict[ChatRef, re.Pattern[str] | None] = {}
        self._hidden: Counter[str] = Counter(await ctx.store.plugin.get("hidden", {}))
        ctx.command(COMMAND, self.filter, permission=Permission.CHAT_ADMIN, shows_without_arguments=True)
        ctx.command("filterstats", self.stats, permission=Permission.OPERATOR)
        ctx.before_log(self.hide_in_message)
        ctx.on_chunk(self.hide_in_growing)
        # Later than others, so that nothing that they add gets past it.
        ctx.after_generate(self.hide_in_answer, order=100)
        ctx.every(self.write_down, interval_s=WRITE_DOWN_EVERY_S)

    async def teardown(self) -> None:
        """Write down what was counted last."""
        await self.write_down()

    # The list.

    async def filter(
        self,
        chat: ChatRef,
        action: Annotated[Action | None, "what to do"] = None,
        word: Annotated[str, "the word"] = "",
    ) -> str:
        """Show or change which words are not said in this chat."""
        words, word = await self._words(chat), word.strip().casefold()
        if action is None:
            return f"Words that are not said here: {', '.join(words) or 'none'}"
        if not word:
            return f"Which word? /{COMMAND} {action} WORD"
        if action is Action.ADD and len(words) >= self._ctx.config.most_words:
            return f"There are {len(words)} words already, and more is not possible."
        others = [each for each in words if each != word]
        words = sorted([*others, word]) if action is Action.ADD else others
        await self._ctx.store.chat(chat.parent).set("words", words)
        self._patterns.pop(chat.parent, None)
        return f"Noted. Words that are not said here: {len(words)}"

    async def _words(self, chat: ChatRef) -> list[str]:
        """Those of a chat hold in its threads, too."""
        return list(await self._ctx.store.chat(chat.parent).get("words", []))

    async def _pattern(self, chat: ChatRef) -> re.Pattern[str] | None:
        """What finds the words; None if there are none."""
        place = chat.parent
        if place not in self._patterns:
            words = await self._words(place)
            if len(self._patterns) >= MOST_CHATS:
                self._patterns.clear()
            self._patterns[place] = pattern_of(words) if words else None
        return self._patterns[place]

    # The hooks.

    async def hide_in_message(self, message: Message) -> Message | None:
        """Neither the model nor the database gets to see the words. The list itself has to be changed in words."""
        pattern = await self._pattern(message.chat)
        if pattern is None or message.text.startswith(f"/{COMMAND} "):
            return None
        hidden = [replace(s, text=stars(pattern, s.text)) if isinstance(s, Text) else s for s in message.segments]
        if tuple(hidden) == message.segments:
            return None
        self._hidden["messages"] += 1
        return replace(message, segments=tuple(hidden))

    async def hide_in_growing(self, chat: ChatRef, text: str) -> str | None:
        """Nobody gets to see them while an answer is written."""
        pattern = await self._pattern(chat)
        return None if pattern is None else stars(pattern, text)

    async def hide_in_answer(self, answer: Answer) -> str | None:
        """Nor afterwards; and the model does not see later that it has said them."""
        pattern = await self._pattern(answer.chat)
        hidden = answer.text if pattern is None else stars(pattern, answer.text)
        if hidden == answer.text:
            return None
        self._hidden["answers"] += 1
        return hidden

    # Figures.

    async def stats(self) -> str:
        """Show how much was hidden, in all chats together."""
        return f"Hidden words in {self._hidden['messages']} messages and {self._hidden['answers']} answers."

    async def write_down(self) -> None:
        """Keep the figures."""
        await self._ctx.store.plugin.set("hidden", dict(self._hidden))


def pattern_of(words: list[str]) -> re.Pattern[str]:
    """What finds whole words, in capitals or not."""
    either = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)


def stars(pattern: re.Pattern[str], text: str) -> str:
    """The text with stars in place of what the pattern finds."""
    return pattern.sub(lambda found: "\N{BLACK STAR}" * len(found[0]), text)
