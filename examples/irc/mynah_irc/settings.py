"""Everything about IRC that an operator can set.

Knows nothing of what the settings do. Read once, at the entry point, with `engine.settings.load_settings`.
"""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class IrcSettings(BaseSettings):
    """Settings of the bot on IRC, from `IRC_*` in the environment or in `.env`."""

    model_config = SettingsConfigDict(env_prefix="IRC_", frozen=True, extra="ignore")

    server: str = Field(
        default="",
        pattern=r"^((\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5})?$",
        description="Host and port, for instance irc.libera.chat:6697. Empty: no IRC.",
    )
    nick: str = Field(
        default="",
        pattern=r"^([A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]{0,29})?$",
        description="What the bot is called; nobody else may have the name. Empty: no IRC.",
    )
    channels: str = Field(
        default="",
        pattern=r"^\s*([#&+][^\s,\x00-\x1f]{0,49}(\s*,\s*[#&+][^\s,\x00-\x1f]{0,49})*)?\s*$",
        description="Where the bot is, separated by commas, for instance #birds,#bots. Empty: in private chats alone.",
    )
    password: SecretStr = Field(
        default=SecretStr(""),
        description="The server's password, or that of the nick's account: it is sent as the one, and by SASL PLAIN "
        "as the other where the server offers that.",
    )
    tls: bool = Field(
        default=True,
        description="Whether the connection is encrypted, and the server's certificate checked. Off only on this "
        "machine: everybody in between reads along, the password included.",
    )

    @field_validator("server")
    @classmethod
    def _has_a_port(cls, server: str) -> str:
        if server and not 0 < int(server.rpartition(":")[2]) < 65536:
            raise ValueError("the port has to be from 1 to 65535")
        return server

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.server.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One per channel; one that is listed twice counts once."""
        return tuple(dict.fromkeys(name.strip() for name in self.channels.split(",") if name.strip()))
