"""Files from the Bot API: the beginning of one, and no more of it than was asked for.

The library reads files whole. The address holds the token, so nothing of it gets into an error.
"""

import asyncio

import aiohttp

from bots.errors import BotError, UnreachableError, UnsupportedError

TIMEOUT_S = 60.0
CHUNK_BYTES = 65536


async def download(url: str, limit_bytes: int) -> bytes:
    """Fetch at most `limit_bytes` bytes."""
    if not url.startswith(("http://", "https://")):
        raise UnsupportedError("the Bot API server keeps its files to itself; start it without --local")
    data = bytearray()
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            aiohttp.ClientSession(trust_env=True) as session,
            session.get(url) as got,
        ):
            if got.status >= 500:
                raise UnreachableError(f"HTTP {got.status} for a file")
            if got.status != 200:
                raise BotError(f"Telegram does not hand out a file: HTTP {got.status}")
            while len(data) < limit_bytes and (chunk := await got.content.read(min(CHUNK_BYTES, limit_bytes))):
                data += chunk
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise UnreachableError(f"{type(exc).__name__} while fetching a file") from None
    return bytes(data[:limit_bytes])
