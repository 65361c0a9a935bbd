"""Accounts as people get, use and lose them; what SQL itself refuses; and who guesses, replays or races."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from cti import store
from policies.rights import OPERATORS, Role
from recorder.access import tables
from recorder.access.accounts import INSTALLER, VALID_FOR, Accounts, TooSoonError
from recorder.access.credentials import STEP, Cost, PasswordError, RefusedError, seed
from recorder.access.entry import Entry
from recorder.access.errors import LogWriteError
from recorder.access.grants import Held
from recorder.access.known import Known, known
from recorder.access.people import AccountError, ForgedError, SignedIn
from recorder.vault.age import Identity
from tests import databases

CHEAP = Cost(memory=64, passes=1)
START = datetime(2027, 4, 1, tzinfo=UTC)
HOME = "192.0.2.1"
PASSWORD = "雨の日は 傘を二本持って出る"  # nobody's
NEW = "今日の献立は 鯖の味噌煮です"
MANAGER = "tanaka"


@dataclass
class Office:
    """The accounts, a clock, what the log was told, and everybody's authenticator."""

    accounts: Accounts
    at: datetime = START
    told: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)
    seeds: dict[str, str] = field(default_factory=dict)
    log_is_full: bool = False

    def now(self) -> datetime:
        return self.at

    def tell(self, actor: str, action: str, about: str, detail: Mapping[str, Any]) -> None:
        if self.log_is_full:
            raise LogWriteError("no room")
        self.told.append((actor, action, about, dict(detail)))

    def code(self, account: str, steps: int = 0) -> str:
        return pyotp.TOTP(self.seeds[account]).at(self.at + timedelta(seconds=steps * STEP))

    async def issued(self, account: str, role: Role = Role.STAFF, *, by: str = MANAGER) -> str:
        section = "給水課" if role is Role.SECTION else None
        return await self.accounts.issue(account, name="佐藤 花子", role=role, section=section, by=by)

    async def enrolled(
        self, account: str, role: Role = Role.STAFF, *, by: str = MANAGER, password: str = PASSWORD
    ) -> None:
        await self.enrol(account, await self.issued(account, role, by=by), password)

    async def enrol(self, account: str, secret: str, password: str = PASSWORD) -> None:
        self.seeds.setdefault(account, seed())
        await self.accounts.enrol(account, secret, password, self.seeds[account], self.code(account), HOME)

    async def sign_in(self, account: str, password: str = PASSWORD, *, steps: int = 0, address: str = HOME) -> SignedIn:
        return await self.accounts.sign_in(account, password, self.code(account, steps), address)

    async def held(self, account: str, password: str = PASSWORD) -> Held:
        """Signed in anew."""
        return await self.accounts.grants.held(await self.sign_in(account, password))

    def later(self, **time: float) -> None:
        self.at += timedelta(**time)

    def logged(self, account: str) -> Known | None:
        """As the access log would be read."""
        return known(
            Entry(seq=0, prev="", ts=self.at, actor=actor, action=action, object=about, detail=detail, raw=b"")
            for actor, action, about, detail in self.told
            if about == account
        )

    def actions(self) -> list[str]:
        return [action for _, action, _, _ in self.told]


@pytest_asyncio.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    engine = store.engine(databases.url(tmp_path))
    await store.migrate(engine)
    made: Office
    accounts = Accounts(
        engine,
        "pbx1",
        tell=lambda *told: made.tell(*told),
        logged=lambda account: made.logged(account),
        now=lambda: made.at,
        cost=CHEAP,
    )
    made = Office(accounts)
    await made.enrolled(MANAGER, Role.MANAGER, by=INSTALLER)
    made.later(minutes=5)
    yield made
    await engine.dispose()


# --- the way of an account --------------------------------------------------------------------------------------------


