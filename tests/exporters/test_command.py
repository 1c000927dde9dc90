"""`python -m exporters` as an operator runs it: what it says, what it leaves behind, what it never does twice."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, OPTConfig, OPTForCausalLM

from engine.bundle import Bundle
from exporters import PrecisionError, ToleranceError, pipeline
from exporters.__main__ import main
from exporters.pipeline import Recipe
from exporters.progress import Progress
from tests.tiny_models import save_checkpoint, save_tokenizer

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test writes to the user's cache."""
    monkeypatch.setenv("EXPORTERS_CACHE_DIR", str(tmp_path / "cache"))


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that says what went wrong."""
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def _start(*arguments: str, limit_bytes: int | None = None) -> "subprocess.Popen[str]":
    def limit() -> None:
        if limit_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail instead of killing
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, "-m", "exporters", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,  # noqa: PLW1509  nothing else runs in the test's process
    )


def _left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_source_that_is_nothing_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smollm2-135m-instrct", str(tmp_path / "out" / "bundle")]) == 1
    assert "smollm2-135m-instruct" in _error(capsys), "it names the nearest"
    assert _left_behind(tmp_path / "out") == []


def test_an_unsupported_architecture_names_those_that_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = OPTConfig(vocab_size=512, hidden_size=32, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2)
    OPTForCausalLM(config).save_pretrained(tmp_path / "opt")
    save_tokenizer(tmp_path / "opt")
    assert main([str(tmp_path / "opt"), str(tmp_path / "out")]) == 1
    line = _error(capsys)
    assert "'opt'" in line
    assert "qwen3" in line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"head_dim": 24}, "head size 24"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
    ],
)
def test_what_the_operator_cannot_do_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], named: str
) -> None:
    folder = save_checkpoint("llama", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    assert main([str(folder), str(tmp_path / "out")]) == 1
    assert named in _error(capsys)


def test_bf16_for_the_cpu_and_cuda_without_cuda_are_refused_before_anything_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smollm2-135m-instruct", str(tmp_path / "out"), "--precision", "bf16"]) == 1
    assert "bf16" in _error(capsys)
    assert main(["smollm2-135m-instruct", str(tmp_path / "out"), "--provider", "cuda"]) == 1
    assert "onnxruntime" in _error(capsys)
    assert not (tmp_path / "cache").exists()


def test_something_else_at_out_is_left_alone(
    tmp_path: Path, checkpoints: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    for force in ([], ["--force"]):
        assert main([str(checkpoints()), str(out), *force]) == 1
        assert "no bundle" in _error(capsys)
    assert (out / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_the_source_itself_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], force: list[str]
) -> None:
    folder = save_checkpoint("llama", tmp_path / "home" / "model")
    (tmp_path / "home" / "bundle.json").write_text("{}")
    for out in (folder, folder.parent):
        assert main([str(folder), str(out), *force]) == 1
        assert "source itself" in _error(capsys)
    assert (folder / "config.json").exists()


def test_a_link_or_file_at_out_is_left_alone(
    tmp_path: Path, checkpoints: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("precious")
    for name in ("link", "file"):
        assert main([str(checkpoints()), str(tmp_path / name), "--force"]) == 1
        assert "no folder" in _error(capsys)
    assert (tmp_path / "file").read_text() == "precious"


def _without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def _with_constant_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("Hello!")


def _with_broken_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for %}")


def _without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def _with_larger_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"word-{i}" for i in range(9)])
    tokenizer.save_pretrained(folder)


def _with_no_heads(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 0}))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_without_a_weight, "lacks 1 of the model's weights, for instance model.layers.1.mlp.up_proj.weight"),
        (_truncated, "cannot be loaded"),
        (_with_constant_template, "leaves out what people say"),
        (_with_broken_template, "cannot be loaded"),
        (_without_tokenizer, "has no tokenizer.json"),
        (_with_larger_tokenizer, "tokeniser of 521 tokens for a model of 512"),
        (_with_no_heads, ""),
    ],
)
def test_a_damaged_checkpoint_is_one_line_and_never_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], named: str
) -> None:
    folder = save_checkpoint("llama", tmp_path / "model")
    damage(folder)
    assert main([str(folder), str(tmp_path / "out")]) == 1
    assert named in _error(capsys)
    assert not (tmp_path / "out").exists()


def test_another_context_is_another_export(
    tmp_path: Path, checkpoints: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(checkpoints()), str(tmp_path / "out"), "--precision", "fp32"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--context", "128"]) == 1
    assert "context 256" in _error(capsys)
    assert main([*arguments[:1], str(tmp_path / "short"), "--context", "32"]) == 1
    assert "32 tokens" in _error(capsys)


def test_the_same_export_again_does_nothing_and_another_precision_is_refused_unless_forced(
    tmp_path: Path, checkpoints: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()  # an empty folder is as good as none
    arguments = [str(checkpoints()), str(out), "--precision", "fp32"]
    assert main(arguments) == 0
    first = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == first
    int8 = [*arguments[:2], "--precision", "int8", "--max-perplexity-ratio", "2"]
    assert main(int8) == 1
    assert main([*int8, "--force"]) == 0
    assert Bundle.open(out).manifest.precision == "int8"
    assert [name for name in _left_behind(tmp_path) if name.startswith(".")] == []


def test_a_missed_tolerance_is_an_error_and_nothing_is_published(
    tmp_path: Path, checkpoints: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(checkpoints()), str(out), "--precision", "int4", "--max-perplexity-ratio", "0.5"]) == 1
    assert "perplexity" in _error(capsys)
    assert not out.exists()


def test_a_graph_that_differs_from_the_checkpoint_is_refused(
    tmp_path: Path, checkpoints: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rotary tables of a checkpoint that was tampered with between loading and tracing."""
    from exporters import architectures

    honest = architectures.rotary_tables

    def shifted(model: Any, context: int) -> Any:
        return {name: (sin, cos) for name, (cos, sin) in honest(model, context).items()}

    monkeypatch.setattr(architectures, "rotary_tables", shifted)
    progress = Progress(pipeline.NUM_STAGES)
    with pytest.raises(ToleranceError):
        pipeline.export(
            str(checkpoints()), tmp_path / "out", Recipe(precision="fp32"), cache=tmp_path, progress=progress
        )


