"""A desk in the command itself, for whoever sits at the recorder; and whether they may."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from cti import users
from cti.app.clock import wall_clock
from cti.app.desk import accounts_at, build_desk
from cti.cli.common import actor, settings
from cti.cli.signin import HERE, Proof, proof
from cti.desk import Desk, closing
from cti.errors import NotEntitledError
from cti.guard import Guard
from cti.i18n import _
from cti.store import database_answers
from policies.load import Policies
from policies.rights import Act
from recorder.access.accounts import Accounts
from recorder.access.grants import Held
from recorder.access.people import SignedIn
from recorder.memory import seal_memory

Result = TypeVar("Result")


def at_desk(what: Callable[[Desk], Awaitable[Result]], *, unlocked: bool = False) -> Result:
    """Do something at the desk, as the desk's user, in the name of whoever is at the keyboard.

    `unlocked`: the vault's identity will be in memory, which must then not reach a disk.
    """
    if unlocked:
        seal_memory(Path("/proc/swaps").read_text())
    loaded = settings().settings
    who = actor()
    os.umask(0o007)

    async def do() -> Result:
        async with closing(await build_desk(loaded, wall_clock, who)) as desk:
            with database_answers():
                return await what(desk)

    with users.acting_as(loaded.users.desk):
        return asyncio.run(do())


async def entitled(accounts: Accounts, act: Act, who: Proof) -> SignedIn:
    """Somebody who has proved who they are, and may do `act`. Raises NotEntitledError, RefusedError, TooSoonError."""
    rights = Policies(settings().settings.paths.policies).rights  # before a code is used up
    found = await accounts.sign_in(who.account, who.password, who.code, HERE)
    Guard(accounts=accounts, rights=lambda: rights).entitled(found.account, act)
    return found


async def allowed(desk: Desk, act: Act, who: Proof | None) -> Held | None:
    """As `holding`; None for nobody, as long as nobody ever had an account. Raises NotEntitledError.

    The log is asked: whoever renews an account, or writes into the database, does not open the host to everybody.
    """
    if who is not None:
        return await holding(desk, act, who)
    if desk.ever("account.enrolled"):
        raise NotEntitledError(
            _("people have accounts here (B-06): name your own ID with --by, or for recordings `kikitori login ID`")
        )
    return None


async def holding(desk: Desk, act: Act, who: Proof) -> Held:
    """What somebody at the recorder itself can open, who may do `act`. Raises NotEntitledError."""
    accounts = accounts_at(desk, wall_clock)
    found = await entitled(accounts, act, who)
    desk.actor = found.account.id
    return await accounts.grants.held(found)


def at_desk_for(
    act: Act, by: str | None, password_file: Path | None, code: str | None, what: Callable[[Desk], Awaitable[Result]]
) -> Result:
    """`at_desk`, by whoever may do `act`; by anybody, as long as nobody has an account. Raises NotEntitledError."""
    who = proof(by, password_file, code) if by else None

    async def do(desk: Desk) -> Result:
        await allowed(desk, act, who)
        return await what(desk)

    return at_desk(do)
