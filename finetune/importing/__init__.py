"""Messages out of files that other programs wrote: exports of chat platforms, logs and public corpora.

Knows nothing of what becomes of them.
"""

from finetune.importing.formats import FORMATS, Format, guess
from finetune.importing.options import ImportOptions
from finetune.importing.problems import Problem, Problems

__all__ = ["FORMATS", "Format", "ImportOptions", "Problem", "Problems", "guess"]
