"""The other side of the API, typed: what the command line asks by."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, ValidationError

from cti.api.caseshapes import (
    Arrival,
    Called,
    Case,
    CaseLine,
    Cases,
    Dial,
    Digest,
    Do,
    Enter,
    Joined,
    JoinIn,
    Looked,
    Progress,
    Put,
    PutThrough,
    Ringing,
    Sections,
    Ticket,
    Tickets,
    TriedIn,
)
from cti.api.importshapes import Import, Imported
from cti.api.shapes import (
    Account,
    Accounts,
    Ask,
    AskRelease,
    Decide,
    Decided,
    Details,
    End,
    Enrolment,
    Entry,
    Epochs,
    Export,
    Granted,
    Hold,
    Holds,
    Issue,
    Levels,
    Live,
    Log,
    Override,
    Overrides,
    Play,
    Problem,
    Recording,
    Recordings,
    Retention,
    RetentionPlan,
    RetentionRun,
    Review,
    Reviews,
    Rotation,
    Secret,
    SetHold,
    Sign,
    SignedIn,
    SignIn,
    Status,
    TakeBack,
    TakenBack,
    Whoami,
)
from cti.errors import KikitoriError, SettingsError
from cti.explain import explain
from cti.i18n import _, reader
from recorder.wanted import Wanted

TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
Shape = TypeVar("Shape", bound=BaseModel)

_STATUSES: Final[Mapping[int, int]] = {
    400: 64, 401: 77, 403: 77, 404: 66, 409: 65, 410: 66, 416: 64, 422: 65, 429: 75, 503: 75,
}  # fmt: skip
"""What a command ends with, by the answer's status; anything else is 69: the desk does not do what it should."""


class ApiError(KikitoriError):
    """The desk says no."""

    code = "api"
    status = 69

    def __init__(self, problem: Problem) -> None:
        """With the kind and the status of the problem."""
        super().__init__(problem.detail or problem.title)
        self.errors = problem.errors or []
        self.code, self.status = problem.code, _STATUSES.get(problem.status, 69)


class UnreachableError(KikitoriError):
    """The desk cannot be reached."""

    code = "unreachable"
    status = 69


