"""The files that come with messages, from where Discord keeps them.

Knows nothing of what is in them.
"""

import aiohttp
from yarl import URL

from bots.errors import ForbiddenError, UnreachableError

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
OK, SERVER_ERROR = 200, 500


async def fetch(session: aiohttp.ClientSession, address: str, limit_bytes: int, *, api_url: str) -> bytes:
    """The first `limit_bytes` bytes of a file.

    Only from Discord's own hosts, or that of the API: nobody is to have us call what we can reach and they cannot.

    Raises:
        ForbiddenError: It is somewhere else, or gone.
        UnreachableError: No answer.
    """
    url = URL(address)
    if url.scheme not in ("http", "https") or url.host not in CDN_HOSTS | {URL(api_url).host}:
        raise ForbiddenError(f"files are read from Discord only, not from {url.host}")
    async with session.get(url, allow_redirects=False) as response:
        if response.status >= SERVER_ERROR:
            raise UnreachableError(f"HTTP {response.status} for a file", may_be_done=False)
        if response.status != OK:
            raise ForbiddenError(f"the file is not there any more: HTTP {response.status}")
        data = bytearray()
        async for piece in response.content.iter_any():
            data += piece
            if len(data) >= limit_bytes:
                break
        return bytes(data[:limit_bytes])
