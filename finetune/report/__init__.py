"""What an operator reads after the data was prepared: one HTML page, and ten lines in the terminal.

The names here are plain data and load quickly; `finetune.report.page` draws, and loads matplotlib for it.
"""

from finetune.report.figures import (
    Check,
    DataReport,
    Preferences,
    Sample,
    SampleLine,
    SourceLine,
    SplitLine,
    StageLine,
    Threads,
    Unit,
)
from finetune.report.measures import Concentration, Histogram, Times
from finetune.report.summary import summary

__all__ = [
    "Check",
    "Concentration",
    "DataReport",
    "Histogram",
    "Preferences",
    "Sample",
    "SampleLine",
    "SourceLine",
    "SplitLine",
    "StageLine",
    "Threads",
    "Times",
    "Unit",
    "summary",
]