@pytest.mark.rule("B-06")
async def test_issued_enrolled_signed_in(office: Office) -> None:
    secret = await office.issued("sato")
    (listed,) = [account for account in await office.accounts.all() if account.id == "sato"]
    assert (listed.issued_by, listed.issued_at, listed.role, listed.initial) == (MANAGER, office.at, Role.STAFF, True)
    await office.enrol("sato", secret.lower())
    office.later(minutes=1)
    found = await office.sign_in("sato")
    assert (found.account.id, found.account.initial) == ("sato", False)
    assert office.actions()[-3:] == ["account.issued", "account.enrolled", "account.signed-in"]
    (listed,) = [account for account in await office.accounts.all() if account.id == "sato"]
    assert listed.seen_at == office.at


@pytest.mark.rule("B-06")
async def test_no_line_of_the_log_holds_a_name_or_a_secret(office: Office) -> None:
    secret = await office.issued("sato")
    await office.enrol("sato", secret)
    office.later(minutes=1)
    await office.sign_in("sato")
    said = repr(office.told)
    assert not [word for word in (secret, PASSWORD, "佐藤", office.seeds["sato"]) if word in said]


@pytest.mark.rule("B-06")
async def test_there_is_no_account_without_an_issuer(office: Office) -> None:
    async with office.accounts.engine.begin() as connection:
        for issuer in (None, ""):
            row = {
                "id": "mori",
                "name": "森",
                "role": "staff",
                "issued_by": issuer,
                "issued_at": START.replace(tzinfo=None),
            }
            with pytest.raises(IntegrityError):
                async with connection.begin_nested():
                    await connection.execute(insert(tables.accounts).values(**row))


@pytest.mark.parametrize(
    ("account", "name", "role", "section", "said"),
    [
        ("Sato", "佐藤", Role.STAFF, None, "no ID"), ("s", "佐藤", Role.STAFF, None, "no ID"),
        ("init", "佐藤", Role.STAFF, None, "no ID"), ("sato\n", "佐藤", Role.STAFF, None, "no ID"),
        ("sato", "", Role.STAFF, None, "name"), ("sato", "佐\x1b[2J", Role.STAFF, None, "name"),
        ("sato", "佐藤", Role.SECTION, None, "section"), ("sato", "佐藤", Role.STAFF, "給水課", "section"),
        (MANAGER, "田中", Role.STAFF, None, "exists already"),
    ],
)  # fmt: skip
async def test_what_cannot_be_issued(
    office: Office, account: str, name: str, role: Role, section: str | None, said: str
) -> None:
    with pytest.raises(AccountError, match=said):
        await office.accounts.issue(account, name=name, role=role, section=section, by=MANAGER)


async def test_the_installer_issues_the_first_manager_and_nobody_else(office: Office) -> None:
    for role in Role:
        with pytest.raises(AccountError, match="until one of them is in use"):
            await office.issued("mori", role, by=INSTALLER)


async def test_a_one_time_secret_is_good_once_and_for_a_week(office: Office) -> None:
    secret = await office.issued("sato")
    await office.enrol("sato", secret)
    with pytest.raises(RefusedError):
        await office.enrol("sato", secret, NEW)
    late = await office.issued("mori")
    office.later(days=VALID_FOR.days, seconds=1)
    with pytest.raises(RefusedError):
        await office.enrol("mori", late)


async def test_of_two_that_enrol_at_once_one_does(office: Office) -> None:
    secret = await office.issued("sato")
    office.seeds["sato"] = seed()
    done = await asyncio.gather(
        *(office.enrol("sato", secret, password) for password in (PASSWORD, NEW)), return_exceptions=True
    )
    assert sorted(type(each) for each in done if each is not None) == [RefusedError]
    office.later(minutes=1)
    winner = PASSWORD if done[0] is None else NEW
    await office.sign_in("sato", winner)


async def test_a_bad_password_or_a_wrong_code_changes_nothing(office: Office) -> None:
    secret = await office.issued("sato")
    with pytest.raises(PasswordError):
        await office.enrol("sato", secret, "sato-hanako")
    with pytest.raises(RefusedError, match="authenticator"):
        await office.accounts.enrol("sato", secret, PASSWORD, office.seeds["sato"], "000000", HOME)
    await office.enrol("sato", secret)


