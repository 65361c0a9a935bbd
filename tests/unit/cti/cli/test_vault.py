"""`kikitori vault` as 課長 and a second person use it."""

import json
from pathlib import Path

import pytest

from recorder.vault import keys
from recorder.vault.age import Identity, wrap
from recorder.vault.folder import VaultFolder
from tests.unit.cti.cli.conftest import Kikitori
from tests.unit.cti.cli.people import enrolled, password

TANAKA = ("--by", "tanaka")


def passphrase(house: Path) -> tuple[str, str]:
    (house / "passphrase").write_text("of the vault\n")
    return ("--passphrase-file", str(house / "passphrase"))


@pytest.fixture
def office(kikitori: Kikitori, house: Path) -> tuple[str, ...]:
    """tanaka (課長) and mori (担当課長代理) are there, tanaka holds the keys. How tanaka signs in."""
    enrolled(kikitori, house, "tanaka", "manager")
    manager = (*TANAKA, *password(house))
    enrolled(kikitori, house, "mori", "deputy", *manager)
    assert kikitori("vault", "grant", "tanaka", *manager, *passphrase(house)).status == 0
    return manager


def both(house: Path, manager: tuple[str, ...]) -> tuple[str, ...]:
    return (*manager, "--with", "mori", "--with-password-file", str(house / "password"))


@pytest.mark.rule("B-12", "B-30")
def test_from_the_first_epoch_to_the_end_of_its_escrow(
    kikitori: Kikitori,
    house: Path,
    office: tuple[str, ...],
) -> None:
    plan = json.loads(kikitori("vault", "rotate", "--dry-run", "--json").out)
    assert (plan["epoch"], plan["holders"], plan["unfinished"]) == (1, ["tanaka"], False)
    assert "The new key would be held by: tanaka" in kikitori("vault", "rotate", "--dry-run").out
    said = kikitori("vault", "rotate", "--no-recorder", *office)
    assert (said.status, said.err) == (0, "")
    assert "Epoch 2 is in use. 0 headers were sealed anew." in said.out
    (row,) = [json.loads(line) for line in kikitori("vault", "epochs", "--json").out.splitlines()]
    assert (row["epoch"], [one["account"] for one in row["holders"]], row["signing"]) == (2, ["tanaka"], ["tanaka"])
    files = [json.loads(line) for line in kikitori("vault", "escrow", "list", "--json").out.splitlines()]
    assert [(one["epoch"], one["in_use"]) for one in files] == [(1, False), (2, True)]
    assert Path(files[0]["file"]).exists()
    assert "would be destroyed" in kikitori("vault", "escrow", "destroy", "1", "--dry-run").out
    assert kikitori("vault", "escrow", "destroy", "2", "--yes", *both(house, office)).status == 64
    said = kikitori("vault", "escrow", "destroy", "1", "--yes", *both(house, office))
    assert (said.status, Path(files[0]["file"]).exists()) == (0, False)


def test_the_passphrase_opens_nothing_any_more_and_says_why(
    kikitori: Kikitori,
    house: Path,
    office: tuple[str, ...],
) -> None:
    assert kikitori("vault", "rotate", "--no-recorder", *office).status == 0
    said = kikitori("verify", "--all", "--open", *passphrase(house))
    assert (said.status, said.out) == (1, "")
    assert "the passphrase opens nothing any more" in said.err
    assert kikitori("verify", "--all", "--open", *office).status == 0
    assert kikitori("recover", *office).status == 0


def test_without_accounts_the_passphrase_rotates(kikitori: Kikitori, house: Path) -> None:
    assert json.loads(kikitori("vault", "rotate", "--no-recorder", *passphrase(house), "--json").out)["epoch"] == 2
    assert keys.epochs(house / "house/keys") == [2]
    assert kikitori("verify", "--all", "--open", *passphrase(house)).status == 0


def test_once_people_have_accounts_nobody_rotates_without_a_name(
    kikitori: Kikitori,
    house: Path,
    office: tuple[str, ...],
) -> None:
    said = kikitori("vault", "rotate", *passphrase(house))
    assert (said.status, said.out) == (77, "")
    assert "people have accounts here" in said.err
    said = kikitori("vault", "rotate", "--by", "mori", *password(house), *passphrase(house))
    assert said.status == 77
    assert "mori is 担当課長代理, who may not" in said.err
    assert keys.load_recipients(house / "house/keys").epoch == 1


@pytest.mark.rule("B-30")
def test_the_paper_gives_two_persons_the_keys(
    kikitori: Kikitori,
    house: Path,
    office: tuple[str, ...],
) -> None:
    first, _done = kikitori("vault", "escrow", "renew", *both(house, office), "--json").out.splitlines()
    made = json.loads(first)
    assert kikitori("vault", "revoke", "tanaka", *office).status == 0
    (house / "paper").write_text(made["escrow_identity"])
    said = kikitori("vault", "escrow", "open", *both(house, office), "--key-file", house / "paper")
    assert (said.status, said.err) == (0, "")
    assert "tanaka and mori hold the vault's keys now." in said.out
    assert made["escrow_identity"] not in said.out
    (row,) = [json.loads(line) for line in kikitori("vault", "epochs", "--json").out.splitlines()]
    assert [one["account"] for one in row["holders"]] == ["mori", "tanaka"]
    assert kikitori("vault", "test", "--by", "mori", *password(house)).status == 0


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ((), 64, "--with: name the second person"),
        (("--with", "tanaka"), 64, "the escrow needs two persons; tanaka is one"),
    ],
)
def test_one_person_opens_no_escrow(
    kikitori: Kikitori,
    house: Path,
    office: tuple[str, ...],
    more: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    (house / "paper").write_text("AGE-SECRET-KEY-1")
    if more:
        more = (*more, "--with-password-file", str(house / "password"))
    said = kikitori("vault", "escrow", "destroy", "1", "--yes", *office, *more)
    assert (said.status, said.out) == (status, "")
    assert words in said.err


def test_what_no_key_opens_is_said(kikitori: Kikitori, house: Path, office: tuple[str, ...]) -> None:
    """No segment uses it: it holds up no rotation (test_vaultkeys.py has what does)."""
    vault = VaultFolder(house / "house/vault", house / "house/mirror")
    vault.slots.append(wrap(bytes(16), [Identity.generate().recipient]))
    said = kikitori("vault", "test", *office)
    assert said.status == 1
    assert "Sealed to somebody else, or to nobody: slots 0" in said.err
    assert "slots 0" in kikitori("vault", "epochs").err
    said = kikitori("vault", "rotate", "--no-recorder", *office)
    assert (said.status, keys.load_recipients(house / "house/keys").epoch) == (0, 2)
    assert "Sealed to somebody else" in said.err
    assert kikitori("vault", "rotate", "--no-recorder", "--give-up", *office).status == 64, "nobody to ask"
