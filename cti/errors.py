"""Errors that a person sees: what was wrong, where, and what to do next. `code` names the kind, `status` the exit."""


class KikitoriError(Exception):
    """Something that the user can put right."""

    code = "error"
    status = 1


class SettingsError(KikitoriError):
    """A setting is missing or wrong."""

    code = "settings"
    status = 78


class InitError(KikitoriError):
    """The folder cannot be made into a Kikitori."""

    code = "init"
    status = 73


class DeployError(KikitoriError):
    """The files for this host cannot be made."""

    code = "deploy"
    status = 78


class NotFoundError(KikitoriError):
    """There is nothing of that name."""

    code = "not-found"
    status = 66


class UsageError(KikitoriError):
    """What was asked for makes no sense."""

    code = "usage"
    status = 64


class FieldError(UsageError):
    """A field of what was asked for cannot be so."""

    def __init__(self, field: str, problem: str) -> None:
        """`problem` in the reader's language."""
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class NotEntitledError(KikitoriError):
    """Whoever decided that may not."""

    code = "not-entitled"
    status = 77


class LogUnavailableError(KikitoriError):
    """The access log cannot be written, so nothing is played."""

    code = "log-unavailable"
    status = 75


class DatabaseError(KikitoriError):
    """The database does not answer."""

    code = "database"
    status = 69


class NotRunningError(KikitoriError):
    """The recorder does not answer."""

    code = "not-running"
    status = 69


class PromptError(KikitoriError):
    """A prompt cannot be used or made."""

    code = "prompt"
    status = 65


class PbxConfigError(Exception):
    """The PBX's configuration cannot be made."""

    code = "pbx-config"
