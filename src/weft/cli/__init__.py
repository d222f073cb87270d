"""The command line: one thin command per verb. Importing this package imports no torch."""

from weft.cli.app import main

__all__ = ["main"]