async def test_a_one_time_secret_is_no_password(office: Office) -> None:
    secret = await office.issued("sato")
    office.seeds["sato"] = seed()
    with pytest.raises(RefusedError):
        await office.sign_in("sato", secret)


# --- its end ----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("B-06")
async def test_what_is_ended_opens_nothing_and_stays_listed(office: Office) -> None:
    await office.enrolled("sato")
    await office.accounts.grants.give("sato", 1, Identity.generate(), by=MANAGER)
    office.later(minutes=1)
    await office.accounts.end("sato", by=MANAGER, reason="異動")
    with pytest.raises(RefusedError):
        await office.sign_in("sato")
    (listed,) = [account for account in await office.accounts.all() if account.id == "sato"]
    assert (listed.ended_by, listed.ended_at, listed.reason, listed.live) == (MANAGER, office.at, "異動", False)
    async with office.accounts.engine.connect() as connection:
        for table in (tables.credentials, tables.grants):
            rows = await connection.execute(select(table).where(table.c.account == "sato"))
            assert rows.first() is None
    with pytest.raises(AccountError, match="no live account"):
        await office.accounts.end("sato", by=MANAGER, reason="異動")
    with pytest.raises(AccountError, match="never given to a second person"):
        await office.issued("sato")


async def test_the_last_manager_stays(office: Office) -> None:
    with pytest.raises(AccountError, match="the last 課長"):
        await office.accounts.end(MANAGER, by=MANAGER, reason="異動")
    await office.enrolled("mori", Role.MANAGER)
    await office.accounts.end(MANAGER, by="mori", reason="異動")


@pytest.mark.rule("B-30")
async def test_who_was_looked_through_and_when(office: Office) -> None:
    await office.enrolled("sato")
    await office.accounts.review("sato", by=MANAGER)
    (listed,) = [account for account in await office.accounts.all() if account.id == "sato"]
    assert (listed.reviewed_by, listed.reviewed_at) == (MANAGER, office.at)
    assert office.actions()[-1] == "account.reviewed"


@pytest.mark.rule("B-07")
async def test_without_a_line_in_the_log_nothing_is_done(office: Office) -> None:
    await office.enrolled("sato")
    office.later(minutes=1)
    office.log_is_full = True
    for attempt in (
        office.issued("mori"), office.accounts.end("sato", by=MANAGER, reason="異動"), office.sign_in("sato"),
        office.accounts.grants.give("sato", 1, Identity.generate(), by=MANAGER),
        office.accounts.review("sato", by=MANAGER),
    ):  # fmt: skip
        with pytest.raises(LogWriteError):
            await attempt
    office.log_is_full = False
    assert [account.id for account in await office.accounts.all() if account.live] == ["sato", MANAGER]
    office.later(minutes=1)
    assert (await office.held("sato")).identities == {}


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_what_was_granted_before_the_password_was_chosen_is_opened_by_it(office: Office) -> None:
    identity = Identity.generate()
    secret = await office.issued("sato")
    await office.accounts.grants.give("sato", 1, identity, by=MANAGER)
    await office.enrol("sato", secret)
    await office.accounts.grants.give("sato", 2, identity, by=MANAGER)
    await office.accounts.grants.give("sato", 2, identity, by=MANAGER)
    office.later(minutes=1)
    epochs = (await office.held("sato")).identities
    assert {epoch: str(found) for epoch, found in epochs.items()} == {1: str(identity), 2: str(identity)}


