"""Another epoch, stopped wherever it can be; a swapped recipient; who opens what before, meanwhile and after."""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import insert, update

from cti.purpose import Purpose
from cti.vaultkeys import Giver, Rotated, VaultKeys
from policies.rights import Role
from recorder.access import tables
from recorder.access.accounts import INSTALLER, Accounts
from recorder.access.credentials import STEP, seed
from recorder.access.entry import Entry
from recorder.access.grants import Held, NoKeyHeldError
from recorder.access.people import SignedIn
from recorder.access.tables import SIGNING
from recorder.vault import epochs, keys
from recorder.vault.age import Identity, Passphrase, unwrap, wrap
from recorder.vault.folder import Writer, one_at_a_time
from recorder.vault.keys import KeysError, RotationError
from recorder.vault.slots import SLOT
from recorder.vault.stream import decrypt
from tests.unit.cti.office import BOTH, PASSPHRASE, SECONDS, WEAK, Office, accounts_of, keys_of, samples
from tests.unit.recorder.rig import START

PASSWORD = "雨の日は 傘を二本持って出る"  # nobody's


@dataclass
class House:
    """The office, its keys, and two who hold them: tanaka (課長, with the signing key) and sato."""

    office: Office
    accounts: Accounts
    vault: VaultKeys
    seeds: dict[str, str] = field(default_factory=dict)
    at: datetime = START + timedelta(days=1)

    async def enrolled(self, account: str, role: Role, by: str = "tanaka") -> None:
        self.seeds[account] = seed()
        secret = await self.accounts.issue(account, name="佐藤 花子", role=role, section=None, by=by)
        await self.accounts.enrol(account, secret, PASSWORD, self.seeds[account], self._code(account), "192.0.2.1")

    def _code(self, account: str) -> str:
        self.at += timedelta(seconds=STEP)
        return pyotp.TOTP(self.seeds[account]).at(self.at)

    async def signed_in(self, account: str) -> SignedIn:
        return await self.accounts.sign_in(account, PASSWORD, self._code(account), "192.0.2.1")

    async def held(self, account: str) -> Held:
        return await self.accounts.grants.held(await self.signed_in(account))

    async def giver(self, account: str = "tanaka") -> Giver:
        held = await self.held(account)
        assert held.signer is not None
        return Giver(actor=account, identities=held.identities, signer=held.signer)

    async def rotate(self, **how: Any) -> Rotated:
        return await self.vault.rotate(await self.giver(), lambda _count: None, **how)

    def heard(self, held: Held, name: str = "two") -> bytes:
        return samples(b"".join(self.office.desk.play(self.office.open(name), held.opening, Purpose.QUALITY, "both")))

    def headers(self) -> list[bytes]:
        slots = self.office.vault.slots
        return [slots.read(number) for number in range(slots.count())]

    def actions(self) -> list[str]:
        return [entry.action for entry in self.office.desk.audit()]

    def lines(self, action: str) -> list[Entry]:
        return list(self.office.desk.audit(action=action))

    def listed(self) -> epochs.Listed:
        """As a recorder has it that starts now."""
        return epochs.Listed(self.office.desk.keys, self.vault.rotated)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.office.desk.keys.glob("epoch-*"))


@pytest.fixture
async def house(office: Office) -> House:
    accounts = accounts_of(office.desk, lambda: made.at)
    vault = keys_of(office.desk, accounts)
    made = House(office, accounts, vault)
    office.desk.now = lambda: made.at
    identity = keys.unlock(office.desk.keys, 1, PASSPHRASE)
    signer = keys.unlock_manager(office.desk.keys, PASSPHRASE)
    for account, role, by in (("tanaka", Role.MANAGER, INSTALLER), ("sato", Role.STAFF, "tanaka")):
        await made.enrolled(account, role, by)
        await accounts.grants.give(account, 1, identity, by="tanaka")
    await accounts.grants.give("tanaka", SIGNING, signer, by="tanaka")
    return made


# --- what it does -----------------------------------------------------------------------------------------------------


