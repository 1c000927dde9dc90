"""A source in, a verified bundle out: the stages of an export, in order.

Each stage takes and returns files or plain values and stands in a module of its own.
"""

import copy
import logging
import re
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from engine.bundle import (
    FORMAT,
    GRAPH_NAME,
    MANIFEST_NAME,
    Bundle,
    KvDtype,
    KvInfo,
    Manifest,
    ModelInfo,
    Precision,
    SourceInfo,
    describe_file,
)
from engine.errors import BundleError, ProviderError
from engine.session import Session, choose_provider
from exporters import architectures, sources, verify
from exporters.checkpoint import Checkpoint
from exporters.errors import OutputError, PrecisionError, SourceError, disk_full_reported
from exporters.optimise import optimise
from exporters.progress import Progress
from exporters.quantise import SCHEMES, count_matrices, quantise
from exporters.staging import publish, staging_dir
from exporters.tracing import FLOAT_TYPES, count_layer_runs, trace
from exporters.vocabulary import Vocabulary, read_vocabulary

NUM_STAGES = sources.NUM_STAGES + 5
KV_TYPES: dict[str, KvDtype] = {"fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Recipe:
    """How to export.

    Attributes:
        context: Longest sequence that the graph shall serve, in tokens; the model's own limit if smaller.
        max_perplexity_ratio: Replaces the precision's tolerance; None keeps it.
        evaluation_tokens: About how much of the shipped text is used to measure perplexity.
    """

    precision: Precision = "int8"
    provider: Literal["cpu", "cuda"] = "cpu"
    context: int = 8192
    max_perplexity_ratio: float | None = None
    evaluation_tokens: int = 6000

    @property
    def tolerance(self) -> verify.Tolerance:
        """What this export may lose."""
        usual = verify.TOLERANCES[self.precision]
        ratio = self.max_perplexity_ratio or usual.perplexity_ratio
        return verify.Tolerance(usual.logit_difference, ratio)

    @property
    def scheme(self) -> str:
        """How weights are held, in one line."""
        if self.precision in SCHEMES:
            return SCHEMES[self.precision].description
        return f"weights and cache in {self.precision}"


@dataclass(frozen=True)
class _Loaded:
    """A checkpoint in memory, in fp32."""

    model: Any
    tokenizer: Any
    vocabulary: Vocabulary
    info: ModelInfo


def export(
    source: str,
    out: Path,
    recipe: Recipe,
    *,
    cache: Path,
    progress: Progress,
    hub_url: str | None = None,
    force: bool = False,
) -> Bundle:
    """Write a servable bundle. `out` appears whole and verified, or not at all.

    If `out` already holds the bundle of this source and recipe, nothing is done.

    Raises:
        ExportError: One of its kinds; the message says what to do. `out` is as it was.
    """
    _require_possible(recipe)
    with disk_full_reported(out.parent), staging_dir(out) as work:
        checkpoint = sources.resolve(source, work, cache, progress, hub_url=hub_url)
        existing = _existing(out, checkpoint, recipe, force)
        if existing is not None:
            return existing
        with progress.stage("load the checkpoint"):
            loaded = _load(checkpoint, recipe)
        folder = work / "bundle"
        folder.mkdir()
        _build(loaded, recipe, checkpoint, work, folder, progress)
        publish(folder, out)
    return Bundle.open(out)


def _build(
    loaded: _Loaded, recipe: Recipe, checkpoint: Checkpoint, work: Path, folder: Path, progress: Progress
) -> None:
    """All that happens between loading and publishing."""
    providers = [choose_provider(recipe.provider)]
    tolerance = recipe.tolerance
    info = loaded.info
    texts = verify.evaluation_texts(loaded.tokenizer, min(info.context, 1024), recipe.evaluation_tokens)
    num_tokens = sum(map(len, texts))

    with progress.stage("trace the graph and optimise it", count_layer_runs(info.layers), "layer") as bar:
        traced = work / "traced.onnx"
        model = loaded.model
        if recipe.precision in KV_TYPES:  # a copy, for the reference keeps its fp32 weights
            model = copy.deepcopy(model).to(FLOAT_TYPES[recipe.precision])
        trace(model, traced, context=info.context, tolerance=tolerance.logit_difference, advance=bar.update)
        quantised = recipe.precision in SCHEMES
        graph = optimise(traced, (work if quantised else folder) / GRAPH_NAME, providers=providers)

    with progress.stage("check the graph against torch", num_tokens, "token") as bar:
        parity = verify.check_parity(loaded.model, _session(graph, info, recipe), texts, tolerance.logit_difference)
        reference = verify.score(lambda ids: verify.torch_logits(loaded.model, ids), texts, bar.update)

    with progress.stage(f"make {recipe.precision} weights", count_matrices(graph), "matrix") as bar:
        if quantised:
            graph = quantise(graph, folder / GRAPH_NAME, SCHEMES[recipe.precision], bar.update)

    with progress.stage("measure perplexity", num_tokens, "token") as bar:
        session = _session(graph, info, recipe)
        score = verify.score(lambda ids: verify.session_logits(session, ids), texts, bar.update)
        evaluation = verify.judge(score, reference, parity, tolerance.perplexity_ratio)

    loaded.vocabulary.write(folder)
    manifest = Manifest(
        format=FORMAT,
        name=f"{_slug(checkpoint.source)}-{recipe.precision}",
        precision=recipe.precision,
        scheme=recipe.scheme,
        provider=recipe.provider,
        model=info,
        kv=KvInfo(layout="slots", dtype=KV_TYPES.get(recipe.precision, "float32")),
        tokens=loaded.vocabulary.tokens,
        source=_source_info(checkpoint),
        evaluation=evaluation,
        exported_with=_versions(),
        files={path.name: describe_file(path) for path in sorted(folder.iterdir())},
    )
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")


def _require_possible(recipe: Recipe) -> None:
    """Refuse a combination that could not be verified on this machine."""
    if recipe.precision == "bf16" and recipe.provider == "cpu":
        raise PrecisionError(
            "ONNX Runtime has no bf16 kernels for the CPU; use --precision int8 or fp32, or --provider cuda"
        )
    try:
        choose_provider(recipe.provider)
    except ProviderError as error:
        raise PrecisionError(str(error)) from error


def _existing(out: Path, checkpoint: Checkpoint, recipe: Recipe, force: bool) -> Bundle | None:
    """The bundle at `out` if it is what this export would make; None if there is room for a new one.

    Raises:
        OutputError: There is something else.
    """
    if force or not out.exists():
        return None
    try:
        bundle = Bundle.open(out)
    except BundleError as error:
        raise OutputError(f"{out} exists and is no intact bundle; remove it, or use --force") from error
    manifest = bundle.manifest
    found = (manifest.source, manifest.scheme, manifest.provider)
    if found == (_source_info(checkpoint), recipe.scheme, recipe.provider):
        return bundle
    raise OutputError(
        f"{out} holds {manifest.name} from {manifest.source.name} ({manifest.scheme}); "
        "choose another OUT, or use --force"
    )


def _load(checkpoint: Checkpoint, recipe: Recipe) -> _Loaded:
    path = checkpoint.path
    transformers.logging.set_verbosity_error()
    logging.getLogger("optimum").setLevel(logging.ERROR)
    try:
        config = AutoConfig.from_pretrained(path)
        architectures.require_supported(config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
            tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{checkpoint.source} cannot be loaded: {error}") from error
    model.eval()
    sizes = architectures.dimensions(config)
    info = ModelInfo(
        architecture=config.model_type,
        layers=sizes.layers,
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_size=sizes.head_size,
        vocabulary=sizes.vocabulary,
        context=min(sizes.context, recipe.context),
        parameters=model.num_parameters(),
    )
    return _Loaded(model, tokenizer, read_vocabulary(tokenizer, _generation_config(path)), info)


def _generation_config(path: Path) -> Any:
    try:
        return GenerationConfig.from_pretrained(path)
    except OSError:  # many fine-tuned folders have none
        return GenerationConfig()


def _session(graph: Path, info: ModelInfo, recipe: Recipe) -> Session:
    rows = len(verify.PARITY_LENGTHS)
    return Session(
        graph,
        info,
        KV_TYPES.get(recipe.precision, "float32"),
        num_slots=rows,
        max_batch=rows,
        length=info.context,
        threads=0,
        provider=recipe.provider,
    )


def _source_info(checkpoint: Checkpoint) -> SourceInfo:
    return SourceInfo(name=checkpoint.source, provenance=checkpoint.provenance, checkpoint_sha256=checkpoint.digest)


def _slug(source: str) -> str:
    """A short name for a bundle, from the last part of its source."""
    last = Path(source.partition("@")[0]).name.removesuffix(".gguf")
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-") or "model"


def _versions() -> dict[str, str]:
    names = ("mynah", "torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # onnxruntime-gpu instead of onnxruntime
            continue
    return found
