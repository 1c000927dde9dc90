"""Every way to name a checkpoint, and every way in which a hub fails, by a hub on loopback."""

import hashlib
import http.server
import json
import pickle
import re
import shutil
import socket
import threading
from pathlib import Path

import pytest
import requests
import torch
from huggingface_hub import constants
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils import reset_sessions
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from exporters.checkpoint import digest_checkpoint
from exporters.errors import DiskFullError, ExportError, SourceError, SourceUnreachableError
from exporters.progress import Progress
from exporters.sources import HUB_EXCEPTIONS, NUM_STAGES, classify, hub_error, resolve
from tests.exporters.disk import largest_file

REPO = "tiny/llama"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny llama, in safetensors, with a fast tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocab = {char: number for number, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))  # vocab.json and merges.txt
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    return folder


class Hub(http.server.ThreadingHTTPServer):
    """As much of a model hub as snapshot_download asks for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.files: dict[str, bytes] = {}
        self.status = 200
        """What every request is answered with, unless it is 200."""
        self.token: str | None = None
        """If set, requests need it."""
        self.cut_off: set[str] = set()
        """Files whose second half is never sent."""
        self.short: set[str] = set()
        """Files that are sent as if they ended early."""
        self.downloads: list[str] = []


class _HubHandler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._route(with_body=False)

    def do_GET(self) -> None:
        self._route(with_body=True)

    def _route(self, with_body: bool) -> None:
        hub = self.server
        repo, _, file = self.path.strip("/").partition(f"/resolve/{COMMIT}/")
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._answer(403, {"X-Error-Code": "GatedRepo"}, b"{}", with_body)
        elif hub.status != 200:
            self._answer(hub.status, {}, b"{}", with_body)
        elif self.path.startswith(f"/api/models/{REPO}/revision/"):
            self._info(with_body)
        elif repo == REPO and file in hub.files:
            self._file(file, with_body)
        else:
            self._answer(404, {"X-Error-Code": "RepoNotFound"}, b"{}", with_body)

    def _info(self, with_body: bool) -> None:
        if self.path.rpartition("/")[2] not in {"main", "v1", COMMIT}:
            self._answer(404, {"X-Error-Code": "RevisionNotFound"}, b"{}", with_body)
            return
        siblings = [{"rfilename": name} for name in self.server.files]
        body = json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings}).encode()
        self._answer(200, {}, body, with_body)

    def _file(self, name: str, with_body: bool) -> None:
        body = self.server.files[name]
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if not with_body:
            self._answer(200, headers, body, with_body)
            return
        self.server.downloads.append(name)
        if name in self.server.short:
            body = body[: len(body) // 2]
        if name in self.server.cut_off:
            self.server.status = 410  # what the library gets when it asks for the rest
            self._answer(200, headers | {"Content-Length": str(len(body))}, body[: len(body) // 2], with_body)
        else:
            self._answer(200, headers, body, with_body)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, with_body: bool) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(checkpoint, tmp_path, monkeypatch):
    """A running hub with the tiny llama, and a cache of its own for the hub library."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "")
    reset_sessions()
    server = Hub()
    server.files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    server.files |= {"README.md": b"# Tiny", "onnx/config.json": b"{}", "consolidated.safetensors": b"twice"}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    reset_sessions()


def find(source: str | Path, tmp_path: Path, hub_url: str | None = None):
    return resolve(str(source), tmp_path / "work", tmp_path / "cache", Progress(NUM_STAGES), hub_url=hub_url)


