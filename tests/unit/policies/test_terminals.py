"""Where a recording may be disclosed."""

from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.load import Fresh, Policies, shipped

HEAD = 'basis = "B-28"\ndecided_by = "課長"\neffective_from = 2025-12-01\n'
ONE = '[[terminal]]\nname = "窓口1"\naddress = "192.0.2.10"\n'


def policies(folder: Path, text: str) -> Policies:
    (folder / "terminals.toml").write_text(HEAD + text, "utf-8")
    return Policies(folder)


@pytest.mark.rule("B-28")
def test_none_is_registered_until_the_bureau_does() -> None:
    assert Policies(shipped()).terminals.terminal == ()
    assert Policies(shipped()).terminals.at("127.0.0.1") is None


def test_an_installation_of_before_has_none(tmp_path: Path) -> None:
    assert Policies(tmp_path).terminals.terminal == ()


@pytest.mark.rule("B-28")
def test_a_terminal_is_known_by_the_address_from_which_it_asks(tmp_path: Path) -> None:
    found = policies(tmp_path, ONE + '[[terminal]]\nname = "窓口2"\naddress = "2001:DB8::0:1"\n').terminals
    names = {at: one.name for at in ("192.0.2.10", "::ffff:192.0.2.10", "2001:db8::1") if (one := found.at(at))}
    assert names == {"192.0.2.10": "窓口1", "::ffff:192.0.2.10": "窓口1", "2001:db8::1": "窓口2"}
    for other in ("192.0.2.1", "192.0.2.100", "::1", "", "unknown", "192.0.2.10%eth0"):
        assert found.at(other) is None


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("192.0.2.10", "pc-1.example"),
        ONE.replace("192.0.2.10", "192.0.2.0/24"),
        ONE + ONE,
        ONE + ONE.replace("窓口1", "窓口2"),
        ONE.replace("窓口1", ""),
        ONE + "port = 1\n",
    ],
)
def test_what_makes_no_sense_is_refused_by_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError, match=r"terminals\.toml"):
        _ = policies(tmp_path, text).terminals


def test_what_is_decided_holds_from_then_on(tmp_path: Path) -> None:
    policies(tmp_path, ONE)
    fresh = Fresh(tmp_path)
    first = fresh.now()
    assert fresh.now() is first  # read once
    assert first.terminals.at("192.0.2.10") is not None
    policies(tmp_path, ONE.replace("192.0.2.10", "192.0.2.11"))
    assert fresh.now().terminals.at("192.0.2.10") is None
    (tmp_path / "terminals.toml").unlink()
    assert fresh.now().terminals.terminal == ()
