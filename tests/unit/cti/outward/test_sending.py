"""Cases are told to other systems: each act once under its id and in order, however often somebody dies or refuses."""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cti import store
from cti.cases import form
from cti.cases.acts import Accept, Close, Note, Outcome, Reach, Reply, Result
from cti.cases.acts import Channel as Way
from cti.outward import sending, signing
from cti.outward.queue import Outbox, stuck
from cti.outward.sending import Sending, try_once
from policies.outward import EVENTS, Destination, Outward
from tests import databases
from tests.unit.cti.cases.test_book import NUMBER, Shelf
from tests.unit.cti.outward.receiver import Receiver, Request, receiving
from tests.unit.recorder.rig import ram_folder

pytestmark = pytest.mark.rule("E-01")

KEY = b"k" * 32
NAMES = ("山田", "06-6458-1132", "検針票", "0664581132", "hanako@example.jp")
"""What nobody but the customer's own receiver is told."""


@dataclass
class Post:
    """A shelf of cases, its outbox, and who tells of them."""

    shelf: Shelf
    folder: Path
    destinations: list[Destination] = field(default_factory=list)

    @property
    def queue(self) -> Outbox:
        return Outbox(self.shelf.engine, "pbx1")

    def sender(self) -> Sending:
        def policy() -> Outward:
            return Outward(basis="B-04", decided_by="x", effective_from="2025-12-01", destination=self.destinations)

        return Sending(self.queue, self.shelf.book(), policy, self.shelf.tell, "pbx1", lambda: self.shelf.at)

    def to(self, receiver: Receiver, name: str = "portal", **more: Any) -> None:
        secret = self.folder / f"{name}.secret"
        secret.write_text("token\n" if more.get("kind") == "zammad" else f"{signing.made(KEY)}\n")
        given = {"name": name, "url": f"{receiver.url}/hook", "secret_file": str(secret)} | more
        self.destinations.append(Destination(**given))

    def one(self, name: str = "portal") -> Destination:
        return next(one for one in self.destinations if one.name == name)

    async def round(self, sending: Sending | None = None) -> None:
        """Once."""
        sending = sending or self.sender()
        await sending.look()
        await sending.settled()

    async def close(self, number: int) -> None:
        """All the rest of a case that was handed over."""
        await self.shelf.book().add(number, [
            self.shelf.act(Accept, unit="kyusui"), self.shelf.act(Reply, unit="kyusui", channel=Way.PHONE),
            self.shelf.act(Result, unit="kyusui", outcome=Outcome.ANSWERED, text="直した"),
            self.shelf.act(Close, unit="kyusui"),
        ])  # fmt: skip


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    with ram_folder() as folder:
        engine = store.engine(databases.url(folder))
        await store.migrate(engine)
        yield Post(Shelf(engine), tmp_path)
        await engine.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


KINDS = ["register", "reach", "consent", "assign", "hand-over", "accept", "reply", "result", "close"]


async def test_each_act_is_told_once_in_order_and_without_a_word_of_the_customer(
    post: Post, receiver: Receiver
) -> None:
    post.to(receiver)
    kept = await post.shelf.handed_over()
    await post.shelf.book().add(kept.number, [post.shelf.act(Reach, contact=NUMBER, email="hanako@example.jp")])
    await post.round()
    await post.close(kept.number)
    for _ in range(3):
        await post.round()
    events = receiver.events()
    assert [one["type"] for one in events] == [
        f"kikitori.case.{kind}" for kind in [*KINDS[:5], "reach", *KINDS[5:]]
    ]  # fmt: skip
    assert len({one["id"] for one in events}) == len(events)
    assert {one["subject"] for one in events} == {kept.case.id}
    assert [one["data"]["act"] for one in events] == list(range(1, len(events) + 1))
    over = events[4]["data"]
    assert (over["state"], over["owner"], over["main"], over["kind"]) == (
        "handed-over",
        "kyusui",
        "kyusui",
        "hand-over",
    )
    assert over["tickets"][0]["kind"] == "callback"
    assert over["details"].keys() == {"way", "promised"}
    assert events[-1]["data"]["outcome"] == "answered"
    text = b"".join(one.body for one in receiver.took).decode()
    assert not [name for name in NAMES if name in text]
    assert [one for one in post.shelf.told if one[1] == "case.told"] == []
    assert await post.queue.waiting(post.one()) == []


