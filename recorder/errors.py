"""Errors that more than one part of the recorder raises, and whoever only reports them need not load."""


class AudioError(Exception):
    """Sound could not be encoded or decoded."""

    code = "audio"
