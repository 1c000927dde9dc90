"""How python-telegram-bot reaches the Bot API: time limits, and answers that it would not tell apart.

Knows HTTP and nothing of what is said through it.
"""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from telegram import Bot, Update
from telegram.error import NetworkError, TelegramError
from telegram.request import BaseRequest, HTTPXRequest, RequestData

logger = logging.getLogger(__name__)

CALL_TIMEOUT_S = 15.0
POLL_SLACK_S = 10.0
"""How much later than asked for a held poll may be answered until it counts as lost."""

UPLOAD_TIMEOUT_S = 120.0
"""For sending a file, and as much again until it is answered: the largest one at 4 Mbit/s."""

UNSAID_RETRY_AFTER_S = 5.0


class FloodError(TelegramError):
    """429. The library's own RetryAfter warns about a setting of the environment whenever it is made."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many requests; {retry_after_s:g} s to wait")
        self.retry_after_s = retry_after_s


class ServerError(NetworkError):
    """A status of 500 and above, or an answer that is no JSON: from a proxy, or from what is no Bot API at all."""


class TooLargeError(TelegramError):
    """413, by Telegram or by a proxy before it. The library would take it for a network that fails for a moment."""

    def __init__(self) -> None:
        super().__init__("the file is larger than Telegram takes")


class Connection(HTTPXRequest):
    """A pool of connections for calls."""

    def __init__(self, *, size: int, read_timeout_s: float = CALL_TIMEOUT_S) -> None:
        super().__init__(
            connection_pool_size=size,
            read_timeout=read_timeout_s,
            write_timeout=CALL_TIMEOUT_S,
            connect_timeout=CALL_TIMEOUT_S,
            pool_timeout=CALL_TIMEOUT_S,
        )

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = BaseRequest.DEFAULT_NONE,
        connect_timeout: Any = BaseRequest.DEFAULT_NONE,
        pool_timeout: Any = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """Make a request; what the library would log as an error, or take for another one, is raised here."""
        code, body = await super().do_request(
            url, method, request_data, read_timeout, write_timeout, connect_timeout, pool_timeout
        )
        answer = _read(body)
        if code == 429:
            raise FloodError(_retry_after_s(answer))
        if code == 413:
            raise TooLargeError
        if code >= 500 or answer is None or (code < 300 and "result" not in answer):
            raise ServerError(f"{_described(answer)} (HTTP {code})")
        return code, body


class PollConnection(Connection):
    """The connection that updates are fetched through, of its own so that calls never wait for a held poll."""

    def __init__(self) -> None:
        # Two: where a poll was cut off, the next may begin before its connection is given back.
        super().__init__(size=2, read_timeout_s=POLL_SLACK_S)

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """An answer with updates. One that cannot be read is emptied: refused, it would come again for ever."""
        answer: dict[str, Any] = HTTPXRequest.parse_json_payload(payload)
        if isinstance(updates := answer.get("result"), list):
            answer["result"] = [_readable(update) for update in updates]
        return answer


def is_token(text: str) -> bool:
    """Whether `text` has the form of a token; anything else would not even make an address."""
    return re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", text) is not None


def make_bot(token: str, api_url: str) -> Bot:
    """A client of the Bot API at `api_url`, not connected yet."""
    base = api_url.rstrip("/")
    return Bot(
        token,
        base_url=f"{base}/bot",
        base_file_url=f"{base}/file/bot",
        request=Connection(size=64),
        get_updates_request=PollConnection(),
    )


@contextmanager
def hidden_in_log(token: str) -> Iterator[None]:
    """Keep the token out of what the libraries log: it stands in the address of each request."""

    def hide(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if token in message:
            record.msg, record.args = message.replace(token, "***"), ()
        return True

    loggers = [logging.getLogger(name) for name in ("httpx", "telegram.Bot")]
    for library in loggers:
        library.addFilter(hide)
    try:
        yield
    finally:
        for library in loggers:
            library.removeFilter(hide)


def readable_update(data: dict[str, Any], bot: Bot | None = None) -> Update | None:
    """The update, or None if the library cannot read it."""
    try:
        return Update.de_json(data, bot)
    except Exception:  # it reads what is foreign, and may fail anyhow
        logger.exception("update %s cannot be read and is left out", data.get("update_id"))
        return None


def _readable(data: dict[str, Any]) -> dict[str, Any]:
    return data if readable_update(data) is not None else {"update_id": data["update_id"]}


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _retry_after_s(answer: dict[str, Any] | None) -> float:
    parameters = (answer or {}).get("parameters") or {}
    retry_after = parameters.get("retry_after")
    return float(retry_after) if isinstance(retry_after, int | float) else UNSAID_RETRY_AFTER_S


def _described(answer: dict[str, Any] | None) -> str:
    return str(answer.get("description", "no reason given")) if answer else "an answer that is no JSON"