async def test_a_destination_that_is_told_everything_is_and_the_log_says_of_what(
    post: Post, receiver: Receiver
) -> None:
    post.to(receiver, content="full")
    kept = await post.shelf.handed_over()
    await post.round()
    last = receiver.events()[-1]["data"]
    assert (last["name"], last["number"]) == ("山田 太郎", "06-6458-1132")
    assert last["inquiry"].startswith("検針票")
    told = [(about, detail) for _, action, about, detail in post.shelf.told if action == "case.told"]
    assert told == [(kept.case.id, {"act": act, "destination": "portal"}) for act in range(1, 6)]
    before = len(receiver.took)
    await post.shelf.book().add(kept.number, [post.shelf.act(Note, text="家の裏")])
    post.shelf.broken = True  # no log line, nothing leaves
    await post.round()
    assert len(receiver.took) == before
    post.shelf.broken = False
    post.shelf.at += timedelta(minutes=1)
    await post.round()
    assert len(receiver.took) == before + 1


async def test_a_receiver_checks_who_sent_it(post: Post, receiver: Receiver) -> None:
    """By openssl, from the bytes that came."""
    post.to(receiver)
    await post.shelf.handed_over()
    await post.round()
    for one in receiver.took:
        signed = b".".join((one.headers["webhook-id"].encode(), one.headers["webhook-timestamp"].encode(), one.body))
        done = await asyncio.to_thread(
            subprocess.run, ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{KEY.hex()}", "-binary"],
            input=signed, capture_output=True, check=True,
        )  # fmt: skip
        assert one.headers["webhook-signature"] == f"v1,{base64.b64encode(done.stdout).decode()}"
        assert one.headers["webhook-id"] == one.json["id"]
        assert one.headers["content-type"].startswith("application/cloudevents+json")
        assert abs(int(one.headers["webhook-timestamp"]) - post.shelf.at.timestamp()) <= 1


async def test_a_receiver_that_is_away_for_an_hour_misses_nothing_and_holds_up_nobody(
    post: Post, receiver: Receiver
) -> None:
    with receiving() as other:
        post.to(receiver)
        post.to(other, "second")
        receiver.answer = lambda _request: (503, b"busy")
        first, second = await post.shelf.handed_over(), await post.shelf.handed_over()
        sender = post.sender()
        for _ in range(60):
            await post.round(sender)
            post.shelf.at += timedelta(minutes=1)
        assert len(other.took) == 10, "the other one has everything at once"
        assert receiver.took == []
        waiting = await post.queue.waiting(post.one())
        assert {one.error for one in waiting} == {"HTTP 503"}
        assert {one.dead for one in waiting} == {False}
        assert all(5 < one.tries < 15 for one in waiting), "it is asked ever less often"
        receiver.answer = lambda _request: (200, b"")
        post.shelf.at += timedelta(hours=1)
        await post.round(sender)
    for kept in (first, second):
        mine = [one["data"]["act"] for one in receiver.events() if one["subject"] == kept.case.id]
        assert mine == [1, 2, 3, 4, 5]


async def test_a_receiver_that_is_back_is_told_of_everything_at_once(post: Post, receiver: Receiver) -> None:
    post.to(receiver)
    receiver.answer = lambda _request: (503, b"busy")
    sender, first = post.sender(), await post.shelf.handed_over()
    for _ in range(60):
        await post.round(sender)
        post.shelf.at += timedelta(minutes=1)
    (waiting,) = await post.queue.waiting(post.one())
    assert waiting.next_at is not None
    assert waiting.next_at > post.shelf.at + timedelta(minutes=10), "of itself it would wait long"
    receiver.answer = lambda request: (200, b"") if request.json["subject"] != bad.case.id else (500, b"")
    second, bad = await post.shelf.handed_over(), await post.shelf.handed_over()
    for _ in range(3):
        await post.round(sender)
    assert {one["subject"] for one in receiver.events()} == {first.case.id, second.case.id}
    (stuck,) = await post.queue.waiting(post.one())
    assert (stuck.case, stuck.tries) == (bad.number, 2), "what it refuses of one case is not tried all the time"


