"""Errors of the access log; docstrings and codes as in `recorder.vault.errors`. No log line, no audio."""


class AccessError(Exception):
    """The access log cannot be used."""

    code = "access"

    def __init__(self, detail: str = "") -> None:
        """`detail` says where, what was found, and what to do."""
        gist = (type(self).__doc__ or self.code).splitlines()[0].rstrip(".")
        super().__init__(f"{gist}: {detail}" if detail else gist)
        self.detail = detail


class LogFileError(AccessError):
    """This file cannot be used as an access log."""

    code = "access-file"


class LogDamagedError(AccessError):
    """The access log is damaged."""

    code = "access-damaged"


class LogWriteError(AccessError):
    """An entry could not be made durable, nothing was written."""

    code = "access-write"


class LogBusyError(LogWriteError):
    """Another process held the access log for too long, nothing was written."""

    code = "access-busy"


class EntryError(AccessError):
    """The access log does not take this entry."""

    code = "access-entry"


class CheckpointError(AccessError):
    """A checkpoint cannot be written or read."""

    code = "access-checkpoint"


class RewoundLogError(CheckpointError):
    """The access log does not continue what was checkpointed."""

    code = "access-rewound"
