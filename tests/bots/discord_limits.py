"""How the Discord stand-in refuses and fails: error replies, rate limits, and faults on demand.

Knows nothing of what the requests are about.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

VIA = "1.1 google"
ERRORS = {
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    30032: (400, "Maximum number of application commands reached (100)."),
    30046: (429, "Maximum number of edits to messages older than 1 hour reached. Try again later."),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50003: (403, "Cannot execute action on a DM channel"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50083: (400, "Thread is archived"),
    160002: (403, "Cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
}


@dataclass(frozen=True)
class Reply:
    """An answer to a request. A `body` that is no text is sent as JSON; None is no body."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def data(self) -> bytes:
        """The body as sent."""
        if isinstance(self.body, str | bytes):
            return self.body.encode() if isinstance(self.body, str) else self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


class ApiError(Exception):
    """A request is refused, in Discord's words."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body)
        self.reply = reply


def refusal(code: int, message: str | None = None) -> ApiError:
    """The refusal that Discord numbers `code`."""
    status, known = ERRORS[code]
    return ApiError(Reply(status, {"message": message or known, "code": code}))


def plain_refusal(status: int, message: str) -> ApiError:
    """A refusal without a number of its own, such as 401."""
    return ApiError(Reply(status, {"message": f"{status}: {message}", "code": 0}))


def invalid_form(path: str, code: str, message: str) -> ApiError:
    """The refusal of one field, named by its dotted path: 50035."""
    errors: dict[str, Any] = {"_errors": [{"code": code, "message": message}]}
    for key in reversed(path.split(".")):
        errors = {key: errors}
    return ApiError(Reply(400, {"message": "Invalid Form Body", "code": 50035, "errors": errors}))


def too_many_requests(retry_after_s: float, *, scope: str) -> Reply:
    """The genuine 429 of a bucket (`user`) or of all requests together (`global`)."""
    body = {"message": "You are being rate limited.", "retry_after": retry_after_s, "global": scope == "global"}
    headers = {"Retry-After": str(int(retry_after_s) + 1), "X-RateLimit-Scope": scope}
    if scope == "global":
        headers["X-RateLimit-Global"] = "true"
    return Reply(429, body, headers)


@dataclass
class Bucket:
    """A limit that starts anew `window_s` after the first request that it counted."""

    limit: int
    window_s: float
    started_s: float = float("-inf")
    used: int = 0

    def take(self, now_s: float) -> float:
        """Count a request. Returns 0, or in how many seconds to ask again; such a request is not counted."""
        if now_s >= self.started_s + self.window_s:
            self.started_s, self.used = now_s, 0
        if self.used >= self.limit:
            return self.reset_after_s(now_s)
        self.used += 1
        return 0.0

    def reset_after_s(self, now_s: float) -> float:
        """How long the window still lasts."""
        return round(self.started_s + self.window_s - now_s, 3) or 0.001

    def headers(self, name: str, now_s: float, wall_s: float) -> dict[str, str]:
        """What Discord says about the bucket with each answer."""
        reset_after_s = self.reset_after_s(now_s)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self.used),
            "X-RateLimit-Reset": f"{wall_s + reset_after_s:.3f}",
            "X-RateLimit-Reset-After": f"{reset_after_s:.3f}",
            "X-RateLimit-Bucket": name,
        }


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request.

    `reply` is sent instead of the true answer; with `is_lost` the connection ends without one, by a TCP reset if
    `is_reset`. `is_applied` says whether the request takes effect nevertheless. The request waits for `gate` and
    `delay_s` first.
    """

    reply: Reply | None = None
    is_applied: bool = False
    is_lost: bool = False
    is_reset: bool = False
    delay_s: float = 0.0
    gate: asyncio.Event | None = None

    @property
    def is_true(self) -> bool:
        """Whether the request is answered as if nothing were wrong."""
        return self.reply is None and not self.is_lost


def rate_limited(
    retry_after_s: float, *, is_global: bool = False, via: bool = True, content_type: str = "application/json"
) -> Fault:
    """A 429 out of the blue; without `via` or with another content type it is Cloudflare's rather than Discord's."""
    reply = too_many_requests(retry_after_s, scope="global" if is_global else "user")
    headers = reply.headers if via else reply.headers | {"Via": ""}
    return Fault(Reply(reply.status, reply.body, headers, content_type))


def status(code: int, body: Any = "<html>upstream trouble</html>", *, is_applied: bool = False) -> Fault:
    """An HTTP status such as 500 or 503, before or after the request took effect."""
    return Fault(Reply(code, body, content_type="text/html"), is_applied=is_applied)


def error(code: int, *, retry_after_s: float = 0.05) -> Fault:
    """A refusal in JSON, by Discord's number. One with status 429, such as 30046, names a wait too."""
    reply = refusal(code).reply
    if reply.status == 429:
        reply = Reply(429, reply.body | {"retry_after": retry_after_s, "global": False})
    return Fault(reply)


def reset() -> Fault:
    """The connection is reset before the request took effect."""
    return Fault(is_lost=True, is_reset=True)


def applied_then_lost() -> Fault:
    """The request takes effect, but the connection ends without an answer."""
    return Fault(is_lost=True, is_applied=True)


def applied_then(code: int) -> Fault:
    """The request takes effect, but the answer is an error such as 500."""
    return status(code, is_applied=True)


def slow(delay_s: float) -> Fault:
    """The request waits before it takes effect."""
    return Fault(delay_s=delay_s)


def held(gate: asyncio.Event) -> Fault:
    """The request waits until the test opens the gate."""
    return Fault(gate=gate)


@dataclass
class FaultRule:
    """Which requests a fault befalls, and how many more of them."""

    method: str
    route: re.Pattern[str]
    fault: Fault
    times_left: float
    when: Callable[[Any], bool]
    hits: int = 0


class Faults:
    """The faults that are to happen, in the order in which they were added."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []

    def add(
        self,
        method: str,
        route: str,
        fault: Fault,
        times: float = 1,
        when: Callable[[Any], bool] = lambda request: True,
    ) -> FaultRule:
        """Let the next `times` requests fail whose method and whole route (a regular expression) match.

        `when` looks at the `Request` too. `times=math.inf` lasts until `clear`. Returns the rule, whose `hits` count.
        """
        rule = FaultRule(method, re.compile(route), fault, times, when)
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Let everything go well again."""
        self.rules.clear()

    def take(self, request: Any) -> Fault | None:
        """The fault that befalls this request, if any."""
        for rule in self.rules:
            matches = rule.method in ("*", request.method) and rule.route.fullmatch(request.route)
            if matches and rule.times_left > 0 and rule.when(request):
                rule.times_left -= 1
                rule.hits += 1
                return rule.fault
        return None
