"""What Discord does not do now: 429 and 5xx, read from the answer itself.

discord.py would wait and try again inside the call, with the text of then; with us, the newest text is sent when its
turn comes. So such an answer is raised before discord.py sees it, by a trace of aiohttp. Knows nothing of what was
asked for.
"""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp

from bots.errors import BotError, MessageGoneError, RateLimitedError, UnreachableError

TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500
TOO_OLD_TO_EDIT = 30046
"""The limit for edits of messages that are older than an hour; how long it lasts is not documented."""
DEFAULT_WAIT_S = 1.0
"""Where Discord does not say how long."""


def refusal(status: int, headers: Mapping[str, str], body: str) -> BotError:
    """What an answer with status 429 or 5xx means."""
    if status >= SERVER_ERROR:
        return UnreachableError(f"Discord answered HTTP {status}")
    said = _object(body)
    if said.get("code") == TOO_OLD_TO_EDIT:
        return MessageGoneError("the message is too old to be edited as often as this")
    waits = (said.get("retry_after"), headers.get("Retry-After"), headers.get("X-RateLimit-Reset-After"))
    wait_s = next((wait_s for wait_s in map(_seconds, waits) if wait_s is not None), DEFAULT_WAIT_S)
    # An answer that has not come by way of Discord's own proxy is from Cloudflare, and for our address as a whole.
    is_account_wide = bool(said.get("global")) or "X-RateLimit-Global" in headers or not headers.get("Via")
    return RateLimitedError(wait_s, is_account_wide=is_account_wide)


def raising_refusals(api_url: str) -> aiohttp.TraceConfig:
    """Lets requests to `api_url` raise what `refusal` says, and all others alone."""

    async def look(_session: aiohttp.ClientSession, _: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        response = params.response
        is_refused = response.status == TOO_MANY_REQUESTS or response.status >= SERVER_ERROR
        if is_refused and str(params.url).startswith(f"{api_url}/"):
            raise refusal(response.status, response.headers, await response.text(errors="replace"))

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(look)
    return trace


def _object(body: str) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _seconds(value: object) -> float | None:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return None
