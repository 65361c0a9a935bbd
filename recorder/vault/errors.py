"""Errors of the vault: the class docstring is the gist of the message, `code` the stable name for APIs."""

from pathlib import Path


class VaultError(Exception):
    """The vault cannot do that."""

    code = "vault"

    def __init__(self, detail: str = "") -> None:
        """`detail` says where, what was found, and what to do."""
        gist = (type(self).__doc__ or self.code).splitlines()[0].rstrip(".")
        super().__init__(f"{gist}: {detail}" if detail else gist)
        self.detail = detail


class KeyFormatError(VaultError):
    """This is not a key of the expected kind."""

    code = "key-format"


class RecipientError(VaultError):
    """A file key cannot be wrapped for these recipients."""

    code = "recipient"


class HeaderError(VaultError):
    """The age header is malformed."""

    code = "header"


class HeaderMacError(VaultError):
    """The age header was changed: its MAC does not match."""

    code = "header-mac"


class NoIdentityError(VaultError):
    """None of the given identities opens this header."""

    code = "no-identity"


class ArmorError(VaultError):
    """The age armor is malformed."""

    code = "armor"


class PayloadError(VaultError):
    """The encrypted payload is damaged, was changed, or is cut off."""

    code = "payload"

    def __init__(self, chunk: int, detail: str = "") -> None:
        """`chunk` is the index of the first chunk that cannot be trusted."""
        super().__init__(f"chunk {chunk}" + (f": {detail}" if detail else ""))
        self.chunk = chunk


class TailError(VaultError):
    """The tail files do not hold what the body lacks."""

    code = "tail"


class BodyBusyError(VaultError):
    """Another process is writing this body."""

    code = "body-busy"


class BodyStateError(VaultError):
    """The body writer cannot do that now."""

    code = "body-state"


class SlotError(VaultError):
    """A slot of the key file cannot be used."""

    code = "slot"

    def __init__(self, path: Path, slot: int, detail: str) -> None:
        """`path` is the slot file, `slot` the number of the 512-byte slot in it."""
        super().__init__(f"{path}, slot {slot}: {detail}")
        self.path, self.slot = path, slot


class SlotErasedError(SlotError):
    """The key of this recording was erased."""

    code = "slot-erased"
