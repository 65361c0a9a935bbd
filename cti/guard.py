"""Who may do what, decided in one place: for the API as for a command of whoever sits at the recorder itself."""

from collections.abc import Callable
from dataclasses import dataclass

from cti.errors import NotEntitledError
from cti.i18n import _
from policies.rights import Act, Rights
from recorder.access.accounts import Accounts
from recorder.access.people import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`rights` reads the policy in force."""

    accounts: Accounts
    rights: Callable[[], Rights]

    def entitled(self, account: Account, act: Act, about: str | None = None) -> None:
        """Let `account` do `act`, with the recording `about` if it is one. What is refused is in the access log.

        Raises NotEntitledError, PolicyError.
        """
        if self.rights().allows(account.role, act):
            return
        self.accounts.denied(account, act, about)
        raise NotEntitledError(
            _("{account} is {role}, who may not; `kikitori policy rights` shows who may").format(
                account=account.id, role=account.role.wording
            )
        )
