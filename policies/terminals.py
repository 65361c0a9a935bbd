"""Terminals at which a recording may be disclosed to the person whose voice it is (8条, B-28)."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from pydantic import Field, field_validator, model_validator

from policies.model import Part, Policy


class Terminal(Part):
    """One of お客さまサービス課, by the address from which it asks."""

    name: str = Field(min_length=1)
    address: str

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        if (found := plain_address(value)) is None:
            raise ValueError(f"{value!r} is no IP address")
        return str(found)


class Terminals(Policy):
    """`terminals.toml`: where a recording may be disclosed by playing it. Where none is named, nowhere."""

    terminal: tuple[Terminal, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> "Terminals":
        for what in ("name", "address"):
            every = [getattr(one, what) for one in self.terminal]
            if twice := sorted({one for one in every if every.count(one) > 1}):
                raise ValueError(f"{what} named twice: {', '.join(twice)}")
        return self

    def at(self, address: str) -> Terminal | None:
        """The one that asks from `address`, None where it is none."""
        asked = plain_address(address)
        return next((one for one in self.terminal if ip_address(one.address) == asked), None)


def plain_address(address: str) -> IPv4Address | IPv6Address | None:
    """An address, of whichever of its spellings; None where it is none."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    # A socket for both kinds tells ::ffff:192.0.2.1.
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
