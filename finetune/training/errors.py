"""What can go wrong in a training, beside what goes wrong elsewhere. Knows nothing of torch."""

from finetune.errors import FinetuneError


class TrainingError(FinetuneError):
    """A training cannot be begun as it is set, or has not come to its end; says what to change."""