def one_line(error: pytest.ExceptionInfo[ExportError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# --- folders and names ---------------------------------------------------------------------------


def test_a_folder_is_used_where_it_is(checkpoint, tmp_path):
    found = find(checkpoint, tmp_path)
    assert found.path == checkpoint and found.source == str(checkpoint)
    assert found.digest == digest_checkpoint(checkpoint)


def test_the_digest_follows_the_weights_and_the_template_but_not_the_readme(checkpoint, tmp_path):
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    before = digest_checkpoint(copy)
    (copy / "README.md").write_text("hello")
    assert digest_checkpoint(copy) == before == digest_checkpoint(checkpoint)
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    with_template = digest_checkpoint(copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert len({before, with_template, digest_checkpoint(copy)}) == 3


def test_pickled_weights_and_a_slow_tokenizer_are_rewritten_in_the_work_folder(checkpoint, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for name in ("config.json", "vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(checkpoint / name, old)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    torch.save(model.state_dict(), old / "pytorch_model.bin")
    found = find(old, tmp_path)
    assert found.path.parent == tmp_path / "work"
    assert (found.path / "model.safetensors").is_file() and (found.path / "tokenizer.json").is_file()
    again = AutoModelForCausalLM.from_pretrained(found.path)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())
    tokens = AutoTokenizer.from_pretrained(found.path)("hi 12").input_ids
    assert tokens == AutoTokenizer.from_pretrained(checkpoint)("hi 12").input_ids


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.path,)


def test_pickled_weights_that_run_code_are_refused_and_run_nothing(checkpoint, tmp_path):
    shutil.copy(checkpoint / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Trap(tmp_path / "sprung")}))
    with pytest.raises(SourceError, match="weights_only=True") as error:
        find(tmp_path, tmp_path)
    assert "convert them where they were made" in one_line(error)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no config\.json"),
        ({"config.json": "{"}, "not readable as JSON"),
        ({"config.json": "{}"}, "no model_type"),
        ({"config.json": '{"model_type": "llama"}'}, "no weights"),
        (
            {
                "config.json": '{"model_type": "llama"}',
                "model-1.safetensors": "",
                "model.safetensors.index.json": json.dumps(
                    {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
                ),
            },
            r"lacks model-2\.safetensors",
        ),
    ],
)
def test_a_folder_that_is_no_whole_checkpoint_is_refused(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=message) as error:
        find(tmp_path, tmp_path)
    one_line(error)


def test_a_misspelt_name_gets_the_nearest_model_and_the_list_of_what_is_accepted(tmp_path):
    with pytest.raises(SourceError, match="did you mean smollm2-135m-instruct") as error:
        find("smollm2-135-instruct", tmp_path)
    assert "owner/name@revision" in one_line(error) and "config.json" in str(error.value)


@pytest.mark.parametrize("source", ["./missing", "/no/such/folder", "models/missing.gguf", "~/missing"])
def test_what_looks_like_a_path_and_is_none_never_reaches_the_hub(source):
    with pytest.raises(SourceError, match="no file, folder or model is called"):
        classify(source)


def test_a_folder_goes_before_a_wheel_of_the_same_name_and_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert classify("smollm2-135m-instruct") == "wheel"
    assert classify(REPO) == "hub"
    (tmp_path / "smollm2-135m-instruct").mkdir()
    (tmp_path / REPO).mkdir(parents=True)
    assert classify("smollm2-135m-instruct") == classify(REPO) == "folder"


# --- the hub -------------------------------------------------------------------------------------


def test_a_hub_model_is_fetched_once_without_what_is_not_needed(hub, checkpoint, tmp_path):
    found = find(REPO, tmp_path, hub.url)
    assert found.digest == digest_checkpoint(checkpoint)
    assert found.provenance == f"hub {REPO}@{COMMIT}"
    assert not {"README.md", "onnx/config.json", "consolidated.safetensors"} & set(hub.downloads)
    before = list(hub.downloads)
    assert find(f"{REPO}@v1", tmp_path, hub.url).digest == found.digest
    assert hub.downloads == before


def test_pickled_weights_are_fetched_only_where_there_are_no_safetensors(hub, checkpoint, tmp_path):
    hub.files["pytorch_model.bin"] = b"not wanted"
    find(REPO, tmp_path, hub.url)
    assert "pytorch_model.bin" not in hub.downloads
    shutil.rmtree(constants.HF_HUB_CACHE)
    del hub.files["model.safetensors"]
    torch.save(AutoModelForCausalLM.from_pretrained(checkpoint).state_dict(), tmp_path / "w.bin")
    hub.files["pytorch_model.bin"] = (tmp_path / "w.bin").read_bytes()
    assert (find(REPO, tmp_path, hub.url).path / "model.safetensors").is_file()


