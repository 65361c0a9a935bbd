"""Errors of the manager interface."""


class AmiError(Exception):
    """Something about the manager connection went wrong."""

    code = "ami"


class UnsafeActionError(AmiError):
    """An action would not be one action: it carries a line break, a NUL, or more than Asterisk reads."""

    code = "ami-unsafe"


class NotConnectedError(AmiError):
    """There is no connection to Asterisk, or it was lost before the answer came. Nothing is sent again by itself."""

    code = "ami-not-connected"


class DeadlineError(AmiError):
    """Asterisk did not answer an action in time."""

    code = "ami-deadline"


class LoginRefusedError(AmiError):
    """Asterisk refused the user or the secret. Trying again cannot help until manager.conf or kikitori.toml changes."""

    code = "ami-login-refused"


class RefusedError(AmiError):
    """Asterisk answered an action with an error: most often the channel is gone."""

    code = "ami-refused"


class TlsError(AmiError):
    """The manager interface has no certificate of the CA that we know, or does not speak TLS. No secret was sent."""

    code = "ami-tls"
