"""The fake platform by its earlier name, for tests that still use that."""

from bots.testing import CHAT, FakePlatform

RecordingAdapter = FakePlatform

__all__ = ["CHAT", "RecordingAdapter"]
