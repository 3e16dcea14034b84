"""The command line: ``splatkit COMMAND``, each command a thin caller of one function."""

from splatkit.cli._main import main

__all__ = ["main"]
