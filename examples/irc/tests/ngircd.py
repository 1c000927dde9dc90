"""ngIRCd on a free port of this machine, as a process of its own."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

NETWORK = "TestNet"
START_WITHIN_S = 10.0


class Ngircd:
    """A server that limits nothing; runs from entering to leaving, and may be ended and started in between."""

    def __init__(self, program: str, folder: Path, *, options: str = "", ssl: str = "") -> None:
        """`options` go into the section [Global], `ssl` into [SSL], a line each; `{port}` there is the server's."""
        self.port = _free_port()
        self._program, self._config, self._log = program, folder / "ngircd.conf", folder / "ngircd.log"
        ports = "" if ssl else f"Ports = {self.port}"
        self._config.write_text(
            f"[Global]\nName = irc.test.example\nNetwork = {NETWORK}\nListen = 127.0.0.1\n{ports}\n"
            # As root it becomes somebody who may do little.
            f"MotdPhrase = hello\nServerUID = nobody\nServerGID = nogroup\n{options}\n"
            "[Limits]\nMaxConnectionsIP = 0\nMaxNickLength = 16\nMaxPenaltyTime = 0\n"
            f"[Options]\nDNS = no\nIdent = no\nPAM = no\n[SSL]\n{ssl.format(port=self.port)}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-n", "-f", str(self._config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_WITHIN_S
        while not self._listens():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline_s, self._log.read_text()
            time.sleep(0.005)  # it tells nobody when it is ready

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self) -> None:
        """End it at once; all connections break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it do nothing any more, with all connections open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
