"""The escrow with two persons: opened when nobody holds a key, renewed, and destroyed when an epoch is over."""

import pytest
from sqlalchemy import delete

from cti.errors import NotFoundError, UsageError
from cti.escrow import Escrow, Two
from policies.rights import Role
from recorder.access import tables
from recorder.access.grants import NoKeyHeldError
from recorder.vault import keys
from recorder.vault.age import Identity, wrap
from recorder.vault.keys import KeysError, RotationError
from tests.unit.cti.office import BOTH, PASSPHRASE
from tests.unit.cti.test_vaultkeys import House, house  # noqa: F401  # a fixture


@pytest.fixture
async def mori(house: House) -> House:  # noqa: F811
    """The house, and a 担当課長代理 in it who holds nothing."""
    await house.enrolled("mori", Role.DEPUTY)
    return house


def paper(of: House) -> Identity:
    return Identity.parse((of.office.root / "paper").read_text())


async def two(of: House, first: str = "tanaka", second: str = "mori") -> Two:
    return Two(first=await of.signed_in(first), second=await of.signed_in(second))


@pytest.mark.rule("B-12", "B-30")
async def test_when_nobody_holds_a_key_two_persons_and_the_paper_give_them_one(mori: House) -> None:
    for account in ("tanaka", "sato"):
        await mori.accounts.grants.revoke(account, by="tanaka")
    for path in mori.office.desk.keys.glob("epoch-*.age"):
        path.unlink()
    with pytest.raises(NoKeyHeldError):
        mori.heard(await mori.held("tanaka"))
    assert await Escrow(mori.vault).open(paper(mori), await two(mori)) == (1,)
    for account in ("tanaka", "mori"):
        assert mori.heard(await mori.held(account)) == BOTH["two"]
    assert (await mori.held("sato")).identities == {}
    (line,) = mori.lines("escrow.opened")
    assert (line.actor, dict(line.detail)) == ("tanaka", {"epochs": [1], "with": "mori"})
    # The line comes before anything is given.
    assert mori.actions().index("escrow.opened") < len(mori.actions()) - 4


async def test_one_person_twice_are_not_two(mori: House) -> None:
    with pytest.raises(UsageError, match="tanaka is one"):
        await two(mori, "tanaka", "tanaka")


async def test_another_paper_opens_nothing_and_gives_nothing(mori: House) -> None:
    with pytest.raises(KeysError, match=r"epoch-0001\.escrow\.age: this key does not open it"):
        await Escrow(mori.vault).open(Identity.generate(), await two(mori))
    assert mori.lines("escrow.opened") == []
    assert (await mori.held("mori")).identities == {}


async def test_a_file_of_another_identity_in_the_escrow_is_given_to_nobody(mori: House) -> None:
    stranger = keys.identity_file(Identity.generate(), mori.at)
    path = mori.office.root / "escrow/epoch-0001.escrow.age"
    path.write_bytes(keys.encrypt(stranger, [paper(mori).recipient]))
    with pytest.raises(KeysError, match="find out who signed it"):
        await Escrow(mori.vault).open(paper(mori), await two(mori))
    assert (await mori.held("mori")).identities == {}


async def test_without_the_medium_it_says_what_is_missing(mori: House) -> None:
    (mori.office.root / "escrow/epoch-0001.escrow.age").unlink()
    with pytest.raises(NotFoundError, match="has no file of epoch 1"):
        await Escrow(mori.vault).open(paper(mori), await two(mori))


@pytest.mark.rule("B-12")
async def test_what_is_over_is_destroyed_and_what_is_in_use_never(mori: House) -> None:
    escrow = Escrow(mori.vault)
    with pytest.raises(UsageError, match="epoch 1 is in use"):
        await escrow.destroy(1, await two(mori))
    await mori.rotate()
    assert escrow.files().keys() == {1, 2}
    content = escrow.files()[1].read_bytes()
    handle = escrow.files()[1].open("rb")
    path = await escrow.destroy(1, await two(mori))
    with handle:
        assert handle.read() != content, "overwritten before it was removed"
    assert not path.exists()
    for epoch, error in ((2, UsageError), (1, NotFoundError), (9, NotFoundError)):
        with pytest.raises(error):
            await escrow.destroy(epoch, await two(mori))
    assert [dict(line.detail) for line in mori.lines("escrow.destroyed")] == [{"epoch": 1, "with": "mori"}]


