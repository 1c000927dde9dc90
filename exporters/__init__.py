"""A PyTorch checkpoint in, a verified bundle for the engine out."""

from exporters.checkpoint import Checkpoint
from exporters.errors import (
    DiskFullError,
    ExportError,
    HashMismatchError,
    OutputError,
    PrecisionError,
    SourceError,
    SourceUnreachableError,
    ToleranceError,
    UnsupportedModelError,
)
from exporters.pipeline import NUM_STAGES, Recipe, export
from exporters.progress import Progress
from exporters.settings import ExporterSettings

__all__ = [
    "NUM_STAGES",
    "Checkpoint",
    "DiskFullError",
    "ExportError",
    "ExporterSettings",
    "HashMismatchError",
    "OutputError",
    "PrecisionError",
    "Progress",
    "Recipe",
    "SourceError",
    "SourceUnreachableError",
    "ToleranceError",
    "UnsupportedModelError",
    "export",
]
