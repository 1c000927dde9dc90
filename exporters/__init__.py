"""A PyTorch checkpoint in, a verified bundle for the engine out.

The names here load quickly; `exporters.pipeline`, which does the work, loads PyTorch.
"""

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
from exporters.progress import Progress
from exporters.settings import ExporterSettings

__all__ = [
    "Checkpoint",
    "DiskFullError",
    "ExportError",
    "ExporterSettings",
    "HashMismatchError",
    "OutputError",
    "PrecisionError",
    "Progress",
    "SourceError",
    "SourceUnreachableError",
    "ToleranceError",
    "UnsupportedModelError",
]
