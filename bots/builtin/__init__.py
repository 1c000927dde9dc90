"""The plugins that every bot has: what it can do besides talking is built as anybody else's plugin would be."""

from bots.builtin.plugins import builtin_plugins

__all__ = ["builtin_plugins"]
