"""The command line."""

from beeline.cli._main import main, script

__all__ = ["main", "script"]
