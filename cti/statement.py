"""The daily statement: so many conversations, so many recorded, and what does not agree; a signed note (C2SP).

```
kikitori/completeness/v1
{
 "conversations": 214, ...       JSON: keys sorted, indent 1, UTF-8
}

— <origin>/log <signature>
```

It names no caller: whoever has the log's public key may read it and verify it.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from cti.completeness import Account
from cti.errors import KikitoriError
from cti.records import Day
from policies.calendar import JST
from recorder.vault.note import NoteError, Signer, Verifier, open_note, sign

FIRST_LINE: Final = "kikitori/completeness/v1"


class StatementError(KikitoriError):
    """This is no statement that can be believed."""

    code = "statement"
    status = 65


def values(account: Account, witness: Day, pbx: str) -> dict[str, Any]:
    """What is stated: the same of the same account of the same records, whenever it is made."""
    return {
        "day": account.day.isoformat(),
        "pbx": pbx,
        "conversations": account.conversations,
        "recorded": account.recorded,
        "going_on": account.going_on,
        "seconds": account.seconds,
        "kept_seconds": account.kept,
        "exceptions": [exception.public() for exception in account.exceptions],
        "complete": account.complete,
        "witness_from": witness.first.astimezone(JST).isoformat(),
        "witness_sha256": witness.sha256,
        "sources": list(witness.sources),
    }


def name_of(day: date, number: int) -> str:
    """`2027-04-01.note`; the second of that day `2027-04-01-2.note`."""
    return f"{day.isoformat()}.note" if number == 1 else f"{day.isoformat()}-{number}.note"


def number_of(path: Path) -> int:
    """Which of its day it is; 1 is the first."""
    tail = path.stem[len("2027-04-01-") :]
    return int(tail) if tail.isdecimal() else 1


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two statements say the same of the day, whenever and out of which files."""
    how = dict.fromkeys(("issued", "sources", "witness_from", "witness_sha256"))
    return {**one, **how} == {**other, **how}


def dump(stated: dict[str, Any], issued: datetime, signer: Signer) -> str:
    """The signed note."""
    whole = stated | {"issued": issued.astimezone(JST).isoformat(timespec="seconds")}
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
    return sign(f"{FIRST_LINE}\n{text}\n", [signer])


def load(text: str, verifiers: Iterable[Verifier], where: str) -> dict[str, Any]:
    """What a statement says. Raises StatementError where no known key has signed it, or it is of another kind."""
    try:
        first, _, rest = open_note(text, verifiers).partition("\n")
        found = json.loads(rest) if first == FIRST_LINE else None
    except (NoteError, ValueError, RecursionError) as error:
        raise StatementError(f"{where}: {error}") from error
    if not isinstance(found, dict):
        raise StatementError(f"{where}: not a statement of completeness, but {first[:60]!r}")
    return found