class Client:
    """One desk, and who asks it. Raises ApiError for what it refuses, UnreachableError where there is none."""

    def __init__(self, server: str, ca: Path | None, token: str = "") -> None:
        """`server`: https://host:port. `ca`: the certificate that it is known by; None: whom the system trusts.

        Raises SettingsError where that cannot be read.
        """
        try:
            trusted = ssl.create_default_context(cafile=str(ca) if ca else None)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                _(
                    "{file}: no certificate that can be read ({error}); it is the API's own, `kikitori config show`"
                ).format(file=ca, error=explain(error))
            ) from error
        try:
            httpx.URL(server)
        except httpx.InvalidURL as error:
            raise SettingsError(
                _("{server} is no address of a desk: write https://HOST:8443").format(server=server)
            ) from error
        headers = {"Accept-Language": reader()} | ({"Authorization": f"Bearer {token}"} if token else {})
        self.server = server
        self._http = httpx.Client(
            base_url=server, verify=trusted, headers=headers, timeout=TIMEOUT, trust_env=False, follow_redirects=False
        )

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close."""
        self._http.close()

    # --- session ------------------------------------------------------------------------------------------------------

    def sign_in(self, asked: SignIn) -> SignedIn:
        """A session."""
        return self._read(self._send("POST", "/v1/session", json=_body(asked)), SignedIn)

    def whoami(self) -> Whoami:
        """Who is signed in."""
        return self._get("/v1/session", Whoami)

    def sign_out(self) -> None:
        """End the session."""
        self._send("DELETE", "/v1/session")

    # --- recordings ---------------------------------------------------------------------------------------------------

    def recordings(self, wanted: Wanted, most: int | None = None) -> Iterator[Recording]:
        """Newest first, page by page; at most `most`."""
        given, names = 0, {"since": "from", "until": "to", "shortest": "min_seconds", "longest": "max_seconds"}
        asked: dict[str, Any] = {names.get(name, name): getattr(wanted, name) for name in wanted.by}
        asked = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asked.items()}
        asked["limit"] = min(most or 500, 500)
        while True:
            page = self._get("/v1/recordings", Recordings, asked)
            for one in page.items:
                if most is not None and given >= most:
                    return
                given += 1
                yield one
            if page.next is None:
                return
            asked["cursor"] = page.next

    def recording(self, recording: str) -> Details:
        """One, by its id or the beginning of it."""
        return self._get(f"/v1/recordings/{_segment(recording)}", Details)

    def play(self, recording: str, asked: Ask) -> Play:
        """Open it to be heard."""
        return self._post(f"/v1/recordings/{_segment(recording)}/plays", asked, Play)

    def level(self, play: Play, points: int) -> Levels:
        """How loud it is over its length."""
        return self._get(f"/v1/plays/{play.play}/level", Levels, {"points": points})

    def playing(self, play: Play) -> Play:
        """That it goes on, though nothing of it is asked for just now."""
        return self._get(f"/v1/plays/{play.play}", Play)

    def stop(self, play: Play) -> None:
        """It was heard."""
        self._send("DELETE", f"/v1/plays/{play.play}")

    def audio(self, play: Play, first: int = 0) -> Iterator[bytes]:
        """Its WAV from byte `first` on."""
        # Its own path, whatever the answer said: the token goes to this desk alone.
        with self._stream("GET", f"/v1/plays/{UUID(play.play)}/audio", headers={"Range": f"bytes={first}-"}) as answer:
            yield from answer.iter_bytes()

    @contextmanager
    def export(self, recording: str, asked: Export) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Size and bytes of a whole recording."""
        path = f"/v1/recordings/{_segment(recording)}/exports"
        # Others' come first, one at a time, and an hour takes seconds to make.
        with self._stream("POST", path, json=_body(asked), timeout=httpx.Timeout(900.0, connect=5.0)) as answer:
            yield int(answer.headers.get("Content-Length", "0")), answer.iter_bytes()

    def live(self) -> Iterator[list[dict[str, Any]] | None]:
        """The calls that go on, whenever they change, until the session ends; None while the recorder is away."""
        with self._stream("GET", "/v1/calls/live") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    calls = _told(Live, line.removeprefix("data: ")).calls
                    yield None if calls is None else [call.model_dump(mode="json") for call in calls]

    # --- accounts and keys --------------------------------------------------------------------------------------------

    def enrol(self, asked: Enrolment) -> None:
        """A one-time secret becomes a password."""
        self._send("POST", "/v1/enrolment", json=_body(asked))

    def accounts(self) -> list[Account]:
        """Every account that ever was."""
        return self._read(self._send("GET", "/v1/accounts"), Accounts).root

    def issue(self, asked: Issue) -> Secret:
        """An account, and its one-time secret."""
        return self._post("/v1/accounts", asked, Secret)

    def renew(self, account: str) -> Secret:
        """Another one-time secret."""
        return self._post(f"/v1/accounts/{_segment(account)}/secret", None, Secret)

    def end_account(self, account: str, asked: End) -> None:
        """At once and for good."""
        self._write(f"/v1/accounts/{_segment(account)}/end", asked)

    def review_account(self, account: str) -> None:
        """It was looked through."""
        self._write(f"/v1/accounts/{_segment(account)}/review", None)

    def keys(self) -> Epochs:
        """Every epoch, and who holds its key."""
        return self._get("/v1/keys", Epochs)

    def grant(self, account: str) -> Granted:
        """Every key that is held here."""
        return self._read(self._send("PUT", f"/v1/keys/{_segment(account)}"), Granted)

    def revoke(self, account: str) -> Granted:
        """Every key of somebody."""
        return self._read(self._send("DELETE", f"/v1/keys/{_segment(account)}"), Granted)

    def rotate(self) -> Rotation:
        """Begin; `keys` tells how far it is."""
        return self._post("/v1/keys/rotation", None, Rotation)

    # --- holds --------------------------------------------------------------------------------------------------------

    def holds(self, *, everything: bool = False) -> Holds:
        """Those that hold; `everything`: those that were released, too."""
        return self._get("/v1/holds", Holds, {"all": everything})

    def hold(self, recording: str, asked: SetHold) -> Hold:
        """Hold every recording of its conversation."""
        return self._post(f"/v1/recordings/{_segment(recording)}/holds", asked, Hold)

    def ask_release(self, hold: str, asked: AskRelease) -> Hold:
        """Ask that it be released."""
        return self._post(f"/v1/holds/{_segment(hold)}/ask", asked, Hold)

    def release(self, hold: str) -> Hold:
        """Agree to that: the second person."""
        return self._post(f"/v1/holds/{_segment(hold)}/release", None, Hold)

    def keep(self, hold: str) -> Hold:
        """It goes on."""
        return self._post(f"/v1/holds/{_segment(hold)}/keep", None, Hold)

    def retention(self, recording: str) -> Retention:
        """Until when a recording is kept."""
        return self._get(f"/v1/recordings/{_segment(recording)}/retention", Retention)

    def plan(self) -> RetentionPlan:
        """What is due by the rules."""
        return self._get("/v1/retention/plan", RetentionPlan)

    def run(self) -> RetentionRun:
        """Begin to move what is due."""
        return self._post("/v1/retention/run", None, RetentionRun)

    def run_state(self) -> RetentionRun:
        """How far it is."""
        return self._get("/v1/retention/run", RetentionRun)

    # --- the access log -----------------------------------------------------------------------------------------------

    def log(self, first: int = 0, *, about: str | None = None, action: str | None = None) -> Iterator[Entry]:
        """From entry `first` on, page by page."""
        wanted = {name: value for name, value in (("object", about), ("action", action)) if value}
        place: int | None = first
        while place is not None:
            page = self._get("/v1/log", Log, {"from": place, "limit": 1000, **wanted})
            yield from page.items
            place = page.next

    def reviews(self) -> Reviews:
        """Which months were looked through."""
        return self._get("/v1/reviews", Reviews)

    def review(self, month: str) -> Review:
        """One month."""
        return self._get(f"/v1/reviews/{_segment(month)}", Review)

    def sign_off(self, month: str, asked: Sign) -> Review:
        """It was looked through."""
        return self._post(f"/v1/reviews/{_segment(month)}", asked, Review)

    def status(self) -> dict[str, Any]:
        """How everything is."""
        return self._get("/v1/status", Status).model_dump()

    # --- other hours --------------------------------------------------------------------------------------------------

    def overrides(self) -> list[Override]:
        """The newest first."""
        return self._get("/v1/hours/overrides", Overrides).items

    def decide(self, asked: Decide) -> Decided:
        """Enter a decision, or see what it would change."""
        return self._post("/v1/hours/overrides", asked, Decided)

    def take_back(self, override: str, asked: TakeBack) -> TakenBack:
        """From now on it does not count."""
        return self._post(f"/v1/hours/overrides/{_segment(override)}/revocation", asked, TakenBack)

    # --- cases --------------------------------------------------------------------------------------------------------

    def enter_case(self, asked: Enter) -> Case:
        """A question."""
        return self._post("/v1/cases", asked, Case)

    def import_cases(self, asked: Import) -> Imported:
        """Rows of a sheet."""
        path, waits = "/v1/cases/import", httpx.Timeout(300.0, connect=5.0)  # a case is a few syncs of two disks
        return self._read(self._write(path, asked, timeout=waits), Imported)

    def cases(self, wanted: Mapping[str, Any], most: int) -> Iterator[CaseLine]:
        """Page by page, at most `most`; `wanted` as the address takes it. What is `soonest` is one page."""
        asked = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in wanted.items()}
        given = 0
        while given < most:
            page = self._get("/v1/cases", Cases, asked | {"limit": min(most - given, 500)})
            yield from page.items
            given += len(page.items)
            if page.next is None:
                return
            asked["after"] = page.next

    def case(self, case: str) -> Case:
        """One, by its number or the beginning of its id."""
        return self._get(f"/v1/cases/{_segment(case)}", Case)

    def act(self, case: str, asked: Do) -> Case:
        """Do something with it."""
        return self._post(f"/v1/cases/{_segment(case)}/acts", asked, Case)

    def tickets(self, wanted: Mapping[str, Any]) -> list[Ticket]:
        """What was promised; `wanted` as the address takes it."""
        asked = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in wanted.items()}
        return self._get("/v1/tickets", Tickets, asked).items

    def dial(self, ticket: str, asked: Dial) -> Ringing:
        """Call for a ticket."""
        return self._post(f"/v1/tickets/{_segment(ticket)}/calls", asked, Ringing)

    def put_through(self, case: str, asked: PutThrough) -> Put:
        """Have the PBX put a caller through."""
        return self._post(f"/v1/cases/{_segment(case)}/transfers", asked, Put)

    def join(self, case: str, asked: JoinIn) -> Joined:
        """End it as a duplicate of another."""
        return self._post(f"/v1/cases/{_segment(case)}/join", asked, Joined)

    def arrivals(self) -> Iterator[Arrival]:
        """Callers who are put through to one's own unit, each as they come, until the session ends."""
        with self._stream("GET", "/v1/arrivals") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield _told(Arrival, line.removeprefix("data: "))

    def last_call(self, ticket: str) -> Called:
        """What the PBX saw of the last call."""
        return self._get(f"/v1/tickets/{_segment(ticket)}/calls/last", Called)

    def tried(self, ticket: str, asked: TriedIn) -> Case:
        """Whom a call met."""
        return self._post(f"/v1/tickets/{_segment(ticket)}/tries", asked, Case)

    def progress(self, since: datetime | None, *, sign: bool = False) -> Progress:
        """How all cases stand; `sign`: it was looked through."""
        if sign:
            return self._post("/v1/progress/check", Looked.model_validate({"from": since}), Progress)
        return self._get("/v1/progress", Progress, {"from": since.isoformat()} if since else {})

    def digest(self, month: str) -> Digest:
        """A month in numbers."""
        return self._get(f"/v1/digests/{_segment(month)}", Digest)

    def sections(self) -> Sections:
        """The 所管課, and which kind of question is whose."""
        return self._get("/v1/sections", Sections)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _get(self, path: str, shape: type[Shape], asked: Mapping[str, Any] | None = None) -> Shape:
        return self._read(self._send("GET", path, params=asked or {}), shape)

    def _post(self, path: str, body: BaseModel | None, shape: type[Shape]) -> Shape:
        return self._read(self._write(path, body), shape)

    def _write(self, path: str, body: BaseModel | None, **more: Any) -> httpx.Response:
        more |= {"headers": {"Idempotency-Key": str(uuid4())}} | ({"json": _body(body)} if body else {})
        try:
            return self._send("POST", path, **more)
        except UnreachableError:
            return self._send("POST", path, **more)  # a connection that broke; what was done by then is done once

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        with self._reaching():
            answer = self._http.request(method, path, **more)
        _check(answer)
        return answer

    @contextmanager
    def _stream(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:
        with self._reaching(), self._http.stream(method, path, **more) as answer:
            if answer.is_error:
                answer.read()
            _check(answer)
            yield answer

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL, ssl.SSLError) as error:
            raise UnreachableError(
                _("{server} cannot be reached, or is not the desk whose certificate is known ({error})").format(
                    server=self.server, error=str(error) or type(error).__name__
                )
            ) from error

    @staticmethod
    def _read(answer: httpx.Response, shape: type[Shape]) -> Shape:
        return _told(shape, answer.content)


def _told(shape: type[Shape], text: str | bytes) -> Shape:
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        raise UnreachableError(_("the answer is not that of a desk of this version")) from error


def _body(of: BaseModel) -> Any:
    return of.model_dump(mode="json", by_alias=True, exclude_none=True)


def _segment(text: str) -> str:
    """One part of a path, whatever is in it."""
    return "".join(one if one.isascii() and (one.isalnum() or one in "-.") else "_" for one in text).strip(".") or "_"


def _check(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        said = _("the desk answers with {status}").format(status=answer.status_code)
        problem = Problem(type="", title=said, status=answer.status_code, detail=said, code="api")
    raise ApiError(problem)
