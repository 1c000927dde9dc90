"""A source in, a verified bundle out: the stages of an export, in order.

Each stage takes and returns files or plain values and stands in a module of its own.
"""

import copy
import re
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

from transformers import AutoConfig

from engine.bundle import (
    FORMAT,
    GRAPH_NAME,
    MANIFEST_NAME,
    Bundle,
    EvaluationInfo,
    KvDtype,
    KvInfo,
    Manifest,
    ModelInfo,
    Precision,
    SourceInfo,
    TrainingInfo,
    describe_file,
)
from engine.errors import ProviderError
from engine.session import Session, choose_provider
from exporters import architectures, sources, verify
from exporters.checkpoint import Checkpoint
from exporters.errors import OutputError, PrecisionError, disk_full_reported
from exporters.loading import LoadedModel, load
from exporters.optimise import optimise
from exporters.progress import Bar, Progress
from exporters.quantise import SCHEMES, count_matrices, quantise
from exporters.staging import is_vacant, publish, require_replaceable, staging_dir
from exporters.tracing import FLOAT_TYPES, count_layer_runs, trace

NUM_STAGES = sources.NUM_STAGES + 5
KV_TYPES: dict[str, KvDtype] = {"fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Recipe:
    """How to export.

    Attributes:
        context: Longest sequence that the graph shall serve, in tokens; the model's own limit if smaller.
        max_perplexity_ratio: Replaces the precision's tolerance; None keeps it.
        evaluation_tokens: About how much of the shipped text is used to measure perplexity.
        greedy_prompts: How many shipped prompts the fp32 graph and torch both answer, to see whether they say the same;
            0 does not look.
    """

    precision: Precision = "int8"
    provider: Literal["cpu", "cuda"] = "cpu"
    context: int = 8192
    max_perplexity_ratio: float | None = None
    evaluation_tokens: int = 6000
    greedy_prompts: int = 0

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


def export(
    source: str,
    out: Path,
    recipe: Recipe,
    *,
    cache: Path,
    progress: Progress,
    hub_url: str | None = None,
    force: bool = False,
    name: str | None = None,
    provenance: str | None = None,
    training: TrainingInfo | None = None,
) -> Bundle:
    """Write a servable bundle. `out` appears whole and verified, or not at all.

    If `out` already holds the bundle of this source, recipe and training, nothing is done.

    Args:
        name: What the bundle calls its source, where that is a folder whose place means nothing elsewhere.
        provenance: Where the weights come from, in one line; None for what the source tells.
        training: Which run made the checkpoint.

    Raises:
        ExportError: One of its kinds; the message says what to do. `out` is as it was.
    """
    _require_possible(recipe)
    out = out.absolute()  # not resolved: a link stays what it is
    require_replaceable(out, source, force=force)
    with disk_full_reported(out.parent), staging_dir(out) as work:
        checkpoint = sources.resolve(source, work, cache, progress, hub_url=hub_url)
        checkpoint = replace(checkpoint, source=name or source, provenance=provenance or checkpoint.provenance)
        if not is_vacant(out) and not force:
            return _same_bundle(out, checkpoint, recipe, training)
        with progress.stage("load the checkpoint"):
            loaded = load(checkpoint, context=recipe.context)
        folder = work / "bundle"
        folder.mkdir()
        evaluation = _build(loaded, recipe, work, folder, progress)
        loaded.vocabulary.write(folder)
        manifest = _manifest(loaded, recipe, checkpoint, training, evaluation, folder)
        (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
        publish(folder, out)
    return Bundle.open(out)


def _build(loaded: LoadedModel, recipe: Recipe, work: Path, folder: Path, progress: Progress) -> EvaluationInfo:
    """Write the graph into `folder` and measure it against the checkpoint."""
    info, tolerance = loaded.info, recipe.tolerance
    is_quantised = recipe.precision in SCHEMES
    texts = verify.evaluation_texts(loaded.tokenizer, min(info.context, 1024), recipe.evaluation_tokens)
    num_tokens = sum(map(len, texts))

    with progress.stage("trace the graph and optimise it", count_layer_runs(info.layers), "layer") as bar:
        model = loaded.model
        if recipe.precision in KV_TYPES:  # a copy, for the reference keeps its fp32 weights
            model = copy.deepcopy(model).to(FLOAT_TYPES[recipe.precision])
        traced = work / "traced.onnx"
        trace(model, traced, context=info.context, tolerance=tolerance.logit_difference, advance=bar.update)
        target = (work if is_quantised else folder) / GRAPH_NAME
        graph = optimise(traced, target, providers=[choose_provider(recipe.provider)])

    num_greedy = recipe.greedy_prompts * verify.GREEDY_TOKENS
    with progress.stage("check the graph against torch", num_tokens + num_greedy, "token") as bar:
        session = _session(graph, info, recipe)
        parity = verify.check_parity(loaded.model, session, texts, tolerance.logit_difference)
        greedy = _greedy_equality(loaded, session, recipe.greedy_prompts, bar) if recipe.greedy_prompts else None
        reference = verify.score(lambda ids: verify.torch_logits(loaded.model, ids), texts, bar.update)

    with progress.stage(f"make {recipe.precision} weights", count_matrices(graph), "matrix") as bar:
        if is_quantised:
            graph = quantise(graph, folder / GRAPH_NAME, SCHEMES[recipe.precision], bar.update)

    with progress.stage("measure perplexity", num_tokens, "token") as bar:
        session = _session(graph, info, recipe)
        score = verify.score(lambda ids: verify.session_logits(session, ids), texts, bar.update)
        return verify.judge(score, reference, parity, tolerance.perplexity_ratio, greedy)


def _greedy_equality(loaded: LoadedModel, session: Session, number: int, bar: Bar) -> float:
    """Share of so many prompts that the graph and torch answer with the same tokens."""
    length = min(session.length - verify.GREEDY_TOKENS, verify.WINDOW)
    prompts = verify.greedy_prompts(loaded.tokenizer, length, number)
    return verify.greedy_equality(loaded.model, session, prompts, loaded.vocabulary.tokens.stop_ids, bar.update)


def _manifest(
    loaded: LoadedModel,
    recipe: Recipe,
    checkpoint: Checkpoint,
    training: TrainingInfo | None,
    evaluation: EvaluationInfo,
    folder: Path,
) -> Manifest:
    """What bundle.json says of the files in `folder`."""
    return Manifest(
        format=FORMAT,
        name=f"{_slug(checkpoint.source)}-{recipe.precision}",
        precision=recipe.precision,
        scheme=recipe.scheme,
        provider=recipe.provider,
        model=loaded.info,
        kv=KvInfo(layout="slots", dtype=KV_TYPES.get(recipe.precision, "float32")),
        tokens=loaded.vocabulary.tokens,
        source=SourceInfo(
            name=checkpoint.source, provenance=checkpoint.provenance, checkpoint_sha256=checkpoint.digest
        ),
        training=training,
        evaluation=evaluation,
        exported_with=_versions(),
        files={path.name: describe_file(path) for path in sorted(folder.iterdir())},
    )


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


def _same_bundle(out: Path, checkpoint: Checkpoint, recipe: Recipe, training: TrainingInfo | None) -> Bundle:
    """The bundle at `out`, if it is what this export would make.

    Raises:
        OutputError: It is another one.
    """
    bundle = Bundle.open(out)
    manifest, figures = bundle.manifest, bundle.manifest.evaluation
    context = min(architectures.dimensions(AutoConfig.from_pretrained(checkpoint.path)).context, recipe.context)
    wanted = (checkpoint.digest, recipe.scheme, recipe.provider, context, training)
    source = manifest.source.checkpoint_sha256
    found = (source, manifest.scheme, manifest.provider, manifest.model.context, manifest.training)
    is_good_enough = figures.perplexity <= recipe.tolerance.perplexity_ratio * figures.perplexity_fp32
    is_complete = figures.greedy_equality is not None or not recipe.greedy_prompts
    if wanted == found and is_good_enough and is_complete:
        return bundle
    raise OutputError(
        f"{out} holds {manifest.name} from {manifest.source.name} ({manifest.scheme}, context "
        f"{manifest.model.context}); choose another OUT, or use --force"
    )


def _session(graph: Path, info: ModelInfo, recipe: Recipe) -> Session:
    rows = max(len(verify.PARITY_LENGTHS), recipe.greedy_prompts)
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