async def test_what_nobody_takes_is_given_up_shown_and_told_when_somebody_says_so(
    post: Post, receiver: Receiver
) -> None:
    post.to(receiver, give_up_after=2)
    bad = await post.shelf.handed_over()
    good = await post.shelf.handed_over()
    receiver.answer = lambda request: (422, b"no") if request.json["subject"] == bad.case.id else (200, b"")
    for _ in range(40):
        await post.round()
        post.shelf.at += timedelta(minutes=10)
    (dead,) = await post.queue.waiting(post.one(), dead=True)
    assert (dead.case, dead.act, dead.acts) == (bad.number, 0, 5)
    assert {one["subject"] for one in receiver.events()} == {good.case.id}
    tries = dead.tries
    await post.round()
    assert (await post.queue.waiting(post.one(), dead=True))[0].tries == tries, "nobody tries it any more"
    assert await post.queue.again(post.one(), good.number) == 0
    assert await post.queue.again(post.one()) == 1
    receiver.answer = lambda request: (422, b"no") if request.json["type"].endswith("reach") else (200, b"")
    await post.round()
    way = await post.queue.in_the_way(post.one(), bad.number)
    assert way is not None
    assert way.act == 1
    await post.queue.told(way, 2)
    await post.round()
    mine = [one["data"]["act"] for one in receiver.events() if one["subject"] == bad.case.id]
    assert mine == [1, 3, 4, 5]
    assert await post.queue.in_the_way(post.one(), bad.number) is None


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 500])
async def test_nothing_but_a_yes_is_a_yes_and_nobody_is_sent_elsewhere(
    post: Post, receiver: Receiver, status: int
) -> None:
    post.to(receiver)
    receiver.answer = lambda _request: (status, b"{}")
    await post.shelf.handed_over()
    await post.round()
    (one,) = await post.queue.waiting(post.one())
    assert (one.act, one.error) == (0, f"HTTP {status}")
    assert receiver.took == []


async def test_a_connection_that_breaks_a_secret_that_is_not_there_and_nobody_who_listens(
    post: Post, receiver: Receiver, tmp_path: Path
) -> None:
    post.to(receiver)
    receiver.answer = lambda _request: None
    post.to(receiver, "lost")
    (tmp_path / "lost.secret").unlink()
    post.to(receiver, "weak")
    (tmp_path / "weak.secret").write_text("whsec_c2hvcnQ=")
    post.to(Receiver("http://127.0.0.1:1"), "away")
    await post.shelf.handed_over()
    await post.round()
    errors = {
        name: (await post.queue.waiting(post.one(name)))[0].error or "" for name in ("portal", "lost", "weak", "away")
    }
    assert all(errors.values()), errors
    assert "c2hvcnQ" not in errors["weak"]


async def test_a_destination_is_told_what_it_wants_and_nothing_of_other_sections(
    post: Post, receiver: Receiver
) -> None:
    post.to(receiver, events=("hand-over", "close"), sections=("shomu",))
    with receiving() as other:
        post.to(other, "second", events=("hand-over", "close"), sections=("kyusui",))
        kept = await post.shelf.handed_over()
        await post.close(kept.number)
        await post.round()
        await post.round()
        assert [one["data"]["kind"] for one in other.events()] == ["hand-over", "close"]
    assert receiver.took == []
    assert await post.queue.waiting(post.one()) == []


async def test_where_nobody_was_ever_told_nothing_is_kept_and_who_comes_later_hears_the_whole_case(
    post: Post, receiver: Receiver
) -> None:
    kept = await post.shelf.handed_over()
    await post.round()
    post.to(receiver)
    await post.round()
    assert receiver.took == []
    await post.shelf.book().add(kept.number, [post.shelf.act(Note, text="家の裏")])
    await post.round()
    assert [one["data"]["act"] for one in receiver.events()] == [1, 2, 3, 4, 5, 6]


