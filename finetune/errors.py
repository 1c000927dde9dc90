"""What can go wrong in training, as the few kinds that callers treat differently.

FinetuneError
├── SourceFileError   wrong input: no such file, not of the format that was named, or nothing in it
├── RightError        nobody has said under which right the text may be trained on, or that right does not do
├── StoreError        what we keep on disk is damaged, or cannot be written
│   └── TakenError    another process is at work on it
├── NoDataError       all is well, and there is nothing to make a dataset of
├── TrainingError     a training is set up wrongly, or has failed (`finetune.training.errors`)
├── TaintedError      a model has seen what it should not have, and may be used no more (`finetune.flywheel.promotion`)
├── CronError         a time is not written as cron has it (`finetune.schedule.cron`)
├── AddressError      the page for people cannot be served there (`finetune.comparing.server`)
├── TooLongError      a text has more tokens than a model can be asked about (`finetune.evaluation.scoring`)
└── RenderingError    a model's template cannot be trained on as it is served (`finetune.dataset.rendering`)

Every message is one line: what was found, what was expected, what to do. This module knows nothing of chats.
"""


class FinetuneError(Exception):
    """Base of all errors that this package raises on purpose; the message is always one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class SourceFileError(FinetuneError):
    """A file that was to be imported is not there, not of that format, or holds no message at all."""


class RightError(FinetuneError, ValueError):
    """A right to train on some text is missing, misspelt, or not one that does for this platform."""


class StoreError(FinetuneError):
    """A file of ours is damaged, in use by another process, or cannot be written; says which."""


class TakenError(StoreError):
    """Another process is at work where two must not be; it can be tried again later."""


class NoDataError(FinetuneError):
    """Nothing may be trained on, or nothing is left after cleaning."""
