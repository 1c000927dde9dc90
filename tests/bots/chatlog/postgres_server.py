"""A PostgreSQL server for the tests, from whatever the machine has installed."""

import asyncio
import contextlib
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg

USER = "mynah"

# Ends the server, and removes its folder, when our end of the pipe closes: by itself if the tests are killed.
KEEPER = """
"$@" &
server=$!
cat > /dev/null
kill -INT $server
wait $server
rm -rf "$0"
"""


class PostgresServer:
    """A running server; `new_database` makes an empty database in it."""

    def __init__(self, port: int) -> None:
        self.port, self._numbers = port, itertools.count()

    def url(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """Make an empty database; returns its URL."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        asyncio.run(self._execute(f"CREATE DATABASE {name}"))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        asyncio.run(self._execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)"))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def find_binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, if PostgreSQL is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if config := shutil.which("pg_config"):
        found = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(found.stdout.strip()))
    if ctl := shutil.which("pg_ctl"):
        folders.append(Path(ctl).resolve().parent)
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


@contextlib.contextmanager
def running_server(binaries: Path) -> Iterator[PostgresServer]:
    """Start a server in a new folder, and end it with its folder."""
    user = _user()
    # Not pytest's folder: only we may enter that one, and root's server runs as somebody else.
    folder = Path(tempfile.mkdtemp(prefix="mynah-postgres-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, log = folder / "data", folder / "log"
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        made = subprocess.run(
            [binaries / "initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync", "--encoding=UTF8"],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
            **as_user,
        )
        assert made.returncode == 0, made.stderr
        port = _free_port()
        options = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "50"}
        options |= {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(folder)}
        with log.open("w") as out:
            process = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, folder, binaries / "postgres", "-D", data]
                + [f"-c{name}={value}" for name, value in options.items()],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                cwd="/",
                env=environment,
                **as_user,
            )
        try:
            server = PostgresServer(port)
            asyncio.run(_until_ready(server, log))
            yield server
        finally:
            process.communicate(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> pwd.struct_passwd | None:
    """Whom to run the server as; None for ourselves. It refuses to run as root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("neither a user postgres nor nobody")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def _until_ready(server: PostgresServer, log: Path) -> None:
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    connection = await asyncpg.connect(server.url("postgres"))
                    return await connection.close()
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(log.read_text()) from None  # noqa: ASYNC240 - nothing else runs