@pytest.mark.rule("B-12", "B-30")
async def test_what_was_recorded_before_is_heard_by_the_new_key_and_by_no_old_one(house: House) -> None:
    old = keys.unlock(house.office.desk.keys, 1, PASSPHRASE)
    bodies = {path: path.read_bytes() for path in house.office.vault.root.glob("segments/*/*")}
    session, looked = await house.signed_in("sato"), []
    done = await house.vault.rotate(await house.giver(), looked.append)
    assert (done.epoch, done.moved, done.slots, done.kept) == (2, 6, 6, False)
    assert (done.holders, done.without, done.foreign, done.lost) == (("tanaka", "sato"), (), (), ())
    assert sum(looked) == 12, "each once, and once more for what came meanwhile"
    for account in ("tanaka", "sato"):
        held = await house.held(account)
        assert list(held.identities) == [2]
        assert {name: house.heard(held, name) for name in SECONDS} == BOTH
    # Somebody who is signed in goes on: what is sealed to them is looked at each time.
    assert house.heard(await house.accounts.grants.held(session)) == BOTH["two"]
    assert not [header for header in house.headers() if _opens(header, old)]
    assert {path: path.read_bytes() for path in bodies} == bodies, "no sound was touched"
    assert house.files() == []
    with pytest.raises(KeysError, match="the passphrase opens nothing any more"):
        await house.office.verify()
    assert await house.office.verify(None) == []


async def test_the_recorder_encrypts_to_the_new_key_without_a_restart(house: House) -> None:
    listed = house.listed()
    writer = Writer(house.office.vault, to=listed.now, signer=keys.load_signer(house.office.desk.keys / "recorder.key"))
    assert writer.new_key().epoch == 1
    await house.rotate()
    key = writer.new_key()
    held = await house.held("sato")
    assert (key.epoch, key.key_id) == (2, held.identities[2].recipient.key_id)
    assert unwrap(house.headers()[key.slot], held.opening(2)) == key.file_key


async def test_a_key_that_was_written_while_the_list_changed_is_sealed_to_the_new_one(house: House) -> None:
    listed = house.listed()
    before = listed.now()
    await house.rotate()
    asked = iter([before, listed.now(), listed.now()])
    writer = Writer(house.office.vault, to=lambda: next(asked), signer=keys.load_signer(
        house.office.desk.keys / "recorder.key"))  # fmt: skip
    key = writer.new_key()
    assert key.epoch == 2
    assert unwrap(house.headers()[key.slot], (await house.held("sato")).opening(2)) == key.file_key


async def test_the_escrow_opens_the_new_epoch(house: House) -> None:
    await house.rotate()
    with (house.office.root / "escrow/epoch-0002.escrow.age").open("rb") as file:
        text = b"".join(decrypt(file, [Identity.parse((house.office.root / "paper").read_text())])).decode()
    identity = Identity.parse(text.splitlines()[-1])
    assert [_opens(header, identity) for header in house.headers()] == [True] * 6


async def test_as_long_as_nobody_has_an_account_the_passphrase_rotates_and_opens_the_next(office: Office) -> None:
    vault = keys_of(office.desk, accounts_of(office.desk, lambda: START))
    giver = Giver(
        actor="staff-1", identities={1: keys.unlock(office.desk.keys, 1, PASSPHRASE)},
        signer=keys.unlock_manager(office.desk.keys, PASSPHRASE), passphrase=Passphrase(PASSPHRASE, WEAK),
    )  # fmt: skip
    done = await vault.rotate(giver, lambda _count: None)
    assert (done.epoch, done.moved, done.holders) == (2, 6, ())
    assert [path.name for path in office.desk.keys.glob("epoch-*")] == ["epoch-0002.age"]
    assert await office.verify() == []
    assert samples(office.play("three")) == BOTH["three"]


@pytest.mark.rule("B-30")
async def test_whose_keys_were_taken_away_is_given_none_of_the_new(house: House) -> None:
    before = await house.held("sato")
    await house.accounts.grants.revoke("sato", by="tanaka")
    done = await house.rotate()
    assert done.holders == ("tanaka",)
    with pytest.raises(NoKeyHeldError):
        house.heard(await house.held("sato"))
    # Nor does what they kept of before open anything.
    assert not [header for header in house.headers() if _opens(header, before.identities[1])]


