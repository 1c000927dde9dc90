"""Who said what, in the form that a model sees it: names never, a tag such as `[A]` for each person.

The one renderer of speakers, for prompts and for training examples alike. Knows nothing of platforms: a
speaker is any string that tells two people apart.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from engine.generation import ChatMessage

_TAG = re.compile(r"\[([A-Z]{1,2})\]")
_TAG_OPENING_A_LINE = re.compile(r"(\n[^\S\n]*)\[([A-Z]{1,2})\]")
_TAG_OPENING_THE_ANSWER = re.compile(r"^\s*\[[A-Z]{1,2}\]:?\s*")
_UNFINISHED_TAG = re.compile(r"\[[A-Z]{0,2}$")


@dataclass(frozen=True)
class Called:
    """A speaker who is named in the middle of a text."""

    speaker: str


Piece = str | Called


@dataclass(frozen=True)
class Utterance:
    """What someone said; `speaker` is None for the bot.

    Attributes:
        is_typed: Whether a person wrote what the bot says here; what people say themselves, they always do.
    """

    speaker: str | None
    pieces: tuple[Piece, ...]
    is_typed: bool = False


class Cast:
    """The people of one conversation and their tags, in the order of their first appearance."""

    def __init__(self, *, is_shared: bool) -> None:
        """In a conversation that is not shared by several people, what they say carries no tag."""
        self._is_shared = is_shared
        self._tags: dict[str, str] = {}
        self._speakers: dict[str, str] = {}

    def tag(self, speaker: str) -> str:
        """The tag of `speaker`; the next free one if there is none yet."""
        if speaker not in self._tags:
            tag = _tag(len(self._tags))
            self._tags[speaker], self._speakers[tag] = tag, speaker
        return self._tags[speaker]

    def messages(self, utterances: Iterable[Utterance]) -> list[ChatMessage]:
        """A conversation as turns of user and assistant; what several people say in a row is one turn."""
        messages: list[ChatMessage] = []
        for utterance in utterances:
            message = self._message(utterance)
            if messages and messages[-1].role == message.role:
                message = ChatMessage(message.role, f"{messages[-1].content}\n{message.content}")
                messages.pop()
            messages.append(message)
        return messages

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings at which an answer ends, because it goes on in somebody else's name."""
        if not self._is_shared:
            return ()
        return tuple(f"\n{tag}" for tag in dict.fromkeys([*map(_tag, range(26)), *self._speakers]))

    def pieces(self, answer: str, *, is_whole: bool = True) -> tuple[Piece, ...]:
        """What an answer says, with speakers in place of their tags; the reverse of rendering it.

        A tag in front of the answer goes away: a model imitates with it the form of what it reads. Of an
        answer that is not whole, an end that may become a tag is left out.
        """
        answer = _TAG_OPENING_THE_ANSWER.sub("", answer, count=1) if self._is_shared else answer
        if not is_whole:
            answer = _UNFINISHED_TAG.sub("", answer)
        pieces: list[Piece] = []
        end = 0
        for match in _TAG.finditer(answer):
            speaker = self._speakers.get(match[0])
            if speaker is not None:
                pieces += [answer[end : match.start()], Called(speaker)]
                end = match.end()
        return tuple(piece for piece in [*pieces, answer[end:]] if piece != "")

    def _message(self, utterance: Utterance) -> ChatMessage:
        if utterance.speaker is None:
            is_typed = utterance.is_typed and self._is_shared
            return ChatMessage("assistant", self._text(utterance.pieces, is_typed=is_typed))
        if not self._is_shared:
            return ChatMessage("user", self._text(utterance.pieces))
        tag = self.tag(utterance.speaker)
        return ChatMessage("user", f"{tag} {self._text(utterance.pieces, is_typed=True)}")

    def _text(self, pieces: Sequence[Piece], *, is_typed: bool = False) -> str:
        """What a person typed loses the form of a tag, lest somebody speak in another's name."""
        words = []
        for piece in pieces:
            if isinstance(piece, Called):
                words.append(self.tag(piece.speaker))
            else:
                words.append(_TAG.sub(r"(\1)", piece) if is_typed else piece)
        text = "".join(words)
        return _TAG_OPENING_A_LINE.sub(r"\1(\2)", text) if is_typed else text


def _tag(number: int) -> str:
    """`[A]` for 0, `[Z]` for 25, `[AA]` for 26; after `[ZZ]` it begins anew."""
    high, low = divmod(number % 702, 26)
    return f"[{ascii_uppercase[high - 1] if high else ''}{ascii_uppercase[low]}]"
