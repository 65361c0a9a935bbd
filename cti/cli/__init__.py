"""The command line: `kikitori`. One file a noun; `root` puts them together."""

from cti.cli.root import main

__all__ = ["main"]