async def test_an_erased_slot_stays_erased(house: House) -> None:
    house.office.vault.slots.wipe(3)
    done = await house.rotate()
    assert (done.moved, done.kept) == (5, False)
    assert [finding.problem for finding in await house.office.verify(None)] == []
    with pytest.raises(Exception, match="erased"):
        house.office.vault.slots.read(3)


# --- what must not be destroyed ---------------------------------------------------------------------------------------


async def test_a_header_that_no_key_opens_keeps_the_old_key(house: House) -> None:
    stranger = wrap(bytes(16), [Identity.generate().recipient])
    house.office.vault.slots.rewrite(2, stranger)
    done = await house.rotate()
    assert (done.moved, done.foreign, done.kept) == (5, (2,), True)
    assert (await house.held("tanaka")).identities.keys() == {1, 2}
    assert house.vault.tested().foreign == (2,)
    plan = await house.vault.plan()
    assert (plan.epoch, plan.before, plan.unfinished) == (2, (1, 2), True)
    # The same again says the same and begins no third epoch; who gives the slot up is rid of the old key.
    assert (await house.rotate()).kept
    assert not (await house.rotate(give_up=True)).kept
    assert (await house.held("tanaka")).identities.keys() == {2}


async def test_a_slot_that_is_whole_nowhere_keeps_the_old_key(house: House) -> None:
    for path in (house.office.vault.slots.primary, house.office.vault.slots.mirror):
        with path.open("r+b") as file:
            file.seek(4 * SLOT + 100)
            file.write(b"\xff")
    assert (await house.rotate()).lost == (4,)
    assert (await house.held("sato")).identities.keys() == {1, 2}


async def test_while_the_second_medium_is_away_no_key_is_destroyed(house: House) -> None:
    mirror = house.office.vault.slots.mirror
    mirror.rename(mirror.with_name("away"))
    with pytest.raises(OSError, match=str(mirror)):
        await house.rotate()
    mirror.with_name("away").rename(mirror)
    assert {name: house.heard(await house.held("sato"), name) for name in SECONDS} == BOTH
    assert (await house.rotate()).epoch == 2, "it goes on, and begins no third"


def recorder(house: House) -> list[Any]:
    """What the recorder answers: the last of these."""
    answers: list[Any] = []

    async def ask(_question: Any, _deadline: float) -> dict[str, Any]:
        if isinstance(answers[-1], Exception):
            raise answers[-1]
        found: dict[str, Any] = answers[-1]
        return found

    house.office.desk._ask = ask  # the recorder
    return answers


