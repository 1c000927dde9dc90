"""Small invented files of each format, and reading them."""

import json
from pathlib import Path
from typing import Any

from finetune.importing import FORMATS, ImportOptions, Problems
from finetune.message import SourceMessage

ANN = {"id": "11", "name": "ann", "nickname": "Ann A.", "isBot": False}
BEN = {"id": "12", "name": "ben", "nickname": "ben", "isBot": False}
BOT = {"id": "13", "name": "helper", "nickname": None, "isBot": True}


def discord_message(id: int, content: str, author: dict[str, Any] = ANN, **fields: Any) -> dict[str, Any]:
    return {
        "id": str(id),
        "type": "Default",
        "timestamp": f"2024-03-01T10:00:{id % 60:02}.5+01:00",
        "content": content,
        "author": author,
        "mentions": [],
        **fields,
    }


def discord(*messages: Any, **channel: Any) -> dict[str, Any]:
    return {
        "guild": {"id": "1", "name": "garden"},
        "channel": {"id": "2", "type": "GuildTextChat", "categoryId": "3", "name": "roses", **channel},
        "messages": list(messages),
        "messageCount": len(messages),
    }


def telegram_message(id: int, text: Any, who: int = 21, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "type": "message",
        "date": "2024-03-01T10:00:00",
        "date_unixtime": str(1709283600 + id),
        "from": f"Person {who}",
        "from_id": f"user{who}",
        "text": text,
        **fields,
    }


def telegram(*messages: Any, **chat: Any) -> dict[str, Any]:
    return {"name": "garden", "type": "private_supergroup", "id": 5, **chat, "messages": list(messages)}


def write(folder: Path, name: str, content: Any) -> Path:
    """A file of bytes or text as they are, of rows as JSON Lines if it is called so, or else of one JSON value."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_bytes(content.encode())
    elif ".jsonl" in name:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
    else:
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def imported(path: Path, format: str, **options: Any) -> tuple[list[SourceMessage], Problems]:
    problems = Problems()
    messages = list(FORMATS[format].read(path, ImportOptions(**options), problems, lambda _: None))
    return messages, problems


def texts(messages: list[SourceMessage]) -> list[str]:
    return [message.text for message in messages]
