"""What names and numbers of channels say."""

import pytest

from cti.calls.channel import endpoint_of, known, phone_number


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/2001-0000002a", "2001"),
        ("PJSIP/trunk-ntt-0000002a", "trunk-ntt"),
        ("PJSIP/trunk-ffffffffff", "trunk"),
        ("SIP/2001-0000002a", "2001"),
        ("PJSIP/0666123456@trunk-0000002a", "0666123456"),
        ("Local/2001@phones-0000002a;1", None),
        ("Announcer/ARI-0000002a;2", None),
        ("CBAnn/conf-0000002a;1", None),
        ("AsyncGoto/SIP/2001-0000002a", None),
        ("OutgoingSpoolFailed", None),
        ("Snoop/2001-0000002a", None),
        ("DAHDI/1-1", "1"),
        ("DAHDI/i1/0901234567-2f", "i1/0901234567"),
        ("IAX2/trunk-4711", "trunk"),
        ("SIP/2001-0000002a<ZOMBIE>", "2001"),
        ("PJSIP/", None),
        ("PJSIP", None),
        ("", None),
    ],
)
def test_endpoint_of(channel: str, endpoint: str | None) -> None:
    assert endpoint_of(channel) == endpoint


@pytest.mark.parametrize("value", ["", " ", "<unknown>", "s"])
def test_asterisks_ways_of_saying_nothing(value: str) -> None:
    assert known(value) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0664581132", "0664581132"),
        ("+81 6-6458-1132", "+81664581132"),
        ("*8", "*8"),
        ("anonymous", None),
        ("", None),
        (None, None),
        ("1" * 32, "1" * 32),
        ("1" * 33, None),
        ("06\n1", None),
        ("０６６４５８", None),
        ("0664581132;rm -rf", None),
        ("1\n", None),
    ],
)
def test_a_number_that_may_be_kept(value: str | None, number: str | None) -> None:
    assert phone_number(value) == number