async def test_a_recorder_that_does_not_follow_keeps_the_old_key(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.vaultkeys.PATIENCE", 0.3)
    answers = recorder(house)
    for answer in ({"epoch": 1}, {}):
        answers.append(answer)
        with pytest.raises(RotationError, match="goes on with the key of before"):
            await house.rotate()
        assert {name: house.heard(await house.held("sato"), name) for name in SECONDS} == BOTH
    answers.append({"epoch": 2})
    done = await house.rotate()
    assert (done.epoch, done.moved, done.kept) == (2, 6, False)


@pytest.mark.parametrize("answer", [ConnectionRefusedError(111, "no"), FileNotFoundError(2, "no"), TimeoutError()])
async def test_of_a_recorder_that_does_not_answer_nobody_knows_what_it_does(house: House, answer: Exception) -> None:
    """It may hang, or run elsewhere: what it goes on to record would be closed for ever."""
    recorder(house).append(answer)
    with pytest.raises(RotationError, match="the recorder does not answer"):
        await house.rotate()
    assert keys.load_recipients(house.office.desk.keys).epoch == 1
    assert house.lines("keys.rotated") == []
    assert (await house.rotate(no_recorder=True)).epoch == 2


# --- who may not ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("B-06")
async def test_who_holds_no_signing_key_cannot_name_a_recipient(house: House) -> None:
    held = await house.held("sato")
    assert held.signer is None
    other = keys.Signer.generate("kikitori/pbx1/manager")
    with pytest.raises(KeysError, match="is not of the key that would sign"):
        await house.vault.rotate(Giver(actor="sato", identities=held.identities, signer=other), lambda _count: None)
    assert keys.load_recipients(house.office.desk.keys).epoch == 1
    assert {name: house.heard(await house.held("sato"), name) for name in SECONDS} == BOTH


async def test_who_does_not_hold_the_key_cannot_change_it(house: House) -> None:
    giver = await house.giver()
    with pytest.raises(RotationError, match="does not hold the key of epoch 1"):
        await house.vault.rotate(Giver(actor="tanaka", identities={}, signer=giver.signer), lambda _count: None)
    stranger = {1: Identity.generate()}
    with pytest.raises(KeysError, match="stop recording and find out who signed it"):
        await house.vault.rotate(Giver(actor="tanaka", identities=stranger, signer=giver.signer), lambda _count: None)
    assert "keys.rotated" not in house.actions()


async def test_two_at_once_are_one(house: House) -> None:
    giver = await house.giver()
    with one_at_a_time(house.office.desk.keys), pytest.raises(RotationError, match="being changed just now"):
        await house.vault.rotate(giver, lambda _count: None)
    found = await asyncio.gather(
        *(house.vault.rotate(giver, lambda _count: None) for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["Rotated", "RotationError", "RotationError"]
    assert keys.load_recipients(house.office.desk.keys).epoch == 2


async def test_a_list_that_goes_back_or_is_another_s_is_not_followed(house: House) -> None:
    folder = house.office.desk.keys
    before = (folder / "recipients.note").read_bytes()
    await house.rotate()
    listed = house.listed()
    (_epoch, recipient), note = listed.now(), folder / "recipients.note"
    assert listed.trouble is None
    forged = keys.dump_recipients(
        keys.Recipients(epoch=9, recipient=Identity.generate().recipient,
                        escrow_recipient=recipient, since=START), keys.Signer.generate("kikitori/pbx1/manager"),
    ).encode()  # fmt: skip
    for text in (before, forged, b"", b"\xff"):
        note.chmod(0o644)
        note.write_bytes(text)
        assert listed.now() == (2, recipient)
        assert listed.trouble is not None
    note.unlink()
    assert listed.now() == (2, recipient)


# --- stopped wherever it can be ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def refused_after(syncs: int) -> Iterator[None]:
    """So many calls that make something durable are done, and none after them."""
    left = syncs

    def limited(real: Callable[[int], None]) -> Callable[[int], None]:
        def call(handle: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.EIO, "the disk refuses")
            real(handle)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, limited(getattr(os, name)))
        yield


async def test_stopped_at_any_point_everything_is_heard_and_it_goes_on(house: House) -> None:
    """A disk that refuses from the n-th sync on, for every n there is; each time the next try ends it."""
    epoch, stopped = 1, 0
    for at in range(200):
        giver = await house.giver()
        with refused_after(at):
            try:
                await house.vault.rotate(giver, lambda _count: None)
                over = True
            except (OSError, KeysError):
                over = False
                stopped += 1
        for account in ("tanaka", "sato"):
            assert house.heard(await house.held(account)) == BOTH["two"], f"{account}, stopped at sync {at}"
        if over:
            break
        done = await house.rotate()
        assert not done.kept
        assert done.epoch > epoch
        epoch = done.epoch
        held = (await house.held("tanaka")).identities
        assert list(held) == [epoch]
        assert [_opens(header, held[epoch]) for header in house.headers()] == [True] * 6
    assert over
    assert stopped >= 9, "it syncs that often at least"


# --- a swapped recipient ----------------------------------------------------------------------------------------------


async def test_a_header_for_somebody_else_shows_when_the_next_one_signs_in(house: House) -> None:
    assert (await house.vault.test(await house.held("sato"))).slots == 6
    tested = house.actions().count("keys.tested")
    assert (await house.vault.test(await house.held("sato"))).foreign == ()
    assert house.actions().count("keys.tested") == tested, "nothing is new, nothing is said"
    thief = Identity.generate()
    writer = Writer(house.office.vault, to=lambda: (1, thief.recipient), signer=keys.load_signer(
        house.office.desk.keys / "recorder.key"))  # fmt: skip
    stolen = writer.new_key()
    found = await house.vault.test(await house.held("sato"))
    assert (found.slots, found.foreign) == (7, (stolen.slot,))
    assert house.vault.tested() == found
    # It stays said until it is put right.
    assert (await house.vault.test(await house.held("sato"))).foreign == (stolen.slot,)
    recipient = keys.load_recipients(house.office.desk.keys).recipient
    house.office.vault.slots.rewrite(stolen.slot, wrap(stolen.file_key, [recipient]))
    assert (await house.vault.test(await house.held("sato"))).foreign == ()


async def test_of_many_new_ones_a_few_at_a_time(house: House) -> None:
    for slots in (2, 4, 6, 6):
        assert (await house.vault.test(await house.held("sato"), most=2)).slots == slots


async def test_who_does_not_hold_every_key_calls_nothing_foreign(house: House) -> None:
    await house.accounts.grants.revoke("sato", by="tanaka")
    assert await house.vault.test(await house.held("sato")) == house.vault.tested()
    assert "keys.tested" not in house.actions()


def _opens(header: bytes, identity: Identity) -> bool:
    try:
        return bool(unwrap(header, [identity]))
    except Exception:  # noqa: BLE001  # whatever it says, it does not open
        return False


# --- what somebody may put back, add or take away ---------------------------------------------------------------------


def recorder_writer(house: House) -> Writer:
    """Of a recorder that starts now."""
    signer = keys.load_signer(house.office.desk.keys / "recorder.key")
    return Writer(house.office.vault, to=house.listed().now, signer=signer)


def put(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


async def row(house: House, account: str, epoch: int, role: str) -> None:
    """Rubbish, by who may write into the database."""
    values = {"account": account, "pbx": "pbx1", "epoch": epoch, "role": role, "sealed": b"x", "granted_by": "tanaka"}
    async with house.accounts.engine.begin() as connection:
        await connection.execute(insert(tables.grants).values(**values, granted_at=house.at.replace(tzinfo=None)))


@pytest.mark.rule("B-12")
async def test_a_second_medium_from_before_the_rotation_closes_nothing(house: House) -> None:
    """docs/operations.ja.md, 3.5: the newest backup goes onto a new medium. It may be older than the keys."""
    mirror = house.office.vault.slots.mirror
    backup = mirror.read_bytes()
    await house.rotate()
    mirror.unlink()
    writer = recorder_writer(house)
    writer.new_key()
    put(mirror, backup)
    writer.mend_mirror()
    held = await house.held("tanaka")
    assert {name: house.heard(held, name) for name in SECONDS} == BOTH
    assert {finding.problem for finding in await house.office.verify(None)} >= {"the two copies differ"}
    await house.rotate()  # who holds the keys can tell which is right
    assert house.office.vault.slots.check() == []
    assert {name: house.heard(await house.held("sato"), name) for name in SECONDS} == BOTH


async def test_a_first_medium_from_before_the_rotation_is_read_from_the_second(house: House) -> None:
    primary = house.office.vault.slots.primary
    backup = primary.read_bytes()
    await house.rotate()
    put(primary, backup)
    held = await house.held("sato")
    assert {name: house.heard(held, name) for name in SECONDS} == BOTH
    assert (await house.vault.test(held)).foreign == ()
    await house.rotate()
    assert house.office.vault.slots.check() == []


@pytest.mark.rule("B-06")
async def test_a_row_in_the_database_makes_nobody_a_holder(house: House) -> None:
    await house.accounts.grants.revoke("sato", by="tanaka")
    await house.enrolled("kato", Role.LIAISON)
    await row(house, "sato", 1, "staff")
    await row(house, "kato", 1, "liaison")
    assert (await house.rotate()).holders == ("tanaka",)
    for account in ("sato", "kato"):
        assert (await house.held(account)).identities == {}


@pytest.mark.parametrize("epoch", [1, -7])
async def test_a_row_of_another_epoch_stops_no_rotation_and_no_trying(house: House, epoch: int) -> None:
    await house.rotate()
    await row(house, "tanaka", epoch, "manager")
    plan = await house.vault.plan()
    assert (plan.before, plan.unfinished) == ((2,), False)
    recorder_writer(house).new_key()
    assert (await house.vault.test(await house.held("sato"))).slots == 7
    assert (await house.rotate()).epoch == 3


async def test_a_list_of_before_that_is_put_back_seals_nothing_to_the_old_key(house: House) -> None:
    note = house.office.desk.keys / "recipients.note"
    before = note.read_bytes()
    await house.rotate()
    put(note, before)
    listed = house.listed()
    assert listed.trouble is not None
    assert "find out who changed it" in listed.trouble
    key = recorder_writer(house).new_key()
    held = await house.held("sato")
    assert (key.epoch, unwrap(house.headers()[key.slot], held.opening(2))) == (2, key.file_key)
    # The next rotation puts the list right, too.
    done = await house.rotate()
    assert (done.epoch, done.kept) == (3, False)
    assert house.listed().trouble is None


async def test_a_list_of_somebody_else_is_an_alarm_and_what_it_sealed_shows(house: House) -> None:
    """Who is the desk's user owns the key folder, the verifier in it too."""
    folder, thief = house.office.desk.keys, Identity.generate()
    forger = keys.Signer.generate("kikitori/pbx1/manager")
    forged = keys.Recipients(epoch=99, recipient=thief.recipient, escrow_recipient=thief.recipient, since=house.at)
    put(folder / "manager.pub", f"{forger.verifier}\n".encode())
    put(folder / "recipients.note", keys.dump_recipients(forged, forger).encode())
    assert house.listed().trouble is not None
    stolen = recorder_writer(house).new_key()
    assert (await house.vault.test(await house.held("sato"))).foreign == (stolen.slot,)


async def test_who_gives_up_has_to_hold_every_key_that_is_left(house: House) -> None:
    """Half-way, with a grant of one's own spoilt: somebody else may hold what opens the rest."""
    slots = house.office.vault.slots
    slots.rewrite(2, wrap(bytes(16), [Identity.generate().recipient]))
    assert (await house.rotate()).kept
    async with house.accounts.engine.begin() as connection:
        mine = (tables.grants.c.account == "tanaka") & (tables.grants.c.epoch == 1)
        await connection.execute(update(tables.grants).where(mine).values(sealed=b"x"))
    with pytest.raises(RotationError, match="tanaka does not hold the key of epoch 1"):
        await house.rotate(give_up=True)
    assert (await house.held("sato")).identities.keys() == {1, 2}


async def test_a_file_that_is_half_destroyed_shuts_nobody_out(office: Office) -> None:
    vault = keys_of(office.desk, accounts_of(office.desk, lambda: START))

    def giver() -> Giver:
        identities = {
            epoch: keys.unlock(office.desk.keys, epoch, PASSPHRASE) for epoch in keys.epochs(office.desk.keys)
        }
        return Giver(
            actor="staff-1", identities=identities, signer=keys.unlock_manager(office.desk.keys, PASSPHRASE),
            passphrase=Passphrase(PASSPHRASE, WEAK),
        )  # fmt: skip

    before = giver()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", _refuses(Path.unlink))
        with pytest.raises(KeysError, match="cannot be destroyed"):
            await vault.rotate(before, lambda _count: None)
    assert samples(office.play("three")) == BOTH["three"]
    assert (await vault.rotate(giver(), lambda _count: None)).epoch == 3
    assert sorted(path.name for path in office.desk.keys.glob("*epoch-*")) == ["epoch-0003.age"]


@pytest.mark.parametrize("where", ["keys", "escrow"])
async def test_a_file_with_a_strange_number_costs_no_key(office: Office, where: str) -> None:
    (office.root / where / "epoch-999999999.age").write_bytes(b"x")
    vault = keys_of(office.desk, accounts_of(office.desk, lambda: START))
    done = await vault.rotate(
        Giver(
            actor="staff-1", identities={1: keys.unlock(office.desk.keys, 1, PASSPHRASE)},
            signer=keys.unlock_manager(office.desk.keys, PASSPHRASE), passphrase=Passphrase(PASSPHRASE, WEAK),
        ),
        lambda _count: None,
    )  # fmt: skip
    assert done.epoch == 2
    assert keys.unlock(office.desk.keys, 2, PASSPHRASE)


async def test_a_key_that_cannot_be_rewritten_is_written_anew(house: House) -> None:
    before = house.listed().now()
    await house.rotate()
    after, mirror = house.listed().now(), house.office.vault.slots.mirror
    asked = iter([before, after])

    def to() -> Any:
        found = next(asked)
        if found is after:
            mirror.rename(mirror.with_name("away"))
        return found

    signer = keys.load_signer(house.office.desk.keys / "recorder.key")
    writer = Writer(house.office.vault, to=to, signer=signer)
    key = writer.new_key()
    mirror.with_name("away").rename(mirror)
    assert unwrap(house.office.vault.slots.read(key.slot), (await house.held("sato")).opening(2)) == key.file_key
    assert writer.mirror_trouble is not None


async def test_when_the_only_holder_is_ended_in_the_middle_the_old_key_stays(house: House) -> None:
    await house.accounts.grants.revoke("sato", by="tanaka")
    giver, real = await house.giver(), epochs.reseal
    with pytest.MonkeyPatch.context() as patch:

        def reseal(*arguments: Any) -> epochs.Resealed:
            asyncio.run_coroutine_threadsafe(house.accounts.grants.revoke("tanaka", by="tanaka"), loop).result(5)
            return real(*arguments)

        loop = asyncio.get_running_loop()
        patch.setattr(epochs, "reseal", reseal)
        with pytest.raises(RotationError, match="nobody holds the key of epoch 2 any more"):
            await house.vault.rotate(giver, lambda _count: None)
    assert house.files() == ["epoch-0001.age"], "the passphrase's"
    assert house.lines("keys.retired") == []


async def test_more_than_a_hundred_foreign_ones_are_all_said_in_the_end(house: House) -> None:
    stranger = Identity.generate().recipient
    for _ in range(150):
        house.office.vault.slots.append(wrap(bytes(16), [stranger]))
    held = await house.held("sato")
    found = await house.vault.test(held)
    assert (len(found.foreign), found.slots) == (100, 106)
    for slot in found.foreign:
        house.office.vault.slots.wipe(slot)
    assert (await house.vault.test(held)).foreign == tuple(range(106, 156))


async def test_a_clock_that_was_ahead_puts_nothing_off(house: House) -> None:
    house.at += timedelta(days=3650)
    await house.rotate()
    house.at -= timedelta(days=3650)
    assert house.vault.due((await house.vault.plan()).since, house.at)


async def test_while_keys_are_changed_none_is_given_or_taken_away(house: House) -> None:
    held = await house.held("tanaka")
    with house.vault.alone():
        for work in (
            house.vault.give_all("sato", held.identities, None, "tanaka"), house.vault.revoke("sato", "tanaka"),
        ):  # fmt: skip
            with pytest.raises(RotationError, match="being changed just now"):
                await work
    assert (await house.held("sato")).identities.keys() == {1}


def _refuses(real: Callable[..., None]) -> Callable[..., None]:
    """Of files that are being destroyed."""

    def unlink(path: Path, **more: Any) -> None:
        if path.name.endswith(".going"):
            raise OSError(errno.EIO, "the power went")
        real(path, **more)

    return unlink


async def test_what_a_rotation_was_stopped_in_after_its_last_line_is_ended(house: House) -> None:
    with pytest.MonkeyPatch.context() as patch:

        async def stopped(keep: Any) -> None:
            if list(keep) == [2]:
                raise OSError(errno.EIO, "the power went")

        patch.setattr(house.vault, "_retire", stopped)
        with pytest.raises(OSError, match="the power went"):
            await house.rotate()
    assert (house.files(), (await house.held("sato")).identities.keys()) == (["epoch-0001.age"], {1, 2})
    await house.vault.tidy()
    assert (house.files(), (await house.held("sato")).identities.keys()) == ([], {2})
    assert house.heard(await house.held("sato")) == BOTH["two"]


async def test_by_a_log_that_is_older_than_the_list_nothing_is_tidied(house: House) -> None:
    """The access log was put back from a backup: what it calls over may be what is in use."""
    await house.rotate()
    real = house.office.desk.last_of
    house.office.desk.last_of = lambda about, actions: None if "escrow.renewed" in actions else real(about, actions)  # type: ignore[method-assign]
    await house.vault.tidy()
    assert (await house.held("sato")).identities.keys() == {2}


async def test_a_slot_that_no_segment_uses_holds_up_no_rotation(house: House) -> None:
    slots = house.office.vault.slots
    orphan = slots.append(wrap(bytes(16), [Identity.generate().recipient]))
    for path in (slots.primary, slots.mirror):
        with path.open("r+b") as file:
            file.seek(orphan * SLOT + 100)
            file.write(b"\xff")
    done = await house.rotate()
    assert (done.lost, done.kept) == ((orphan,), False)
