"""The async engine: messages in, text out, from an exported model on ONNX Runtime."""

from engine.bundle import Bundle
from engine.engine import Engine
from engine.errors import (
    BundleError,
    ChatTemplateError,
    EngineClosedError,
    EngineError,
    InvalidRequestError,
    NonFiniteLogitsError,
    PromptTooLongError,
    ProviderError,
    QueueFullError,
    RegistryError,
    SettingsError,
)
from engine.generation import (
    ChatMessage,
    Completion,
    FinishReason,
    Generation,
    GenerationRequest,
    TextEngine,
    TokenLogprob,
)
from engine.metrics import MetricsSnapshot
from engine.registry import Registry
from engine.sampling import SamplingParams
from engine.settings import EngineSettings, load_settings

__all__ = [
    "Bundle",
    "BundleError",
    "ChatMessage",
    "ChatTemplateError",
    "Completion",
    "Engine",
    "EngineClosedError",
    "EngineError",
    "EngineSettings",
    "FinishReason",
    "Generation",
    "GenerationRequest",
    "InvalidRequestError",
    "MetricsSnapshot",
    "NonFiniteLogitsError",
    "PromptTooLongError",
    "ProviderError",
    "QueueFullError",
    "Registry",
    "RegistryError",
    "SamplingParams",
    "SettingsError",
    "TextEngine",
    "TokenLogprob",
    "load_settings",
]
