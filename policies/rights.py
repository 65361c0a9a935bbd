"""Who may do what with the recorder (3条3, 9条; the role matrix). Deny by default; pure."""

from enum import StrEnum
from typing import Final

from pydantic import Field, model_validator

from policies.model import Part, Policy


class Role(StrEnum):
    """What somebody is, one of these (A-04)."""

    MANAGER = "manager"
    DEPUTY = "deputy"
    STAFF = "staff"
    LIAISON = "liaison"
    CONTRACTOR = "contractor"
    SECTION = "section"
    AUDITOR = "auditor"

    @property
    def wording(self) -> str:
        """As the rules call it."""
        return _TITLES[self]


_TITLES: Final = {
    Role.MANAGER: "課長",
    Role.DEPUTY: "担当課長代理",
    Role.STAFF: "職員",
    Role.LIAISON: "広聴担当",
    Role.CONTRACTOR: "運営会社",
    Role.SECTION: "所管課",
    Role.AUDITOR: "監査",
}


class Act(StrEnum):
    """Something that a right is needed for."""

    SEARCH = "recordings.search"
    PLAY = "recordings.play"
    EXPORT = "recordings.export"
    DISCLOSE = "recordings.disclose"
    HOLD = "recordings.hold"
    RELEASE = "recordings.release"
    LIVE = "calls.live"
    INTAKE = "intake.work"
    CASES = "cases.work"
    PROGRESS = "cases.progress"
    STATUS = "status.read"
    HOURS = "hours.override"
    LOG = "log.read"
    REVIEW = "log.review"
    ISSUE = "accounts.issue"
    END = "accounts.end"
    ACCOUNTS = "accounts.review"
    KEYS = "keys.manage"
    ESCROW = "keys.escrow"


OPERATING: Final = frozenset(
    {Act.SEARCH, Act.PLAY, Act.EXPORT, Act.DISCLOSE, Act.HOLD, Act.RELEASE, Act.KEYS, Act.ESCROW}
)
"""Acts of whoever operates the recorder, which only 職員 do, with an ID that 課長 issued (3条3)."""

MANAGING: Final = frozenset({Act.ISSUE, Act.END, Act.ACCOUNTS, Act.REVIEW, Act.KEYS, Act.HOURS})
"""Acts that are 課長's alone (要綱3条3, 9条2; other hours, which 水道局長 decides: 事務取扱要綱3条2項)."""

OPERATORS: Final = frozenset({Role.MANAGER, Role.DEPUTY, Role.STAFF, Role.LIAISON})
"""Roles that 職員 have. Others cannot be given a right of `OPERATING`: not by a policy, and not by SQL."""


class Right(Part):
    """Who may do one thing."""

    act: Act
    roles: tuple[Role, ...]
    basis: str = Field(min_length=1)


class Rights(Policy):
    """`rights.toml`: each act with the roles that may do it (B-06, B-29, B-30). What is not there nobody may."""

    right: tuple[Right, ...]

    @model_validator(mode="after")
    def _as_the_rules_allow(self) -> "Rights":
        acts = [right.act for right in self.right]
        if twice := sorted({act for act in acts if acts.count(act) > 1}):
            raise ValueError(f"act named twice: {', '.join(twice)}")
        for right in self.right:
            if strangers := sorted(set(right.roles) - OPERATORS) if right.act in OPERATING else []:
                raise ValueError(
                    f"{right.act} is given to {', '.join(strangers)}: only 職員 operate the recorder (要綱3条3, B-06)"
                )
            if others := sorted(set(right.roles) - {Role.MANAGER}) if right.act in MANAGING else []:
                raise ValueError(
                    f"{right.act} is given to {', '.join(others)}: only 課長 does (要綱3条3, 9条2; B-06, B-29, B-30)"
                )
            if right.act is Act.DISCLOSE and set(right.roles) - {Role.STAFF}:
                raise ValueError(f"{right.act} is given to others than 職員, who play to the requester (要綱8条, B-28)")
            if right.act is Act.LOG and (readers := sorted(set(right.roles) & {Role.CONTRACTOR, Role.SECTION})):
                raise ValueError(f"{right.act} is given to {', '.join(readers)}, of whom the log speaks (9条2, B-30)")
        return self

    def allows(self, role: Role, act: Act) -> bool:
        """Whether somebody of `role` may do it."""
        return any(right.act is act and role in right.roles for right in self.right)