@pytest.mark.rule("B-06")
@pytest.mark.parametrize("role", sorted(set(Role) - OPERATORS))
async def test_who_is_no_staff_can_be_given_no_key_not_even_by_sql(office: Office, role: Role) -> None:
    await office.enrolled("gyosha", role)
    with pytest.raises(AccountError, match="only 職員"):
        await office.accounts.grants.give("gyosha", 1, Identity.generate(), by=MANAGER)
    assert "key.granted" not in office.actions()
    row = {
        "account": "gyosha",
        "pbx": "pbx1",
        "epoch": 1,
        "sealed": b"x",
        "granted_by": MANAGER,
        "granted_at": START.replace(tzinfo=None),
    }
    for pretended in (str(role), "staff"):
        with pytest.raises(IntegrityError):
            async with office.accounts.engine.begin() as connection:
                await connection.execute(insert(tables.grants).values(**row, role=pretended))


@pytest.mark.rule("B-06")
async def test_nobody_with_a_key_becomes_a_contractor(office: Office) -> None:
    await office.enrolled("sato")
    await office.accounts.grants.give("sato", 1, Identity.generate(), by=MANAGER)
    for change in (
        update(tables.accounts).where(tables.accounts.c.id == "sato").values(role="contractor"),
        update(tables.grants).where(tables.grants.c.account == "sato").values(role="contractor"),
        update(tables.accounts).where(tables.accounts.c.id == "sato").values(role="boss"),
        delete(tables.accounts).where(tables.accounts.c.id == "sato"),
    ):
        with pytest.raises(IntegrityError):
            async with office.accounts.engine.begin() as connection:
                await connection.execute(change)


# --- who should not come in -------------------------------------------------------------------------------------------


async def test_a_code_is_good_once_even_for_two_at_the_same_time(office: Office) -> None:
    await office.enrolled("sato")
    office.later(minutes=1)
    done = await asyncio.gather(office.sign_in("sato"), office.sign_in("sato"), return_exceptions=True)
    assert {type(each) for each in done} == {SignedIn, RefusedError}
    with pytest.raises(RefusedError):
        await office.sign_in("sato", steps=-1)


async def test_the_refusal_does_not_say_of_what(office: Office) -> None:
    await office.enrolled("sato")
    office.seeds["nobody.there"] = seed()
    said = set()
    for account, password, steps in (
        ("sato", "another sentence", 0), ("sato", PASSWORD, 5), ("nobody.there", PASSWORD, 0), ("", "", 0),
        ("'; DROP TABLE accounts; --", PASSWORD, 0),
    ):  # fmt: skip
        office.seeds.setdefault(account, seed())
        office.later(minutes=20)
        with pytest.raises(RefusedError) as raised:
            await office.sign_in(account, password, steps=steps)
        said.add(str(raised.value))
    assert len(said) == 1
    refused = [(about, detail["why"]) for _, action, about, detail in office.told if action == "account.refused"]
    assert {about for about, _ in refused} == {"sato", "unknown"}, "what was typed for an ID may be a password"


async def test_ten_thousand_at_once_are_three(office: Office) -> None:
    await office.enrolled("sato")
    office.later(minutes=1)
    guesses = (office.sign_in("sato", f"guess number {number}") for number in range(10_000))
    done = await asyncio.gather(*guesses, return_exceptions=True)
    kinds = [type(each) for each in done]
    assert (kinds.count(RefusedError), kinds.count(TooSoonError)) == (3, 9_997)
    assert office.actions().count("account.refused") == 3
    office.later(minutes=1)
    await office.sign_in("sato", address="198.51.100.9")


@pytest.mark.rule("B-06", "B-07")
async def test_who_can_write_into_the_database_gets_nothing_by_it(office: Office) -> None:
    """A box of their own in place of somebody's, a public key, a role, an account that nobody issued."""
    await office.enrolled("sato")
    await office.enrolled("mallory", Role.CONTRACTOR)
    office.later(minutes=5)

    async def changed(*statements: str) -> None:
        async with office.accounts.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    theirs = "(SELECT {0} FROM credentials WHERE account = 'mallory')"
    took = [f"{name} = {theirs.format(name)}" for name in ("salt", "recipient", "sealed")]
    for statements in (
        [f"UPDATE credentials SET {', '.join(took)} WHERE account = 'sato'"],  # noqa: S608  # ours
        [f"UPDATE credentials SET {took[1]} WHERE account = 'sato'"],  # noqa: S608  # ours
    ):
        before = await _rows(office)
        await changed(*statements)
        with pytest.raises(ForgedError):
            await office.accounts.grants.give("sato", 1, Identity.generate(), by=MANAGER)
        with pytest.raises((ForgedError, RefusedError)):
            await office.sign_in("sato")
        await _restored(office, before)
        office.later(minutes=20)
    await changed("UPDATE accounts SET role = 'manager' WHERE id = 'mallory'")
    with pytest.raises(ForgedError):
        await office.sign_in("mallory")
    assert "account.forged" in office.actions()


