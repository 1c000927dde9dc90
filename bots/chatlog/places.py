"""What each encrypted text is bound to, so that it opens in its own place only; and which columns hold such texts.

Knows nothing of encryption, or of what the texts say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy import Column, FromClause, Table

from bots.chatlog.database import AnyRow
from bots.chatlog.schema import chats, corrections, messages, people, plugin_data, training_messages

CONTENT, PERSONA, KEYWORDS = "messages.content", "chats.persona", "chats.keywords"
CORRECTION, TRAINING, PERSON_KEY, PLUGIN_DATA = (
    "corrections.content",
    "training_messages.content",
    "people.key",
    "plugin_data.value",
)


def place(column: str, *owner: str) -> str:
    """The place of a text in a column; `owner` are the values of what it belongs to."""
    return "|".join([*(quote(part, safe="") for part in owner), column])


@dataclass(frozen=True)
class Encrypted:
    """A table with encrypted columns, all of a row under the key that its `key_id` names.

    Attributes:
        columns: Their names, and how they are called in a place.
        owner: The columns whose values a place begins with.
        source: Where to select all of them from.
    """

    table: Table
    columns: Mapping[str, str]
    owner: tuple[Column[str], ...]
    source: FromClause

    def place(self, row: AnyRow, name: str) -> str:
        """The place of one of the columns in a row that has `owner_0`, `owner_1` and so on."""
        return place(self.columns[name], *(getattr(row, f"owner_{i}") for i in range(len(self.owner))))


_in_chats = messages.join(chats, chats.c.id == messages.c.chat_id)

ENCRYPTED: tuple[Encrypted, ...] = (
    Encrypted(messages, {"content": CONTENT}, (chats.c.uuid,), _in_chats),
    Encrypted(chats, {"persona": PERSONA, "keywords": KEYWORDS}, (chats.c.uuid,), chats),
    Encrypted(
        corrections,
        {"content": CORRECTION},
        (chats.c.uuid,),
        corrections.join(messages, messages.c.id == corrections.c.message_id).join(
            chats, chats.c.id == messages.c.chat_id
        ),
    ),
    Encrypted(training_messages, {"content": TRAINING}, (training_messages.c.chat_uuid,), training_messages),
    Encrypted(people, {"key": PERSON_KEY}, (people.c.platform, people.c.user_id), people),
    Encrypted(
        plugin_data,
        {"value": PLUGIN_DATA},
        (plugin_data.c.plugin, plugin_data.c.scope, plugin_data.c.owner, plugin_data.c.key),
        plugin_data,
    ),
)
