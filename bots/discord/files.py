"""The files that come with messages, from where Discord keeps them, and those that go there.

Knows nothing of what is in them.
"""

import io
import re

import aiohttp
import discord
from yarl import URL

from bots.errors import ForbiddenError, UnreachableError, UnsupportedError

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
OK, SERVER_ERROR = 200, 500
MAX_BYTES = discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES
"""What Discord takes where nobody has paid for more."""


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


def check_size(name: str, data: bytes, limit_bytes: int) -> None:
    """Refuse a file that Discord would refuse.

    Raises:
        UnsupportedError: It is too large.
    """
    if len(data) > limit_bytes:
        size, limit = len(data) / 2**20, limit_bytes / 2**20
        raise UnsupportedError(f"{name} has {size:.1f} MB, and Discord takes {limit:.0f} MB at most")


def upload(name: str, data: bytes) -> discord.File:
    """A file on its way; discord.py closes it, so that each try needs one of its own."""
    # discord.py writes the name into the request as it is.
    return discord.File(io.BytesIO(data), re.sub(r'[\x00-\x1f\x7f"/\\]', "_", name) or "file")
