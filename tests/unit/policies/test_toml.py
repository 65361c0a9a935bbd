"""Line numbers for TOML: an error has to name its line."""

from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.toml import Document, read

TEXT = """# head
basis = "B-02"
list = [
  "basis = no key",
  "x",
]
"quoted key" = 1
a.b = 2

[table]  # comment
key = 1

[[group]]
name = "one"

[[group]]
name = "two"
[group.inner]
deep = 3
[[group.phone]]
n = 1
[[group.phone]]
n = 2
"""


def parse(folder: Path, text: str) -> Document:
    path = folder / "x.toml"
    path.write_text(text, encoding="utf-8")
    return read(path)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("basis",), 2), (("list",), 3), (("list", 1), 3), (("quoted key",), 7), (("a", "b"), 8), (("table",), 10),
        (("table", "key"), 11), (("group",), 13), (("group", 0), 13), (("group", 0, "name"), 14), (("group", 1), 16),
        (("group", 1, "name"), 17), (("group", 1, "inner", "deep"), 19), (("group", 1, "phone", 0, "n"), 21),
        (("group", 1, "phone", 1), 22), (("group", 1, "phone", 1, "n"), 23), (("group", 1, "missing"), 16),
        (("table", "missing", "deeper"), 10),
    ],
)  # fmt: skip
def test_where_a_key_is(tmp_path: Path, key: tuple[str | int, ...], line: int) -> None:
    name = ".".join(map(str, key))
    assert parse(tmp_path, TEXT).where(key) == f"{tmp_path / 'x.toml'}:{line}: {name}"


def test_what_is_nowhere_is_in_the_file(tmp_path: Path) -> None:
    document = parse(tmp_path, TEXT)
    assert document.where(("nothing",)) == f"{tmp_path / 'x.toml'}: nothing"
    assert document.where(()) == f"{tmp_path / 'x.toml'}: (file)"


def test_the_values_are_the_standard_parsers(tmp_path: Path) -> None:
    document = parse(tmp_path, TEXT)
    assert document.values["group"][1]["phone"] == [{"n": 1}, {"n": 2}]
    assert document.values["quoted key"] == 1


@pytest.mark.parametrize(("text", "says"), [("", "empty"), ("# only\n", "empty"), ("x = \n", r"not TOML.*line 1")])
def test_a_file_that_decides_nothing_does_not_load(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PolicyError, match=f"x.toml: {says}"):
        parse(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        read(tmp_path / "none.toml")
    with pytest.raises(PolicyError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "x.toml").write_bytes("名 = 1".encode("cp932"))
    with pytest.raises(PolicyError, match="not UTF-8"):
        read(tmp_path / "x.toml")
