"""How a call ended that somebody began and nobody may have answered. Pure."""

from cti.calls.board import LiveCall
from cti.calls.model import Disposition

# Q.850, as Asterisk gives it in Cause. 26 is "answered elsewhere", 0 "nothing was said".
_CAUSES = {
    "17": Disposition.BUSY,
    "18": Disposition.NO_ANSWER,
    "19": Disposition.NO_ANSWER,
    "21": Disposition.REJECTED,
}
_STATUSES = {
    "NOANSWER": Disposition.NO_ANSWER,
    "BUSY": Disposition.BUSY,
    "CONGESTION": Disposition.FAILED,
    "CHANUNAVAIL": Disposition.FAILED,
    "DONTCALL": Disposition.REJECTED,
    "TORTURE": Disposition.REJECTED,
}
# Normal clearing, by whom it does not say; 127 is "interworking", PJSIP's word for a CANCEL.
_SAYS_NOTHING = frozenset({None, "", "0", "16", "127"})
# Of several phones that were called together, the one that came nearest to an answer speaks for all.
_NEAREST = (Disposition.NO_ANSWER, Disposition.BUSY, Disposition.REJECTED, Disposition.FAILED)


def disposition(call: LiveCall, cause: str | None) -> Disposition | None:
    """How `call` ended, `cause` being that of its last channel; None where nothing tells.

    A phone's own refusal (Cause 21) counts for more than what Dial makes of it: chan_sip and PJSIP call it BUSY.
    """
    if call.answered:
        return Disposition.COMPLETED
    if call.abandoned:
        return Disposition.CANCELLED
    if call.partial and (call.taken or not call.begun):
        return None  # somebody may have answered before the stream began
    if any(status == "CANCEL" for status, _ in call.ends):
        return Disposition.CANCELLED
    found = {_of(status, cause) for status, cause in call.ends}
    for nearest in _NEAREST:
        if nearest in found:
            return nearest
    if not call.ends and call.taken:
        return Disposition.COMPLETED if cause else None
    if call.gave_up:
        return Disposition.CANCELLED
    return _CAUSES.get(cause or "") or (None if cause in _SAYS_NOTHING else Disposition.FAILED)


def _of(status: str, cause: str) -> Disposition | None:
    if cause == "21":
        return Disposition.REJECTED
    return _STATUSES.get(status) or _CAUSES.get(cause)
