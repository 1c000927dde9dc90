"""An operator's installation: its settings, folders, registry and key, as commands have them at hand.

Knows nothing of what is done with them.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from bots.chatlog import ChatLog, DatabaseSettings, FileCipher, PolicySettings
from engine.bundle import Bundle
from engine.errors import RegistryError
from engine.registry import Registry
from engine.settings import EngineSettings, load_settings
from exporters.settings import ExporterSettings
from finetune.importing.store import ImportStore
from finetune.runs import Runs
from finetune.settings import FinetuneSettings, GateSettings, ScheduleSettings, TrainSettings


@dataclass(frozen=True)
class Installation:
    """Everything that commands are given; `open` reads the settings, once."""

    finetune: FinetuneSettings
    train: TrainSettings
    gates: GateSettings
    schedule: ScheduleSettings
    engine: EngineSettings
    exporters: ExporterSettings
    database: DatabaseSettings
    policy: PolicySettings

    @classmethod
    def open(cls) -> Self:
        """The installation that the environment and `.env` describe.

        Raises:
            SettingsError: A setting is not good.
        """
        return cls(
            load_settings(FinetuneSettings),
            load_settings(TrainSettings),
            load_settings(GateSettings),
            load_settings(ScheduleSettings),
            load_settings(EngineSettings),
            load_settings(ExporterSettings),
            load_settings(DatabaseSettings),
            load_settings(PolicySettings),
        )

    def log(self) -> AbstractAsyncContextManager[ChatLog]:
        """The chat log, under the policy of today."""
        return ChatLog.open(self.database, policy=self.policy.policy)

    @cached_property
    def cipher(self) -> FileCipher:
        """What files with people's words are encrypted with; makes the database if there is none."""

        async def ask() -> FileCipher:
            async with self.log() as log:
                return await log.file_cipher()

        return asyncio.run(ask())

    @property
    def runs(self) -> Runs:
        """The datasets."""
        return Runs(self.finetune.runs, self.cipher)

    @property
    def imports(self) -> ImportStore:
        """The imported chats."""
        return ImportStore(self.finetune.imports, self.cipher)

    @property
    def registry(self) -> Registry:
        """The models."""
        return Registry(self.engine.registry)

    def base(self) -> Bundle:
        """The first champion: the base model, which every training starts from.

        Raises:
            RegistryError: There is no model yet.
        """
        registry = self.registry
        version = registry.base()
        if version is None:
            raise RegistryError(
                f"{registry.root} has no model yet, whose tokeniser examples are cut for; make one with: make model"
            )
        return Bundle.open(registry.path(version))
