"""RFC 6962 roots: the vectors of the Certificate Transparency project, and its definition in section 2.1."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.access.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash, root_of

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962: split at the largest power of two below n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    assert root_of(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size]


def test_leaf_and_node_are_told_apart() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)
    assert EMPTY_ROOT.hex() == ROOTS[0]


@given(st.lists(st.binary(max_size=3), max_size=70))
def test_the_definition(entries: list[bytes]) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    assert root_of(leaves) == by_definition(leaves)


@given(before=st.integers(0, 300), after=st.integers(0, 20))
def test_a_stored_frontier_goes_on(before: int, after: int) -> None:
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(before + after)]
    frontier = Frontier()
    for leaf in leaves[:before]:
        frontier.append(leaf)
    stored = frontier.to_bytes()
    again = Frontier.from_bytes(stored)
    assert again == frontier
    assert again.size == before
    for leaf in leaves[before:]:
        again.append(leaf)
    assert again.root() == by_definition(leaves)
    assert frontier.to_bytes() == stored


@pytest.mark.parametrize("stored", [b"", bytes(7), bytes(9), b"\0" * 7 + b"\x03" + bytes(32), bytes(8) + bytes(32)])
def test_a_frontier_out_of_form(stored: bytes) -> None:
    with pytest.raises(ValueError, match="frontier"):
        Frontier.from_bytes(stored)
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier().append(stored)
