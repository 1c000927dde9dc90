"""Everything about training data that an operator can set.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.persona import DEFAULT_PERSONA


class FinetuneSettings(BaseSettings):
    """Settings of training, from `FINETUNE_*` in the environment or in `.env`."""

    model_config = SettingsConfigDict(env_prefix="FINETUNE_", frozen=True, extra="ignore", populate_by_name=True)

    imports: Path = Field(
        default=Path("data/imports"),
        description="Folder of imported chats, encrypted with the database's key. Kept until removed by command.",
    )
    runs: Path = Field(
        default=Path("runs"),
        description="Folder of datasets, encrypted with the database's key; only the newest one keeps its texts.",
    )
    report: Path = Field(
        default=Path("data/report.html"),
        description="The data report of the newest dataset; the one file of training that quotes people in the clear, "
        "with personal data blotted out. Readable by its owner only.",
    )
    report_samples: int = Field(
        default=12, ge=0, description="Messages that the report quotes before and after cleaning; 0 for none."
    )
    persona: str = Field(
        default=DEFAULT_PERSONA,
        validation_alias="BOTS_PERSONA",
        description="System message of examples. Not set here: it is the bots' own, BOTS_PERSONA, as a model has to be "
        "trained on what it is going to see.",
    )
    max_example_tokens: int = Field(
        default=1024,
        ge=64,
        description="Longest example. Longer conversations are cut at turns, never inside an answer; memory in "
        "training grows with it.",
    )
    author_share: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Largest share of what is learnt that one author may have, so that no voice drowns the others.",
    )
    chat_share: float = Field(default=0.4, gt=0, le=1, description="The same for one chat.")
    voter_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Largest share of the ratings that one person may have, so that nobody steers the model alone.",
    )
    replay_share: float = Field(
        default=0.15,
        ge=0,
        lt=1,
        description="Share of what is learnt that the base model has said itself (`python -m finetune replay`). It is "
        "against forgetting: with it the loss on general text grew by 7 % instead of 49 %.",
    )
    canaries: int = Field(
        default=8,
        ge=0,
        description="Invented secrets planted once each, by which evaluation sees whether a model memorises.",
    )
    seed: int = Field(default=0, ge=0, description="Changes whatever is chosen by chance; the same seed repeats it.")
    workers: int = Field(
        default=0, ge=0, description="Processes that clean messages; 0 for one per core that may be used."
    )
