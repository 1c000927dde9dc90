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
from exporters.errors import (
    ExportError,
    OutputError,
    PrecisionError,
    SourceError,
    UnsupportedModelError,
    disk_full_reported,
    is_disk_full,
)
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
        ratio = usual.perplexity_ratio if self.max_perplexity_ratio is None else self.max_perplexity_ratio
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
    out = out.absolute()  # not resolved: a link stays what it is
    _require_replaceable(out, source, force)
    with disk_full_reported(out.parent), staging_dir(out) as work:
        checkpoint = sources.resolve(source, work, cache, progress, hub_url=hub_url)
        if out.exists() and not force:
            return _same_bundle(out, checkpoint, recipe)
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


def _require_replaceable(out: Path, source: str, force: bool) -> None:
    """Refuse an OUT that may not give way, before anything is fetched.

    Even `force` replaces a bundle only, intact or damaged: what else stands there is not ours to delete.
    """
    if not out.name or out.is_symlink() or (out.exists() and not out.is_dir()):
        raise OutputError(f"{out} is no folder that a bundle could stand in; choose another OUT")
    if out.exists() and Path(source).resolve().is_relative_to(out.resolve()):
        raise OutputError(f"{out} holds the source itself; choose another OUT")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST_NAME).exists():
        raise OutputError(f"{out} exists and is no bundle; remove it, or choose another OUT")
    if out.exists() and not force:
        try:
            Bundle.open(out)
        except BundleError as error:
            raise OutputError(f"{out} exists and is no intact bundle; remove it, or use --force") from error


def _same_bundle(out: Path, checkpoint: Checkpoint, recipe: Recipe) -> Bundle:
    """The bundle at `out`, if it is what this export would make.

    Raises:
        OutputError: It is another one.
    """
    bundle = Bundle.open(out)
    manifest, figures = bundle.manifest, bundle.manifest.evaluation
    context = min(architectures.dimensions(AutoConfig.from_pretrained(checkpoint.path)).context, recipe.context)
    wanted = (checkpoint.digest, recipe.scheme, recipe.provider, context)
    found = (manifest.source.checkpoint_sha256, manifest.scheme, manifest.provider, manifest.model.context)
    if wanted == found and figures.perplexity <= recipe.tolerance.perplexity_ratio * figures.perplexity_fp32:
        return bundle
    raise OutputError(
        f"{out} holds {manifest.name} from {manifest.source.name} ({manifest.scheme}, context "
        f"{manifest.model.context}); choose another OUT, or use --force"
    )


def _load(checkpoint: Checkpoint, recipe: Recipe) -> _Loaded:
    transformers.logging.set_verbosity_error()
    logging.getLogger("optimum").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(checkpoint, recipe)
    except ExportError:
        raise
    except Exception as error:  # what transformers, safetensors, tokenizers and jinja raise shares no base class
        if is_disk_full(error):
            raise
        reason = str(error) or type(error).__name__
        raise SourceError(f"{checkpoint.source} cannot be loaded: {reason[:300]}") from error


def _read(checkpoint: Checkpoint, recipe: Recipe) -> _Loaded:
    """Load config, weights and tokeniser; a model's own code is never run."""
    path = checkpoint.path
    config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    architectures.require_supported(config)
    model, report = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager", trust_remote_code=False, output_loading_info=True
    )
    # transformers fills what is missing with random numbers, and no later check could tell.
    lacking = sorted((*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])))
    if lacking:
        raise SourceError(
            f"{checkpoint.source} lacks {len(lacking)} of the model's weights, for instance {lacking[0]}; "
            "get a complete checkpoint"
        )
    if not (path / "tokenizer.json").exists():
        raise SourceError(f"{checkpoint.source} has no tokenizer.json; copy it from the model that it was made from")
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    info = _model_info(config, model, recipe)
    if len(tokenizer) > info.vocabulary:
        raise SourceError(
            f"{checkpoint.source} has a tokeniser of {len(tokenizer)} tokens for a model of {info.vocabulary}; "
            "get the tokeniser that belongs to the weights"
        )
    return _Loaded(model.eval(), tokenizer, read_vocabulary(tokenizer, _generation_config(path)), info)


def _model_info(config: Any, model: Any, recipe: Recipe) -> ModelInfo:
    sizes = architectures.dimensions(config)
    context = min(sizes.context, recipe.context)
    if context < verify.SHORTEST_CONTEXT:
        raise UnsupportedModelError(
            f"a context of {context} tokens is less than the {verify.SHORTEST_CONTEXT} that an export is checked "
            "with; choose a larger --context, or another model"
        )
    return ModelInfo(
        architecture=config.model_type,
        layers=sizes.layers,
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_size=sizes.head_size,
        vocabulary=sizes.vocabulary,
        context=context,
        parameters=model.num_parameters(),
    )


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
