"""Everything about the bots that an operator can set.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bots.operators import operator_ids
from engine.persona import DEFAULT_MAX_TOKENS, DEFAULT_PERSONA, DEFAULT_SAMPLING


def tokens_in(setting: SecretStr) -> tuple[str, ...]:
    """One per account, of a setting that lists them by commas; one that is listed twice counts once."""
    parts = (part.strip() for part in setting.get_secret_value().split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


class BotSettings(BaseSettings):
    """Settings of the bots, from `BOTS_*` in the environment or in `.env`."""

    # The file also holds other packages' keys; load_settings refuses a misspelt one of ours.
    model_config = SettingsConfigDict(env_prefix="BOTS_", frozen=True, extra="ignore")

    persona: str = Field(
        default=DEFAULT_PERSONA,
        description="System message of new conversations, empty for none. Short, and measured: of those tried "
        "it is the one with which the default model answers most simple questions right (docs/experiments.md).",
    )
    max_tokens: int = Field(
        default=DEFAULT_MAX_TOKENS,
        ge=1,
        description="Longest answer, in tokens. About 200 words: what people read in a chat, and seconds to "
        "write on two cores.",
    )
    temperature: float = Field(
        default=DEFAULT_SAMPLING.temperature,
        ge=0,
        le=2,
        description="How freely words are chosen; 0 always takes the likeliest. A small model strays above 0.4.",
    )
    top_p: float = Field(
        default=DEFAULT_SAMPLING.top_p,
        gt=0,
        le=1,
        description="Share of the probability that words are chosen from; cuts the tail, where a small "
        "model's nonsense is.",
    )
    frequency_penalty: float = Field(
        default=DEFAULT_SAMPLING.frequency_penalty,
        ge=-2,
        le=2,
        description="Makes a word of the answer less likely each time it was used; without it small models loop. "
        "Unlike a repetition penalty it leaves alone what the persona and the question have used.",
    )
    deadline_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds after which an answer ends as it stands, waiting in the queue included. Nobody "
        "waits longer in a chat.",
    )
    gather_s: float = Field(
        default=1.0,
        ge=0,
        description="Seconds that a person has to be silent until what that person said is answered, as one message. "
        "People press Enter in the middle of a thought; longer than this, and the bot seems slow.",
    )
    drain_s: float = Field(
        default=10.0,
        ge=0,
        description="Seconds that answers under way may go on when the bot is told to end. What is not done by then is "
        "finished after the next start; service managers kill after 10 to 90 s.",
    )
    resume_within_h: float = Field(
        default=24.0,
        ge=0,
        description="Hours after which a question that a stopped bot has not answered is not answered any more. "
        "Telegram, too, keeps messages for a day.",
    )
    operators: str = Field(
        default="",
        description="Who runs the bot, as `PLATFORM:USER_ID` separated by commas, for instance `telegram:12345`: may "
        "use `/rollback`, `/retrain`, `/access` and the like, everywhere. Ids, as anyone may take any name.",
    )
    plugins: str = Field(
        default="",
        description="Plugins to load besides the built-in ones, by name, separated by commas. None by default: what "
        "lies in a folder or came with a package is not run until somebody has named it.",
    )
    plugins_folder: Path = Field(
        default=Path("plugins"),
        description="Where plugins are looked for, besides in installed packages. Relative to where the bot starts.",
    )

    @field_validator("operators")
    @classmethod
    def _written_well(cls, text: str) -> str:
        operator_ids(text)
        return text

    @property
    def plugin_names(self) -> tuple[str, ...]:
        """One per plugin; one that is listed twice counts once."""
        return tuple(dict.fromkeys(filter(None, (name.strip() for name in self.plugins.split(",")))))