async def test_a_destination_that_is_away_from_the_policy_for_a_moment_misses_nothing(
    post: Post, receiver: Receiver
) -> None:
    """An editor writes the file anew."""
    post.to(receiver)
    await post.shelf.handed_over()
    await post.round()
    receiver.answer = lambda _request: (503, b"")
    kept = await post.shelf.handed_over()
    await post.round()
    named, post.destinations = post.destinations, []
    fresh = await post.shelf.handed_over()
    await post.round()
    post.destinations = named
    receiver.answer = lambda _request: (200, b"")
    post.shelf.at += timedelta(hours=1)
    await post.round()
    for each in (kept, fresh):
        assert len([one for one in receiver.events() if one["subject"] == each.case.id]) == 5


async def test_another_address_under_the_same_name_is_another_system(post: Post, receiver: Receiver) -> None:
    """It knows nothing of the tickets of the one before, and hears each case from its beginning."""
    zammad = Zammad(receiver)
    post.to(receiver, "zammad", kind="zammad", url=receiver.url, customer="x@example.jp", events=("hand-over", "note"))
    kept = await post.shelf.handed_over()
    await post.round()
    assert len(zammad.tickets) == 1
    with receiving() as other:
        strangers = Zammad(other)
        strangers.tickets[1], strangers.articles[1] = {"title": "someone else's", "id": 1}, []
        post.destinations = []
        post.to(other, "zammad", kind="zammad", url=other.url, customer="x@example.jp", events=("hand-over", "note"))
        await post.shelf.book().add(kept.number, [post.shelf.act(Note, text="家の裏")])
        await post.round()
        assert strangers.articles[1] == [], "nothing is written into a stranger's ticket"
        assert [one["subject"].rpartition(".")[2] for one in strangers.articles[2]] == ["hand-over", "note"]


async def test_of_two_desks_one_tells(post: Post, receiver: Receiver) -> None:
    post.to(receiver)
    kept = await post.shelf.handed_over()
    first, second = post.sender(), post.sender()
    await asyncio.gather(post.round(first), post.round(second), post.round(first), post.round(second))
    assert [one["data"]["act"] for one in receiver.events()] == [1, 2, 3, 4, 5], kept


async def test_what_is_taken_out_of_the_policy_is_told_no_more_from_that_act_on(post: Post, receiver: Receiver) -> None:
    post.to(receiver)
    for _ in range(6):
        await post.shelf.handed_over()

    def answer(_request: Request) -> tuple[int, bytes]:
        if len(receiver.took) == 3:
            post.destinations = []
        return 200, b""

    receiver.answer = answer
    await post.round()
    assert len(receiver.took) <= 3 + 4, "what was under way with four cases"


