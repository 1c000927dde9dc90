"""The bot in a terminal or between two pipes."""

from bots.console.pipe import PipeAdapter
from bots.console.session import run
from bots.console.terminal import TerminalAdapter

__all__ = ["PipeAdapter", "TerminalAdapter", "run"]