def test_a_model_in_the_hub_cache_is_used_while_the_hub_is_down(hub, tmp_path):
    found = find(REPO, tmp_path, hub.url)
    hub.status = 500
    assert find(REPO, tmp_path, hub.url) == found


@pytest.mark.parametrize("name", ["tiny/unknown", f"{REPO}@v9"])
def test_an_unknown_model_or_revision_is_wrong_input(hub, tmp_path, name):
    with pytest.raises(SourceError, match=r"HTTP 404.*check the name") as error:
        find(name, tmp_path, hub.url)
    assert name in one_line(error)


def test_a_gated_model_asks_for_the_licence_and_the_token_and_then_works(hub, tmp_path, monkeypatch):
    hub.token = "hf_secret"
    with pytest.raises(SourceError, match=r"accept the licence.*HF_TOKEN") as error:
        find(REPO, tmp_path, hub.url)
    one_line(error)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    find(REPO, tmp_path, hub.url)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, SourceError), (403, SourceError), (500, SourceUnreachableError), (503, SourceUnreachableError)],
)
def test_a_hub_that_answers_with_an_error_is_told_apart_by_its_status(hub, tmp_path, status, kind):
    hub.status = status
    with pytest.raises(kind, match=f"HTTP {status}") as error:
        find(REPO, tmp_path, hub.url)
    one_line(error)


def test_a_hub_that_refuses_connections_is_unreachable_and_another_source_is_named(hub, tmp_path):
    with socket.socket() as unused:  # bound but not listening
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnreachableError, match=r"no connection.*smollm2-135m-instruct") as error:
            find(REPO, tmp_path, f"http://127.0.0.1:{unused.getsockname()[1]}")
    one_line(error)


def test_offline_mode_without_a_cached_model_says_so(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    reset_sessions()
    with pytest.raises(SourceUnreachableError, match="HF_HUB_OFFLINE") as error:
        find(REPO, tmp_path, hub.url)
    one_line(error)
    assert hub.downloads == []


@pytest.mark.parametrize("fault", ["cut_off", "short"])
def test_a_download_that_breaks_off_is_reported_and_made_good_the_next_time(hub, checkpoint, tmp_path, fault):
    getattr(hub, fault).add("model.safetensors")
    with pytest.raises(SourceUnreachableError, match="try again") as error:
        find(REPO, tmp_path, hub.url)
    one_line(error)
    getattr(hub, fault).clear()
    hub.status = 200
    assert find(REPO, tmp_path, hub.url).digest == digest_checkpoint(checkpoint)


def test_a_disk_that_fills_up_while_downloading_is_reported(hub, tmp_path):
    hub.files["model.safetensors"] += bytes(500_000)
    with largest_file(400_000), pytest.raises(DiskFullError, match="hub-cache") as error:
        find(REPO, tmp_path, hub.url)
    one_line(error)


def hub_exceptions() -> list[type[Exception]]:
    """All that huggingface_hub defines, but for what a download has no part in; and what requests adds."""
    others = r"Inference|Safetensors|TextGen|Generation|Overloaded|Unknown|^Validation|DDUF|Strict|Cache"
    classes = [each for each in vars(hub_errors).values() if isinstance(each, type)]
    own = [each for each in classes if issubclass(each, Exception) and not re.search(others, each.__name__)]
    return [*own, *requests.RequestException.__subclasses__(), TimeoutError, RuntimeError]


@pytest.mark.parametrize("kind", hub_exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception_of_the_hub_library_becomes_one_line_of_ours(kind):
    takes_response = issubclass(kind, hub_errors.HfHubHTTPError)
    if takes_response and kind is not hub_errors.LocalEntryNotFoundError:
        response = requests.Response()
        response.status_code = 418
        exc = kind("teapot\n\nshort", response=response)
    else:
        exc = kind("went\nwrong")
    assert isinstance(exc, HUB_EXCEPTIONS)
    ours = hub_error(exc, REPO, "http://127.0.0.1:1")
    assert isinstance(ours, SourceError | SourceUnreachableError)
    assert REPO in str(ours) and "\n" not in str(ours)