async def test_a_receiver_that_drips_is_given_up_like_any_other(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WHOLE", 0.3)
    gate = threading.Event()
    post.to(receiver)

    def drips(_request: Request) -> tuple[int, bytes]:
        gate.wait(5)
        return 200, b""

    receiver.answer = drips
    await post.shelf.handed_over()
    await post.round()
    gate.set()
    (one,) = await post.queue.waiting(post.one())
    assert (one.tries, one.error) == (1, "no answer in time")


@pytest.mark.parametrize(
    "answer",
    [
        b'{"assets": null}',
        b'{"assets": []}',
        b'{"assets": {"Ticket": null}}',
        b"[3]",
        b"nonsense",
        b'{"id": true}',
        b'{"id": "../../x"}',
        b'{"id": %s}' % (b"9" * 99),
    ],
)
async def test_a_zammad_that_answers_nonsense_is_tried_ever_less_often(
    post: Post, receiver: Receiver, answer: bytes
) -> None:
    receiver.answer = lambda _request: (200, answer)
    post.to(receiver, "zammad", kind="zammad", url=receiver.url, customer="x@example.jp")
    kept = await post.shelf.handed_over()
    for _ in range(5):
        await post.round()
        post.shelf.at += timedelta(minutes=10)
    (one,) = await post.queue.waiting(post.one("zammad"))
    assert (one.case, one.act, one.tries > 2) == (kept.number, 0, True)


async def test_an_authority_that_is_not_there_and_a_secret_of_two_lines_are_said_and_not_shown(
    post: Post, tmp_path: Path
) -> None:
    post.to(Receiver("https://127.0.0.1:1"), ca=str(tmp_path / "none.pem"))
    post.to(Receiver("http://127.0.0.1:1"), "two", kind="zammad", customer="x@example.jp")
    (tmp_path / "two.secret").write_text("abc\nSECRETTOKEN")
    await post.shelf.handed_over()
    await post.round()
    errors = [(await post.queue.waiting(post.one(name)))[0].error or "" for name in ("portal", "two")]
    assert "none.pem" in errors[0]
    assert "two.secret" in errors[1]
    assert "SECRETTOKEN" not in errors[1]
    tried = [await try_once(post.one(name), "pbx1", post.shelf.at) or "" for name in ("portal", "two")]
    assert "none.pem" in tried[0]
    assert "SECRETTOKEN" not in tried[1]


async def test_a_clock_that_was_ahead_holds_nothing_up(post: Post, receiver: Receiver) -> None:
    post.to(receiver)
    receiver.answer = lambda _request: (503, b"")
    await post.shelf.handed_over()
    right, post.shelf.at = post.shelf.at, post.shelf.at + timedelta(days=3650)
    await post.round()
    post.shelf.at = right
    receiver.answer = lambda _request: (200, b"")
    await post.round()
    assert len(receiver.took) == 5


async def test_what_fails_for_an_hour_is_counted_and_may_be_tried_at_once(post: Post, receiver: Receiver) -> None:
    post.to(receiver)
    receiver.answer = lambda _request: (503, b"")
    await post.shelf.handed_over()
    for minutes, count in ((30, 0), (40, 1)):
        await post.round()
        post.shelf.at += timedelta(minutes=minutes)
        assert await stuck(post.shelf.engine, "pbx1", post.destinations, post.shelf.at) == count
    assert await stuck(post.shelf.engine, "pbx2", post.destinations, post.shelf.at) == 0
    receiver.answer = lambda _request: (200, b"")
    assert await post.queue.again(post.one()) == 1
    await post.round()
    assert len(receiver.took) == 5


async def test_an_act_that_asked_for_a_ticket_and_was_left_out_does_not_swallow_the_next(
    post: Post, receiver: Receiver
) -> None:
    zammad = Zammad(receiver)
    zammad.dies_after_making = 1
    post.to(receiver, "zammad", kind="zammad", url=receiver.url, customer="x@example.jp")
    kept = await post.shelf.handed_over()
    await post.round()
    way = await post.queue.in_the_way(post.one("zammad"), kept.number)
    assert way is not None
    await post.queue.told(way, way.act + 1)
    await post.round()
    subjects = [one["subject"].rpartition(".")[2] for one in zammad.articles[1]]
    assert subjects == ["register", "reach", "consent", "assign", "hand-over"]


def test_the_policy_knows_every_act() -> None:
    assert set(EVENTS) == set(form.KINDS)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_breaks_in_between_each_act_comes_at_least_once_and_in_order(
    post: Post, receiver: Receiver, seed: int
) -> None:
    """Refused, broken off, the desk killed in the middle, more acts meanwhile."""
    chance = random.Random(seed)  # noqa: S311

    def answer(_request: Request) -> tuple[int, bytes] | None:
        return chance.choice([(200, b""), (200, b""), (200, b""), (500, b""), None])

    receiver.answer = answer
    post.to(receiver)
    numbers = [(await post.shelf.handed_over()).number for _ in range(3)]
    sender = post.sender()
    for _ in range(25):
        await sender.look()
        match chance.randrange(4):
            case 0:  # killed: what was told and not put down is told again
                await asyncio.sleep(chance.random() * 0.01)
                await sender.close()
                sender = post.sender()
            case 1:
                await post.shelf.book().add(chance.choice(numbers), [post.shelf.act(Note, text="家の裏")])
        await sender.settled()
        post.shelf.at += timedelta(minutes=chance.choice([0, 1, 30]))
    receiver.answer = lambda _request: (200, b"")
    for _ in range(3):
        post.shelf.at += timedelta(hours=2)
        await post.round(sender)
    for number in numbers:
        case = (await post.shelf.book().get(number)).case
        told = [one["data"]["act"] for one in receiver.events() if one["subject"] == case.id]
        assert list(dict.fromkeys(told)) == list(range(1, len(case.history) + 1)), told
        assert told == sorted(told), "in order, though some come twice"
    assert await post.queue.waiting(post.one()) == []


class Zammad:
    """Shaped like it: tickets, articles, search by title. https://docs.zammad.org/en/latest/api/ticket/"""

    def __init__(self, receiver: Receiver) -> None:
        self.tickets: dict[int, dict[str, Any]] = {}
        self.articles: dict[int, list[dict[str, Any]]] = {}
        self.dies_after_making = 0
        receiver.answer = self.answer

    def answer(self, request: Request) -> tuple[int, bytes] | None:
        if request.headers.get("authorization") != "Token token=token":
            return 401, b'{"error":"Authentication required"}'
        path = request.path.partition("?")[0]
        if request.method == "GET" and path == "/api/v1/users/me":
            return 200, b'{"id":3}'
        if request.method == "GET" and path == "/api/v1/tickets/search":
            return 200, json.dumps(list(self.tickets.values())).encode()
        if request.method == "POST" and path == "/api/v1/tickets":
            made = request.json
            number = len(self.tickets) + 1
            self.articles[number] = [made.pop("article")]
            self.tickets[number] = made | {"id": number}
            if self.dies_after_making:
                self.dies_after_making -= 1
                return None
            return 201, json.dumps(self.tickets[number]).encode()
        number = int(path.rpartition("/")[2])
        changed = request.json
        self.articles[number].append(changed.pop("article"))
        self.tickets[number] |= changed
        return 200, json.dumps(self.tickets[number]).encode()


@pytest.mark.parametrize("dies", [0, 1, 2])
async def test_a_case_is_one_ticket_of_zammad_and_each_act_an_article(
    post: Post, receiver: Receiver, dies: int
) -> None:
    zammad = Zammad(receiver)
    zammad.dies_after_making = dies
    post.to(receiver, "zammad", kind="zammad", url=receiver.url, customer="kikitori@example.jp", group="給水課",
            events=("hand-over", "accept", "close"))  # fmt: skip
    kept = await post.shelf.handed_over()
    await post.close(kept.number)
    other = await post.shelf.handed_over()
    for _ in range(4):
        await post.round()
        post.shelf.at += timedelta(hours=1)
    assert sorted(one["title"] for one in zammad.tickets.values()) == sorted(
        f"案件 {one.number} ({one.case.id[:8]})" for one in (kept, other)
    )
    (mine,) = [number for number, one in zammad.tickets.items() if one["title"].startswith(f"案件 {kept.number} ")]
    assert [one["subject"].rpartition(".")[2] for one in zammad.articles[mine]] == ["hand-over", "accept", "close"]
    assert {one["internal"] for one in zammad.articles[mine]} == {True}
    assert (zammad.tickets[mine]["state"], zammad.tickets[mine]["group"]) == ("closed", "給水課")
    assert not [name for name in NAMES if name in str(zammad.articles)]


async def test_a_destination_is_tried_before_it_counts(post: Post, receiver: Receiver, tmp_path: Path) -> None:
    post.to(receiver)
    (one,) = post.destinations
    at = post.shelf.at
    assert await try_once(one, "pbx1", at) is None
    assert receiver.events()[0]["type"] == "kikitori.test"
    receiver.answer = lambda _request: (401, b"")
    assert await try_once(one, "pbx1", at) == "HTTP 401"
    Zammad(receiver)
    post.to(receiver, "zammad", kind="zammad", url=receiver.url, customer="x@example.jp")
    assert await try_once(post.destinations[1], "pbx1", at) is None
    (tmp_path / "zammad.secret").write_text("another")
    assert await try_once(post.destinations[1], "pbx1", at) == "HTTP 401"


def test_a_secret_is_long_enough_and_never_repeated() -> None:
    assert signing.secret(f" {signing.made(KEY)}\n") == KEY
    for wrong in (
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_\xff",
        base64.b64encode(KEY).decode(),
        signing.made(b"k" * 65),
    ):
        with pytest.raises(signing.SecretError) as raised:
            signing.secret(wrong)
        assert len(wrong) < 9 or wrong not in str(raised.value)
    found = signing.headers(KEY, "a.1", datetime(2027, 4, 1, tzinfo=UTC), b"{}")
    second = found["webhook-timestamp"]
    expected = hmac.new(KEY, f"a.1.{second}.{{}}".encode(), hashlib.sha256).digest()
    assert found["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
