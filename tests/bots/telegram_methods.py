"""The methods of the Bot API, each as what it does to the world and what it answers.

Synchronous; knows nothing of HTTP, of waiting (getUpdates and webhooks belong to the server) and of faults.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import telegram_text as text_rules
from telegram_accounts import Account, Json, User
from telegram_limits import FloodGate
from telegram_state import Chat, Message, Version, World, admin_json, member_json

DRAFT_LIFETIME_S = 30.0
ACTION_LIFETIME_S = 5.0
QUERY_LIFETIME_S = 15.0
MAX_QUERY_ANSWER_LENGTH = 200
MAX_DOWNLOAD_BYTES = 20 * 1024 * 1024
_ACTIONS = frozenset(
    [
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    ]
)
_REACTIONS = frozenset(
    "👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱🥴😍🐳🌚🌭💯🤣⚡🍌🏆💔🤨😐"
    "🍓🍾💋🖕😈😴😭🤓👻👀🎃🙈😇😨🤝✍🤗🫡🎅🎄☃💅🤪🗿🆒💘🙉🦄😘💊🙊😎👾🤷😡"
)
_NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a"
    " current content and reply markup of the message"
)
_OLD_QUERY = "Bad Request: query is too old and response timeout expired or query ID is invalid"
_JSON_FIELDS = frozenset(
    [
        "entities",
        "caption_entities",
        "reply_markup",
        "reply_parameters",
        "link_preview_options",
        "allowed_updates",
        "commands",
        "scope",
        "reaction",
        "message_ids",
    ]
)
_JUST_TRUE = [
    "logOut",
    "close",
    "setMyName",
    "setMyDescription",
    "setMyShortDescription",
    "setChatMenuButton",
    "pinChatMessage",
    "unpinChatMessage",
    "unpinAllChatMessages",
    "setMyDefaultAdministratorRights",
]


class ApiError(Exception):
    """The method is refused, with the fields of the Bot API's answer."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status, self.description, self.parameters = status, description, parameters


class BadRequestError(ApiError):
    """A 400."""

    def __init__(self, description: str, **parameters: int) -> None:
        super().__init__(400, f"Bad Request: {description.removeprefix('Bad Request: ')}", **parameters)


class TooManyRequestsError(ApiError):
    """A 429."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(429, f"Too Many Requests: retry after {retry_after_s}", retry_after=retry_after_s)


@dataclass(frozen=True)
class Draft:
    """A preview of a reply under way, shown for half a minute at most."""

    bot: Account
    draft_id: int
    text: str
    entities: list[Json]
    thread_id: int | None
    time_s: float


@dataclass(frozen=True)
class Action:
    """A "typing" or the like, shown for five seconds at most."""

    bot: Account
    action: str
    thread_id: int | None
    time_s: float


@dataclass(frozen=True)
class Ping:
    """A bot's message named someone, who is notified if it is new."""

    message: Message
    whom: str
    is_edit: bool


@dataclass(frozen=True)
class Violation:
    """Something that Telegram may let pass and that our bots must never do."""

    bot: Account
    method: str
    what: str


@dataclass
class Ledger:
    """What bots did, beside the messages that stand in the chats."""

    drafts: dict[Chat, list[Draft]] = field(default_factory=dict)
    actions: dict[Chat, list[Action]] = field(default_factory=dict)
    deleted: list[Message] = field(default_factory=list)
    pings: list[Ping] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    answers: dict[str, list[Json]] = field(default_factory=dict)  # by callback query id
    shown_drafts: dict[Chat, Draft] = field(default_factory=dict)
    shown_actions: dict[Chat, Action] = field(default_factory=dict)


def read_params(raw: dict[str, Any]) -> Json:
    """Parameters as Python values; forms carry everything as text, and lists and objects as JSON."""
    return {name: _read(name, value) for name, value in raw.items()}