async def test_of_a_rotation_that_was_not_ended_both_epochs_are_in_use(mori: House) -> None:
    mori.office.vault.slots.rewrite(2, wrap(bytes(16), [Identity.generate().recipient]))
    assert (await mori.rotate()).kept
    with pytest.raises(UsageError, match="epoch 1 is in use"):
        await Escrow(mori.vault).destroy(1, await two(mori))
    assert await Escrow(mori.vault).open(paper(mori), await two(mori)) == (1, 2)


async def test_a_new_paper_opens_what_is_in_use_and_what_comes_and_the_old_one_nothing(mori: House) -> None:
    escrow, shown = Escrow(mori.vault), list[str]()
    assert await escrow.renew(await mori.giver(), await two(mori), shown.append) == (1,)
    new = Identity.parse(shown[0])
    await mori.rotate()
    with pytest.raises(KeysError, match="this key does not open it"):
        await escrow.open(paper(mori), await two(mori))
    assert await escrow.open(new, await two(mori)) == (2,)
    assert mori.heard(await mori.held("mori")) == BOTH["two"]
    assert shown[0] not in repr(mori.lines("escrow.renewed"))


async def test_who_does_not_hold_the_key_cannot_seal_it_to_another_paper(mori: House) -> None:
    giver = await mori.giver()
    await mori.accounts.grants.revoke("tanaka", by="tanaka")
    emptied = type(giver)(actor="tanaka", identities={}, signer=giver.signer)
    with pytest.raises(KeysError, match="does not hold the key of epoch 1"):
        await Escrow(mori.vault).renew(emptied, await two(mori), lambda _text: None)
    assert mori.lines("escrow.renewed") == []
    assert keys.unlock(mori.office.desk.keys, 1, PASSPHRASE)


async def test_a_lost_database_does_not_make_a_key_that_is_needed_look_spent(
    mori: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after the list was signed: every header is still of the epoch before, and no row says who held it."""
    monkeypatch.setattr("cti.vaultkeys.PATIENCE", 0.1)
    answers: dict[str, int] = {"epoch": 1}

    async def ask(_question: object, _deadline: float) -> dict[str, int]:
        return answers

    mori.office.desk._ask = ask  # a recorder that does not follow
    with pytest.raises(RotationError):
        await mori.rotate()
    async with mori.accounts.engine.begin() as connection:
        await connection.execute(delete(tables.grants))
    for path in mori.office.desk.keys.glob("epoch-*.age"):
        path.unlink()
    escrow = Escrow(mori.vault)
    with pytest.raises(UsageError, match="epoch 1 is in use"):
        await escrow.destroy(1, await two(mori))
    assert await escrow.open(paper(mori), await two(mori)) == (1, 2)
    assert mori.heard(await mori.held("mori")) == BOTH["two"]


async def test_the_paper_is_not_renewed_in_the_middle_of_a_rotation(mori: House) -> None:
    giver, shown = await mori.giver(), list[str]()
    with mori.vault.alone(), pytest.raises(RotationError, match="being changed just now"):
        await Escrow(mori.vault).renew(giver, await two(mori), shown.append)
    assert shown == []


async def test_a_list_of_before_the_paper_was_renewed_is_not_believed(mori: House) -> None:
    note = mori.office.desk.keys / "recipients.note"
    before, shown = note.read_bytes(), list[str]()
    await Escrow(mori.vault).renew(await mori.giver(), await two(mori), shown.append)
    note.unlink()
    note.write_bytes(before)
    assert mori.listed().trouble is not None
    await mori.rotate()
    assert await Escrow(mori.vault).open(Identity.parse(shown[0]), await two(mori)) == (2,)