def test_fp16_weights_and_cache_export_and_run_on_the_cpu(tmp_path: Path, checkpoints: Callable[..., Path]) -> None:
    recipe = Recipe(precision="fp16", evaluation_tokens=600)
    bundle = pipeline.export(
        str(checkpoints()), tmp_path / "out", recipe, cache=tmp_path, progress=Progress(pipeline.NUM_STAGES)
    )
    assert bundle.manifest.kv.dtype == "float16"
    assert bundle.manifest.evaluation.perplexity == pytest.approx(bundle.manifest.evaluation.perplexity_fp32, rel=0.01)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, checkpoints: Callable[..., Path]) -> None:
    out = tmp_path / "bundles" / "out"
    process = _start(str(checkpoints()), str(out), "--precision", "fp32", limit_bytes=100_000)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert errors.splitlines()[-1].startswith("error: no space left"), errors
    assert "Traceback" not in errors
    assert _left_behind(out.parent) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_export_leaves_no_bundle_and_can_be_repeated(
    tmp_path: Path, checkpoints: Callable[..., Path], number: int, code: int
) -> None:
    out = tmp_path / "bundles" / "out"
    arguments = (str(checkpoints()), str(out), "--precision", "fp32")
    process = _start(*arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[4/"):
            process.send_signal(number)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert not out.exists()
    again = _start(*arguments)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert _left_behind(out.parent) == ["out"]


def test_inspect_explains_a_checkpoint_and_a_bundle(
    checkpoints: Callable[..., Path], bundles: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(checkpoints())]) == 0
    of_checkpoint = capsys.readouterr().out
    for expected in ("llama", "model.layers.*.self_attn.q_proj.weight", "64x64", "3 x 4,096", "tied"):
        assert expected in of_checkpoint
    assert main(["inspect", str(bundles())]) == 0
    of_bundle = capsys.readouterr().out
    for expected in (Bundle.open(bundles()).version, "GroupQueryAttention", "768 bytes a token", "past_key_values.0"):
        assert expected in of_bundle


def test_precision_errors_are_export_errors_of_their_own_kind(tmp_path: Path) -> None:
    with pytest.raises(PrecisionError):
        pipeline.export("x", tmp_path, Recipe(precision="bf16"), cache=tmp_path, progress=Progress(pipeline.NUM_STAGES))