def _read(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in _JSON_FIELDS:
        try:
            return json.loads(value)
        except ValueError:
            raise BadRequestError(f"can't parse {name} JSON object") from None
    if value in ("true", "false"):
        return value == "true" if name not in ("text", "caption") else value
    is_number = name.endswith("_id") or name in ("offset", "limit", "timeout", "max_connections", "cache_time")
    return int(value) if is_number and re.fullmatch(r"-?\d{1,18}", value) else value


class Methods:
    """Calls methods for bots; raises `ApiError` for what the Bot API refuses."""

    def __init__(self, world: World, gate: FloodGate, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._world, self._gate, self._ledger, self._clock = world, gate, ledger, clock
        own = (name for name in vars(type(self)) if name[0].islower())
        self._by_name: dict[str, Callable[[Account, Json], Any]] = {name.lower(): getattr(self, name) for name in own}
        del self._by_name["call"]
        self._by_name |= {name.lower(): lambda bot, params: True for name in _JUST_TRUE}

    def call(self, bot: Account, method: str, params: Json) -> Any:
        """Do what the method says; returns the `result`."""
        handler = self._by_name.get(method.lower())
        if handler is None:
            raise ApiError(404, "Not Found")
        self._note_violations(bot, method, params)
        try:
            return handler(bot, params)
        except text_rules.TextError as error:
            self._violate(bot, method, str(error))
            raise BadRequestError(str(error)) from None
        except TooManyRequestsError as error:
            self._gate.hold(bot.id, hold_key(method, params), error.parameters["retry_after"])
            raise

    # -- who the bot is

    def getMe(self, bot: Account, params: Json) -> Json:  # noqa: N802 - the API's own name
        able = {"can_join_groups": True, "can_read_all_group_messages": bot.can_read_all}
        return bot.user.to_api() | able | {"supports_inline_queries": False, "has_main_web_app": False}

    def setMyCommands(self, bot: Account, params: Json) -> bool:  # noqa: N802
        commands = params.get("commands", [])
        for entry in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", entry.get("command", "").removeprefix("/")):
                raise BadRequestError("BOT_COMMAND_INVALID")
            if not 1 <= len(entry.get("description", "")) <= 256:
                raise BadRequestError("BOT_COMMAND_DESCRIPTION_INVALID")
        if len(commands) > 100:
            raise BadRequestError("BOT_COMMANDS_TOO_MUCH")
        bot.commands[_scope_of(params)] = commands
        return True

    def getMyCommands(self, bot: Account, params: Json) -> list[Json]:  # noqa: N802
        return bot.commands.get(_scope_of(params), [])

    def deleteMyCommands(self, bot: Account, params: Json) -> bool:  # noqa: N802
        bot.commands.pop(_scope_of(params), None)
        return True

    # -- messages

    def sendMessage(self, bot: Account, params: Json) -> Json:  # noqa: N802
        text, entities = self._text(params, "text", "entities", "message is too long")
        return self._send(bot, params, text, entities, {})

    def sendDocument(self, bot: Account, params: Json) -> Json:  # noqa: N802
        return self._send_file(bot, params, "document")

    def sendPhoto(self, bot: Account, params: Json) -> Json:  # noqa: N802
        return self._send_file(bot, params, "photo")

    def editMessageText(self, bot: Account, params: Json) -> bool | Json:  # noqa: N802
        chat = self._chat(bot, params)
        message = self._own_message(bot, chat, params, "edit")
        # An edit that is too long is refused under another name than a message that is.
        text, entities = self._text(params, "text", "entities", "MESSAGE_TOO_LONG")
        return self._change(bot, message, Version(text, entities, _markup(params), time.time()))

    def editMessageReplyMarkup(self, bot: Account, params: Json) -> Json:  # noqa: N802
        message = self._own_message(bot, self._chat(bot, params), params, "edit")
        return self._change(bot, message, Version(message.text, message.entities, _markup(params), time.time()))

    def deleteMessage(self, bot: Account, params: Json) -> bool:  # noqa: N802
        chat = self._chat(bot, params)
        message = chat.message(params.get("message_id"))
        if message is None:
            raise BadRequestError("message to delete not found")
        if not (chat.is_private or message.sender.id == bot.id or chat.is_admin(bot.id)):
            raise BadRequestError("message can't be deleted")
        message.is_deleted = True
        self._ledger.deleted.append(message)
        return True

    def deleteMessages(self, bot: Account, params: Json) -> bool:  # noqa: N802
        for message_id in params.get("message_ids", []):
            if self._chat(bot, params).message(message_id) is not None:
                self.deleteMessage(bot, {**params, "message_id": message_id})
        return True

    def setMessageReaction(self, bot: Account, params: Json) -> bool:  # noqa: N802
        message = self._chat(bot, params).message(params.get("message_id"))
        reactions = params.get("reaction") or []
        if message is None:
            raise BadRequestError("message to react not found")
        if len(reactions) > 1:
            raise BadRequestError("REACTIONS_TOO_MANY")
        if any(reaction.get("emoji") not in _REACTIONS for reaction in reactions):
            raise BadRequestError("REACTION_INVALID")
        message.reactions[bot.id] = reactions
        return True

    # -- signs of life

    def sendChatAction(self, bot: Account, params: Json) -> bool:  # noqa: N802
        chat = self._chat(bot, params)
        if params.get("action") not in _ACTIONS:
            raise BadRequestError("wrong parameter action in request")
        thread_id = _thread(chat, params)
        self._pass("action", bot, chat)
        action = Action(bot, params["action"], thread_id, self._clock())
        self._ledger.actions.setdefault(chat, []).append(action)
        self._ledger.shown_actions[chat] = action
        return True

    def sendMessageDraft(self, bot: Account, params: Json) -> bool:  # noqa: N802
        chat = self._chat(bot, params)
        if not chat.is_private:
            raise BadRequestError("TEXTDRAFT_PEER_INVALID")
        if not params.get("draft_id"):
            raise BadRequestError("draft_id must be non-zero")
        thread_id = _thread(chat, params)
        text, entities = self._text(
            {"text": "", **params}, "text", "entities", "message is too long", may_be_empty=True
        )
        self._pass("draft", bot, chat)
        draft = Draft(bot, params["draft_id"], text, entities, thread_id, self._clock())
        self._ledger.drafts.setdefault(chat, []).append(draft)
        self._ledger.shown_drafts[chat] = draft
        return True

    def answerCallbackQuery(self, bot: Account, params: Json) -> bool:  # noqa: N802
        query_id = str(params.get("callback_query_id"))
        owner, made_s = self._world.queries.get(query_id, (None, 0.0))
        if owner != bot.id or time.time() - made_s > QUERY_LIFETIME_S:
            raise BadRequestError(_OLD_QUERY)
        if len(params.get("text", "")) > MAX_QUERY_ANSWER_LENGTH:
            raise BadRequestError("MESSAGE_TOO_LONG")
        self._ledger.answers.setdefault(query_id, []).append(params)
        return True

    # -- chats and files

    def getChat(self, bot: Account, params: Json) -> Json:  # noqa: N802
        chat = self._chat(bot, params, is_to_write=False)
        gifts = dict.fromkeys(
            ["unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"], False
        )
        return chat.to_api() | {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": gifts}

    def getChatMember(self, bot: Account, params: Json) -> Json:  # noqa: N802
        user: User | None = self._world.users.get(params.get("user_id", 0))
        if user is None:
            raise BadRequestError("invalid user_id specified")
        return member_json(self._chat(bot, params, is_to_write=False), user)

    def getChatAdministrators(self, bot: Account, params: Json) -> list[Json]:  # noqa: N802
        chat = self._chat(bot, params, is_to_write=False)
        if chat.is_private:
            raise BadRequestError("there are no administrators in the private chat")
        return admin_json(chat, self._world.users)

    def getChatMemberCount(self, bot: Account, params: Json) -> int:  # noqa: N802
        chat = self._chat(bot, params, is_to_write=False)
        return 2 if chat.is_private else sum(status not in ("left", "kicked") for status in chat.members.values())

    def leaveChat(self, bot: Account, params: Json) -> bool:  # noqa: N802
        self._chat(bot, params).members[bot.id] = "left"
        return True

    def getFile(self, bot: Account, params: Json) -> Json:  # noqa: N802
        stored = self._world.files.get(str(params.get("file_id")))
        if stored is None:
            raise BadRequestError("invalid file_id")
        if len(stored.data) > MAX_DOWNLOAD_BYTES:
            raise BadRequestError("file is too big")
        return self._world.file_fields(stored) | {"file_path": stored.path}

    # -- the rules that they share

    def _chat(self, bot: Account, params: Json, *, is_to_write: bool = True) -> Chat:
        chat = self._world.chat_for(bot, params.get("chat_id", 0))
        if chat is None:
            raise BadRequestError("chat not found")
        if chat.upgraded_to is not None and is_to_write:
            raise BadRequestError(
                "group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.upgraded_to.id
            )
        if chat.is_blocked and is_to_write:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
        if not chat.is_private and chat.members.get(bot.id, "left") in ("left", "kicked"):
            raise ApiError(403, f"Forbidden: bot is not a member of the {chat.kind} chat")
        return chat

    def _text(
        self, params: Json, name: str, entities_name: str, too_long: str, *, may_be_empty: bool = False
    ) -> tuple[str, list[Json]]:
        text, entities = str(params.get(name, "")), params.get(entities_name) or []
        if not text and not may_be_empty:
            raise BadRequestError("message text is empty")
        text_rules.check_entities(text, entities)
        limit = text_rules.MAX_TEXT_LENGTH if name == "text" else text_rules.MAX_CAPTION_LENGTH
        if text_rules.utf16_length(text) > limit:
            raise BadRequestError(too_long)
        kept, shown = text_rules.finish(text, entities)
        if not kept and not may_be_empty:
            raise BadRequestError("text must be non-empty")
        return kept, shown

    def _send_file(self, bot: Account, params: Json, kind: str) -> Json:
        text, entities = self._text(
            params, "caption", "caption_entities", "message caption is too long", may_be_empty=True
        )
        sent = params.get(kind)
        if isinstance(sent, str) and sent.startswith("attach://"):
            sent = params.get(sent.removeprefix("attach://"))
        if not isinstance(sent, tuple):
            raise BadRequestError(f"there is no {kind} in the request")
        name, mime, data = sent
        fields = self._world.file_fields(self._world.store(name, data))
        shown = {**fields, "file_name": name, "mime_type": mime}
        extra = {"document": shown} if kind == "document" else {"photo": [{**fields, "width": 90, "height": 90}]}
        return self._send(bot, params, text, entities, extra)

    def _send(self, bot: Account, params: Json, text: str, entities: list[Json], extra: Json) -> Json:
        chat = self._chat(bot, params)
        markup, thread_id = _markup(params), _thread(chat, params)
        reply_to = self._replied(bot, chat, params)
        self._pass("message", bot, chat)
        message = self._world.post(
            chat,
            bot.user,
            text,
            entities,
            markup=markup,
            reply_to=reply_to,
            thread_id=thread_id,
            extra=extra,
            params=params,
        )
        self._ledger.shown_drafts.pop(chat, None)
        self._ledger.shown_actions.pop(chat, None)
        self._note_pings(message, is_edit=False)
        return message.to_api()

    def _change(self, bot: Account, message: Message, new: Version) -> Json:
        self._pass("message", bot, message.chat)
        if (message.text, message.entities, message.markup) == (new.text, new.entities, new.markup):
            raise BadRequestError(_NOT_MODIFIED)
        message.versions.append(new)
        self._note_pings(message, is_edit=True)
        return message.to_api()

    def _own_message(self, bot: Account, chat: Chat, params: Json, verb: str) -> Message:
        message = chat.message(params.get("message_id"))
        if message is None:
            raise BadRequestError(f"message to {verb} not found")
        if message.sender.id != bot.id:
            raise BadRequestError(f"message can't be {verb}ed")
        return message

    def _replied(self, bot: Account, chat: Chat, params: Json) -> Message | None:
        reply = params.get("reply_parameters") or {"message_id": params.get("reply_to_message_id")}
        if reply.get("message_id") is None:
            return None
        there = chat if "chat_id" not in reply else self._world.chat_for(bot, reply["chat_id"])
        message = None if there is None else there.message(int(reply["message_id"]))
        may_be_gone = reply.get("allow_sending_without_reply") or params.get("allow_sending_without_reply")
        if message is None and not may_be_gone:
            raise BadRequestError("message to be replied not found")
        return message

    def _pass(self, kind: str, bot: Account, chat: Chat) -> None:
        retry_after_s = self._gate.refuse_s(kind, bot.id, chat.id, is_group=not chat.is_private)
        if retry_after_s is not None:
            raise TooManyRequestsError(retry_after_s)

    def _note_pings(self, message: Message, *, is_edit: bool) -> None:
        bots = {f"@{bot.username}".lower() for bot in self._world.accounts.values()}
        for whom in text_rules.pings(message.text, message.entities):
            if whom.lower() not in bots:
                self._ledger.pings.append(Ping(message, whom, is_edit))

    def _note_violations(self, bot: Account, method: str, params: Json) -> None:
        if "parse_mode" in params:
            self._violate(bot, method, f"parse_mode {params['parse_mode']!r}")
        num_entities = len(params.get("entities") or params.get("caption_entities") or [])
        if num_entities > text_rules.MAX_ENTITIES:
            self._violate(bot, method, f"{num_entities} entities: those after {text_rules.MAX_ENTITIES} are dropped")
        if method.lower() == "sendmessagedraft" and "reply_markup" in params:
            self._violate(bot, method, "reply_markup on a draft")

    def _violate(self, bot: Account, method: str, what: str) -> None:
        self._ledger.violations.append(Violation(bot, method, what))


def hold_key(method: str, params: Json) -> tuple[Any, bool]:
    """What a 429 for a call holds: the chat's drafts, or all else there."""
    return params.get("chat_id"), method.lower() == "sendmessagedraft"


def _scope_of(params: Json) -> tuple[str, str]:
    scope = params.get("scope") or {"type": "default"}
    return json.dumps(scope, sort_keys=True), params.get("language_code", "")


def _thread(chat: Chat, params: Json) -> int | None:
    thread_id = params.get("message_thread_id")
    if thread_id is not None and thread_id not in chat.topics:
        raise BadRequestError("message thread not found")
    return thread_id


def _markup(params: Json) -> Json | None:
    markup = params.get("reply_markup")
    if not markup:
        return None
    for button in (button for row in markup.get("inline_keyboard", []) for button in row):
        if not button.get("text"):
            raise BadRequestError("can't parse inline keyboard button: text must be non-empty")
        if len(button.keys() - {"text", "style", "icon_custom_emoji_id"}) != 1:
            raise BadRequestError("can't parse inline keyboard button: exactly one optional field must be used")
        if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
            raise BadRequestError("BUTTON_DATA_INVALID")
    return markup if markup.get("inline_keyboard") or "inline_keyboard" not in markup else None
