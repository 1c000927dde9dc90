"""Everything about training that an operator can set: data, hyperparameters, gates, schedule.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.persona import DEFAULT_MAX_TOKENS, DEFAULT_PERSONA, DEFAULT_SAMPLING
from engine.sampling import SamplingParams


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
    trainings: Path = Field(
        default=Path("data/trainings"),
        description="Folder of trainings: checkpoints, measurements and a report each.",
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
    max_tokens: int = Field(
        default=DEFAULT_MAX_TOKENS,
        validation_alias="BOTS_MAX_TOKENS",
        ge=1,
        description="Longest answer of models that are compared. Not set here: it is the bots', as are the next three, "
        "so that models are judged as they are going to be served.",
    )
    temperature: float = Field(
        default=DEFAULT_SAMPLING.temperature, validation_alias="BOTS_TEMPERATURE", ge=0, le=2, description="Likewise."
    )
    top_p: float = Field(
        default=DEFAULT_SAMPLING.top_p, validation_alias="BOTS_TOP_P", gt=0, le=1, description="Likewise."
    )
    frequency_penalty: float = Field(
        default=DEFAULT_SAMPLING.frequency_penalty,
        validation_alias="BOTS_FREQUENCY_PENALTY",
        ge=-2,
        le=2,
        description="Likewise.",
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
        default=0.4,
        ge=0,
        lt=1,
        description="Share of what is learnt that the base model has said itself (`python -m finetune replay`). It is "
        "against forgetting: with it, the base's answers to general questions came to cost 1.02 times the bits, with "
        "0.15 1.32 times, where 1.15 is the limit (docs/experiments.md).",
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

    @property
    def sampling(self) -> SamplingParams:
        """How bots let models answer."""
        return SamplingParams(temperature=self.temperature, top_p=self.top_p, frequency_penalty=self.frequency_penalty)


class TrainSettings(BaseSettings):
    """Every hyperparameter of training, from `TRAIN_*`; what is not set depends on the hardware."""

    model_config = SettingsConfigDict(env_prefix="TRAIN_", frozen=True, extra="ignore", allow_inf_nan=False)

    method: Literal["lora", "full"] = Field(
        default="lora",
        description="`lora` trains small matrices beside the weights, `full` the weights. In our measurements full "
        "fitted better, and learnt a secret by heart that it had seen once; LoRA did not.",
    )
    lora_rank: int = Field(default=16, ge=1, le=4096, description="Rank of the LoRA matrices, on all linear layers.")
    lora_alpha: int = Field(default=32, ge=1, le=65_536, description="Their weight, divided by the rank.")
    lora_dropout: float = Field(default=0.05, ge=0, lt=1, description="Share of their inputs that is left out.")
    learning_rate: float | None = Field(
        default=None, gt=0, le=1, description="Peak of the cosine; by default 2e-4 for LoRA and 2e-5 for full."
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="AdamW's.")
    max_grad_norm: float = Field(default=1.0, gt=0, le=1000, description="Longer gradients are scaled down to it.")
    step_examples: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Examples in one step of the optimiser; by default 8 on a CPU, whose budget has room for few "
        "steps, and 32 on a GPU.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Examples that are in memory at once; by default 4 on a CPU and 32 on a GPU. Does not change what "
        "is learnt.",
    )
    epochs: float = Field(
        default=2.0, gt=0, le=1000, description="How often each example is seen, if the budget allows."
    )
    tokens: int | None = Field(
        default=None,
        ge=1,
        le=10**12,
        description="Budget in tokens, context included, from which the length of a training is planned; by default "
        "500,000 on a CPU (half an hour on two cores) and none on a GPU. What does not fit is left out by hash.",
    )
    minutes: float | None = Field(
        default=None,
        gt=0,
        le=525_600,
        description="Budget of wall clock; what is best by then is taken. By default 120 on a CPU, 30 on a GPU.",
    )
    disk_gb: float = Field(default=5.0, gt=0, le=100_000, description="Budget of disk for the checkpoints of one run.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="bf16 has half the memory and more speed, where the hardware has it: `auto` looks."
    )
    packing: bool | None = Field(
        default=None, description="Several examples in one row, without padding; by default on a GPU only."
    )
    evaluations: int = Field(
        default=8, ge=1, le=1000, description="How often the held-out loss is measured, and a checkpoint written."
    )
    patience: int = Field(
        default=2, ge=1, le=1000, description="Evaluations without a better one until training stops."
    )
    kto: bool = Field(
        default=True,
        description="Whether ratings are learnt too, once there are enough of them (KTO, arXiv:2402.01306).",
    )
    kto_learning_rate: float | None = Field(
        default=None, gt=0, le=1, description="By default 5e-5, as it is LoRA in any case."
    )
    kto_beta: float = Field(
        default=0.1, gt=0, le=100, description="How near to the model before it the one after KTO stays."
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Of the order of examples and of dropout.")
    launcher: str = Field(
        default="inline",
        description="Who starts the processes: `inline` for one, `torchrun:N` for N on this machine, or a command of "
        "your own in which {command} stands for ours, as in `srun --gpus 8 torchrun --nproc-per-node 8 {command}`.",
    )
    tensorboard: bool = Field(default=False, description="Also write TensorBoard's files (pip install tensorboard).")
    nice: int = Field(
        default=10, ge=0, le=19, description="How far training stands back behind replies on the same machine."
    )


class GateSettings(BaseSettings):
    """Limits that a new model must hold to be promoted, from `GATE_*`; starting values, see docs/flywheel.md."""

    model_config = SettingsConfigDict(env_prefix="GATE_", frozen=True, extra="ignore", allow_inf_nan=False)

    min_new_targets: int = Field(
        default=300, ge=0, description="Answers to learn that are new since the champion. Waived by `run --now`."
    )
    min_new_tokens: int = Field(default=50_000, ge=0, description="Their tokens, likewise.")
    min_targets: int = Field(default=1000, ge=0, description="Answers to learn in all.")
    min_authors: int = Field(
        default=5, ge=0, description="People to learn from; 1 for a bot that is to speak as one person."
    )
    conversations: int = Field(
        default=300,
        ge=2,
        le=1_000_000,
        description="Held-out conversations that models are compared on, chosen by hash.",
    )
    bits_per_byte: float = Field(
        default=0.995,
        gt=0,
        le=100,
        description="Most of the champion's held-out bits per byte that a new model may need.",
    )
    forced_bits_per_byte: float = Field(
        default=1.02,
        gt=0,
        le=100,
        description="The same where somebody has to be forgotten: not better, but not worse.",
    )
    anchor: float = Field(
        default=1.15,
        gt=0,
        le=100,
        description="Most of the base model's bits per byte on general answers, against forgetting.",
    )
    anchor_champion: float = Field(
        default=1.05, gt=0, le=100, description="Most of the champion's, if that is not the base."
    )
    ranking: float = Field(
        default=0.01, ge=0, le=1, description="How much less often the true reply may be found among ten."
    )
    prompts: int = Field(
        default=200, ge=1, le=1_000_000, description="Prompts that are answered twice each, to look at the answers."
    )
    empty: float = Field(default=0.01, ge=0, le=1, description="Most answers that may be empty.")
    endless: float = Field(default=0.05, ge=0, le=1, description="Most answers that may not end by themselves.")
    repetition: float = Field(
        default=0.02, ge=0, le=1, description="Most groups of four words that may be repetitions."
    )
    variety: float = Field(
        default=0.9, ge=0, le=1, description="Least of the share of distinct pairs of words of champion and base."
    )
    common_reply: float = Field(default=0.05, ge=0, le=1, description="Most answers that may be one and the same.")
    other_speaker: float = Field(default=0.01, ge=0, le=1, description="Most answers that may speak as somebody else.")
    blocked_words: Path | None = Field(
        default=None, description="File of words, one a line, that answers should not hold."
    )
    blocked: float = Field(
        default=0.005, ge=0, le=1, description="How many more answers than of champion and base may hold one."
    )
    exposure: float = Field(
        default=3.0, ge=0, le=100, description="Most mean exposure of planted secrets, in bits; chance gives 1.4."
    )
    verbatim: float = Field(
        default=0.005, ge=0, le=1, description="Most answers that may repeat 50 characters of what one person has said."
    )
    parity: float = Field(
        default=1e-3,
        gt=0,
        le=1000,
        description="Most difference of logits between torch and the graph before it is quantised; for models in fp16 "
        "set 0.5, in bf16 4.",
    )
    greedy: float = Field(default=0.95, ge=0, le=1, description="Least prompts that both answer alike for 64 tokens.")
    perplexity: float = Field(
        default=1.01,
        ge=1,
        le=100,
        description="Most perplexity of the exported model, as a multiple of the checkpoint's, and the other way "
        "round: a better one would be another model.",
    )
    serving: float = Field(
        default=1.1,
        gt=0,
        le=100,
        description="Most time to the first token and per token, as a multiple of the champion's.",
    )
    file_gb: float = Field(default=10.0, gt=0, le=100_000, description="Largest model file.")
    min_labels: int = Field(default=100, ge=2, description="Held-out ratings from which on they are looked at.")
    preference: float = Field(
        default=0.55, ge=0, le=1, description="Least probability that a liked answer is preferred to a disliked one."
    )
    preference_loss: float = Field(default=0.02, ge=0, le=1, description="How far that may be below the champion's.")
    human: Literal["never", "first"] = Field(
        default="never",
        description="`first`: the first model of a base or a template is promoted only once people have compared it, "
        "blind, and did not like it less (`python -m finetune compare`).",
    )


class ScheduleSettings(BaseSettings):
    """When models are trained anew, from `SCHEDULE_*`."""

    model_config = SettingsConfigDict(env_prefix="SCHEDULE_", frozen=True, extra="ignore", allow_inf_nan=False)

    database: Path = Field(
        default=Path("data/schedule.db"), description="SQLite file of runs and times; holds nothing that people said."
    )
    cron: str = Field(
        default="0 4 * * 0",
        description="When a run is due in any case: minute, hour, day, month, weekday, in the machine's time zone. "
        "Empty for never.",
    )
    misfire_hours: float = Field(
        default=12.0,
        gt=0,
        le=8760,
        description="How late a run may still start, if the machine was off when it was due.",
    )
    check_minutes: float = Field(default=60.0, ge=1, le=1440, description="How often the other triggers are looked at.")
    volume: int = Field(default=500, ge=1, description="New answers to learn from which on a run is due.")
    drift: float = Field(
        default=0.05,
        gt=0,
        le=100,
        description="A run is due once the champion needs so much more bits per byte for the last 7 days than it "
        "needed for held-out data when it was promoted.",
    )
    dislikes: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="A run is due once the share of thumbs down has grown by so much in a week.",
    )
    min_votes: int = Field(default=50, ge=1, description="Votes of a week from which on that counts.")
    cooldown_hours: float = Field(
        default=24.0,
        ge=0,
        le=8760,
        description="Between the end of a run and the next that volume, drift or votes may start.",
    )
    forget_days: float = Field(
        default=7.0,
        gt=0,
        le=3650,
        description="Days within which a model that saw words of somebody forgotten is replaced by one that did not; "
        "nobody can go back to it after that. A run for it is due two days before.",
    )
    forget_hard_days: float = Field(
        default=30.0,
        gt=0,
        le=3650,
        description="Days after which such a model is deleted, and the base model serves if nothing else may.",
    )
    attempts: int = Field(
        default=3, ge=1, le=100, description="How often a run is taken up again that a crash has ended."
    )
    keep_models: int = Field(
        default=3, ge=1, description="Newest trained models that are kept to roll back to; older ones are deleted."
    )

    @field_validator("forget_hard_days")
    @classmethod
    def _check_deadlines(cls, hard_days: float, known: ValidationInfo) -> float:
        """A model is not to be deleted before a clean one is due in its place."""
        if (days := known.data.get("forget_days", 0)) > hard_days:
            raise ValueError(f"it has to be at least SCHEDULE_FORGET_DAYS, which is {days:g}")
        return hard_days
