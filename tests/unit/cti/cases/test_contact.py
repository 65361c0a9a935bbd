"""A telephone number in whatever writing, and why there is none. Checked by hand against Japan's numbering plan."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.cases.contact import Contact, ContactError, Missing, calling, contact

CENTRE = "+81664581132"
ANY = st.text(max_size=80) | st.text("0123456789０１２３４５６７８９+-－()ー 内線x", max_size=24)


@pytest.mark.rule("A-16")
@pytest.mark.parametrize(
    "text",
    ["06-6458-1132", "0664581132", "06 6458 1132", "(06)6458-1132", "+81-6-6458-1132", "+81664581132",
     "０６－６４５８－１１３２", "06−6458−1132", "06‐6458‐1132", "06―6458―1132", "06ー6458ー1132",
     "０６（６４５８）１１３２", "  06.6458.1132 "],
)  # fmt: skip
def test_one_number_in_any_writing(text: str) -> None:
    found = contact(text)
    assert found == Contact(e164=CENTRE)
    assert (found.written, found.dialled, found.mobile) == ("06-6458-1132", "0664581132", False)


@pytest.mark.rule("A-16")
@pytest.mark.parametrize(
    ("text", "e164", "hiding"),
    [
        ("184-06-6458-1132", CENTRE, "184"), ("1860664581132", CENTRE, "186"),
        ("１８４ ０６ ６４５８ １１３２", CENTRE, "184"), ("0186-23-1234", "+81186231234", None),  # 鹿角市
        ("186-0186-23-1234", "+81186231234", "186"), ("184-090-1234-5678", "+819012345678", "184"),
        ("018-823-1234", "+81188231234", None),  # 秋田市
    ],
)  # fmt: skip
def test_what_hides_a_number_is_no_part_of_it(text: str, e164: str, hiding: str | None) -> None:
    found = contact(text)
    assert (found.e164, found.hiding) == (e164, hiding)


@pytest.mark.parametrize(
    ("text", "written", "dialled", "mobile"),
    [
        ("09012345678", "090-1234-5678", "09012345678", True), ("070 1234 5678", "070-1234-5678", "07012345678", True),
        ("05012345678", "050-1234-5678", "05012345678", False), ("0120123456", "0120-123-456", "0120123456", False),
        ("+1 650 253 0000", "+1 650-253-0000", "01016502530000", True),
        ("06-6458-1132 内線 12", "06-6458-1132 内線12", "0664581132", False),
        ("06-6458-1132 ext.7", "06-6458-1132 内線7", "0664581132", False),
    ],
)  # fmt: skip
def test_as_people_write_it_and_as_a_trunk_takes_it(text: str, written: str, dialled: str, mobile: bool) -> None:
    found = contact(text)
    assert (found.written, found.dialled, found.mobile) == (written, dialled, mobile)


@pytest.mark.parametrize(
    "text",
    ["", " ", "110", "06-6458-113", "06-6458-11322", "なし", "06-6458-1132\r\nX: y", "0664581132;tel", "1" * 65,
     "9" * 500, "+", "+81", "184", "18406", "06-6458-1132 内線", "<script>", "\ud800"],
)  # fmt: skip
def test_what_is_no_number_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ContactError) as refused:
        contact(text)
    assert not text.strip() or text not in str(refused.value)


@given(ANY)
def test_whatever_is_typed_is_a_number_or_refused(text: str) -> None:
    try:
        found = contact(text)
    except ContactError:
        return
    assert found.e164.startswith("+")
    assert found.e164[1:].isdigit()
    assert contact(found.written) == Contact(e164=found.e164, extension=found.extension)


@given(st.from_regex(r"0[1-9][0-9]{8,9}", fullmatch=True), st.sampled_from(["", "-", " ", "－"]), st.booleans())
def test_hyphens_and_width_change_nothing(digits: str, between: str, wide: bool) -> None:
    written = between.join([digits[:3], digits[3:6], digits[6:]])
    written = "".join(chr(ord(one) + 0xFEE0) if one.isdigit() and wide else one for one in written)
    assert unicodedata.normalize("NFKC", written).replace("-", "").replace(" ", "") == digits
    try:
        plain = contact(digits)
    except ContactError:
        with pytest.raises(ContactError):
            contact(written)
        return
    assert contact(written) == plain


@pytest.mark.rule("A-16")
@pytest.mark.parametrize(
    ("number", "name", "kind"),
    [
        ("anonymous", "Anonymous", Missing.WITHHELD), (None, "Anonymous", Missing.WITHHELD), ("", "", Missing.WITHHELD),
        ("anonymous", "Coin line/payphone", Missing.PAYPHONE), ("anonymous", "Unavailable", Missing.OUT_OF_AREA),
        ("anonymous", "Interaction with other service", Missing.SERVICE), ("C", None, Missing.PAYPHONE),
        ("O", None, Missing.OUT_OF_AREA), ("S", None, Missing.SERVICE), ("P", None, Missing.WITHHELD),
        ("unavailable", None, Missing.OUT_OF_AREA), ("<unknown>", "<unknown>", Missing.WITHHELD),
        ("06-64", None, Missing.WITHHELD), ("'; DROP TABLE", "x\r\ny", Missing.WITHHELD),
    ],
)  # fmt: skip
def test_the_four_kinds_of_no_number(number: str | None, name: str | None, kind: Missing) -> None:
    assert calling(number, name) is kind


def test_a_name_does_not_hide_a_number_that_is_there() -> None:
    assert calling("0664581132", "Anonymous") == Contact(e164=CENTRE)
    assert calling("+81664581132", "大阪 花子") == Contact(e164=CENTRE)


def test_the_kinds_as_a_display_shows_them() -> None:
    assert [kind.wording for kind in Missing] == ["非通知", "公衆電話", "表示圏外", "サービス競合"]
