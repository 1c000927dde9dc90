"""What was said in one chat, and the next request to the engine that follows from it.

Knows nothing of platforms, and keeps nothing in memory: what is remembered stands in the chat log.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bots.chatlog import ChatLog, ChatSettings, LoggedTurn, Trigger
from bots.message import Attachment, ChatRef, Mention, MessageId, Quote, Segment, Text, User
from engine.generation import ChatMessage, Completion, GenerationRequest
from engine.sampling import SamplingParams
from engine.speakers import Called, Cast, Piece, Utterance

MAX_TURNS = 100
"""Turns that are looked up; more than that does not fit into the context of any model that we serve."""

_MARKDOWN = re.compile(r"([\\`*_~|\[\]<>])")


@dataclass(frozen=True)
class AnswerOptions:
    """How the engine is to answer.

    Attributes:
        max_tokens: The answer's limit, in tokens.
        deadline_s: Seconds after which an answer ends as it stands; None lets it run.
    """

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int = 256
    deadline_s: float | None = None


@dataclass(frozen=True)
class Question:
    """A message that was said to the bot and stands in the chat log.

    Attributes:
        row_id: Its row there.
        id: None once the chat has moved away from where it was said.
        reply_to: The message that it answers, and `quote` what that says, as far as the platform shows it.
        wants_reply: Whether its answer has to point at it.
    """

    row_id: int
    id: MessageId | None
    author: User
    segments: tuple[Segment, ...]
    reply_to: MessageId | None = None
    quote: Quote | None = None
    wants_reply: bool = True


@dataclass(frozen=True)
class Prompt:
    """A request to the engine, and what it takes to read the answer."""

    request: GenerationRequest
    cast: Cast
    names: Mapping[str, str]
    turns: tuple[LoggedTurn, ...]
    is_window: bool

    def shown(self, answer: str, *, is_whole: bool = True) -> str:
        """An answer as people get to see it: Markdown, with names in place of tags."""
        return written(self.segments(answer, is_whole=is_whole))

    def segments(self, answer: str, *, is_whole: bool = True) -> tuple[Segment, ...]:
        """An answer as the chat log keeps it: with people in place of tags."""
        return tuple(
            Mention(piece.speaker, self.names[piece.speaker]) if isinstance(piece, Called) else Text(piece)
            for piece in self.cast.pieces(answer, is_whole=is_whole)
        )


class Conversation:
    """The memory of one chat.

    A question and its answer are remembered together, once the answer was shown; an answer that was stopped is
    remembered as far as it got. A question that failed leaves the memory as it was, so asking it again is all
    that a retry takes.
    """

    def __init__(
        self, chat: ChatRef, log: ChatLog, *, is_private: bool, persona: str, options: AnswerOptions | None = None
    ) -> None:
        """`persona` is the system message of chats that have none of their own."""
        self.chat, self.is_private = chat, is_private
        self._log, self._default_persona, self._options = log, persona, options or AnswerOptions()

    async def persona(self) -> str:
        """Who the bot is to be in this chat."""
        persona = (await self._log.chat_settings(self.chat)).persona
        return self._default_persona if persona is None else persona

    async def set_persona(self, persona: str | None) -> None:
        """Let the bot be someone else from the next question on; None goes back to the default."""
        settings = await self._log.chat_settings(self.chat)
        await self._save(replace(settings, persona=persona))

    async def trigger(self) -> tuple[Trigger, tuple[str, ...]]:
        """Which messages the bot answers here, and at which words."""
        settings = await self._log.chat_settings(self.chat)
        return settings.trigger, settings.keywords

    async def set_trigger(self, trigger: Trigger, keywords: Sequence[str]) -> None:
        """Answer other messages from now on."""
        settings = await self._log.chat_settings(self.chat)
        await self._save(replace(settings, trigger=trigger, keywords=tuple(keywords)))

    async def switch_plugin(self, name: str, *, is_on: bool) -> None:
        """Switch a plugin on or off in this chat."""
        settings = await self._log.chat_settings(self.chat)
        off = settings.plugins_off - {name} if is_on else settings.plugins_off | {name}
        await self._save(replace(settings, plugins_off=off))

    async def reset(self) -> None:
        """Forget what was said; the persona stays."""
        await self._log.reset(self.chat)

    async def prompt(self, questions: Sequence[Question]) -> Prompt:
        """The request that has `questions` answered, as one, after what was said before them."""
        before = await self._said_before(questions[0])
        cast = Cast(is_shared=not self.is_private)
        utterances = [*_said(before.turns), *_quoted(questions[0], before), *map(_asked, questions)]
        persona = await self.persona()
        system = [ChatMessage("system", persona)] if persona else []
        request = GenerationRequest(
            messages=(*system, *cast.messages(utterances)),
            chat=self.chat.key,
            sampling=self._options.sampling,
            max_tokens=self._options.max_tokens,
            stop=cast.stop,
            deadline_s=self._options.deadline_s,
        )
        return Prompt(request, cast, _names(before.turns, questions), before.turns, before.is_window)

    async def remember_no_more_than(self, prompt: Prompt, completion: Completion) -> None:
        """Let go of turns that did not fit into the context: they will not fit the next time either."""
        dropped = completion.dropped_turns
        if prompt.is_window and 0 < dropped <= len(prompt.turns):
            first_kept = prompt.turns[dropped].turn if dropped < len(prompt.turns) else prompt.turns[-1].turn + 1
            await self._log.forget_before(self.chat, first_kept)

    async def _save(self, settings: ChatSettings) -> None:
        await self._log.save_chat_settings(self.chat, settings, is_private=self.is_private)

    async def _said_before(self, question: Question) -> "_Before":
        """What was said last; or, for a reply to something further back, what led to that."""
        window = tuple(await self._log.history(self.chat, limit_turns=MAX_TURNS, before_turn=question.row_id))
        if question.reply_to is None:
            return _Before(window, is_window=True, holds_quote=True)
        chain = tuple(await self._log.chain(self.chat, question.reply_to, limit_turns=MAX_TURNS))
        if chain and chain[-1].turn not in {turn.turn for turn in window}:
            return _Before(chain, is_window=False, holds_quote=True)
        return _Before(window, is_window=True, holds_quote=bool(chain))


@dataclass(frozen=True)
class _Before:
    """What was said before a question; `holds_quote` says whether what the question answers is in it."""

    turns: tuple[LoggedTurn, ...]
    is_window: bool
    holds_quote: bool


def _said(turns: Iterable[LoggedTurn]) -> Iterable[Utterance]:
    for turn in turns:
        for question in turn.questions:
            yield Utterance(question.author.id, tuple(_pieces(question.segments)))
        yield Utterance(None, tuple(_pieces(turn.answer)))


def _quoted(question: Question, before: _Before) -> Iterable[Utterance]:
    quote = question.quote
    if quote is not None and quote.segments and not before.holds_quote:
        yield Utterance(quote.author.id if quote.author else None, tuple(_pieces(quote.segments)))


def _asked(question: Question) -> Utterance:
    return Utterance(question.author.id, tuple(_pieces(question.segments)))


def _names(turns: Iterable[LoggedTurn], questions: Iterable[Question]) -> dict[str, str]:
    """What everyone is called, by the latest that is known."""
    names: dict[str, str] = {}
    for turn in turns:
        for said in turn.questions:
            names |= _named(said.author, said.segments)
        names |= _named(None, turn.answer)
    for question in questions:
        if question.quote is not None:
            names |= _named(question.quote.author, question.quote.segments)
        names |= _named(question.author, question.segments)
    return names


def _named(author: User | None, segments: Iterable[Segment]) -> dict[str, str]:
    mentioned = {segment.user_id: segment.name for segment in segments if isinstance(segment, Mention)}
    return mentioned | ({author.id: author.name} if author else {})


def _pieces(segments: Iterable[Segment]) -> Iterable[Piece]:
    for segment in segments:
        match segment:
            case Text(text):
                yield text
            case Mention(user_id):
                yield Called(user_id)
            case Attachment():
                yield _attached(segment)


def _attached(attachment: Attachment) -> str:
    """A file in words: what it says if it is text, otherwise what it is."""
    kind = attachment.media_type.partition("/")[0]
    what = kind if kind in ("image", "audio", "video") else "file"
    if attachment.text is None:
        return f"\n({what}: {attachment.name})"
    return f"\n(file: {attachment.name})\n{attachment.text}\n"


def written(segments: Iterable[Segment]) -> str:
    """An answer from the chat log as people get to see it."""
    return "".join(
        _escaped(segment.name) if isinstance(segment, Mention) else segment.text
        for segment in segments
        if isinstance(segment, Mention | Text)
    )


def _escaped(name: str) -> str:
    """A name as Markdown that shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", name)
