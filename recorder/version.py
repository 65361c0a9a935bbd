"""What this program calls itself, in manifests as on the command line."""

from importlib.metadata import version

VERSION = f"kikitori {version('kikitori')}"