async def _rows(office: Office) -> list[dict[str, Any]]:
    async with office.accounts.engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(select(tables.credentials))).mappings()]


async def _restored(office: Office, rows: list[dict[str, Any]]) -> None:
    async with office.accounts.engine.begin() as connection:
        await connection.execute(delete(tables.credentials))
        await connection.execute(insert(tables.credentials), rows)


async def test_a_grant_that_cannot_be_opened_keeps_nobody_out(office: Office) -> None:
    await office.enrolled("sato")
    identity = Identity.generate()
    for epoch in (1, 2):
        await office.accounts.grants.give("sato", epoch, identity, by=MANAGER)
    async with office.accounts.engine.begin() as connection:
        await connection.execute(update(tables.grants).where(tables.grants.c.epoch == 1).values(sealed=b"x"))
    office.later(minutes=1)
    assert list((await office.held("sato")).identities) == [2]
    assert office.told[-1][3]["unusable"] == [1]


# --- who lost something -----------------------------------------------------------------------------------------------


async def test_a_lost_password_is_a_new_secret_and_a_new_grant(office: Office) -> None:
    await office.enrolled("sato")
    await office.accounts.grants.give("sato", 1, Identity.generate(), by=MANAGER)
    secret = await office.accounts.renew("sato", by=MANAGER)
    office.later(minutes=1)
    with pytest.raises(RefusedError):
        await office.sign_in("sato")
    await office.enrol("sato", secret, NEW)
    office.later(minutes=1)
    assert (await office.held("sato", NEW)).identities == {}


async def test_until_a_manager_can_sign_in_the_installer_issues(tmp_path: Path) -> None:
    engine = store.engine(databases.url(tmp_path))
    await store.migrate(engine)
    made: Office
    made = Office(
        Accounts(
            engine, "pbx1", tell=lambda *told: made.tell(*told), logged=lambda account: made.logged(account),
            now=lambda: made.at, cost=CHEAP,
        )
    )  # fmt: skip
    await made.issued(MANAGER, Role.MANAGER, by=INSTALLER)  # and the paper is lost
    made.later(days=10)
    secret = await made.accounts.renew(MANAGER, by=INSTALLER)
    await made.enrol(MANAGER, secret)
    with pytest.raises(AccountError, match="until one of them is in use"):
        await made.accounts.renew(MANAGER, by=INSTALLER)
    await made.issued("kato", Role.MANAGER)
    with pytest.raises(AccountError, match="another has to be in use first"):
        await made.accounts.end(MANAGER, by=MANAGER, reason="異動")
    await engine.dispose()


async def test_what_the_log_says_of_an_account() -> None:
    def entry(action: str, **detail: Any) -> Entry:
        return Entry(seq=0, prev="", ts=START, actor="a", action=action, object="sato", detail=detail, raw=b"")

    issued, enrolled = entry("account.issued", role="staff", recipient="1"), entry("account.enrolled", recipient="2")
    assert known([]) is None
    assert known([enrolled]) is None, "never issued"
    assert known([issued]) == Known(role="staff", recipient="1")
    assert known([issued, entry("account.signed-in"), enrolled]) == Known(role="staff", recipient="2")
    assert known([issued, enrolled, entry("account.ended", reason="異動")]) is None
