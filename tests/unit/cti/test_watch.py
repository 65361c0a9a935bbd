"""The watch tells of an alarm once, of its end once, by log, metric and mail; a relay that is away is tried again."""

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from cti.doctor.machine import StockSeen
from cti.doctor.seen import Unseen
from cti.health import HealthSeen
from cti.metrics import Metrics
from cti.settings import Mail
from cti.watch import STOCK_FOR, Watch, by_mail
from tests.unit.cti.doctor import good_house
from tests.unit.cti.doctor.good_house import NOW, WANT
from tests.unit.cti.test_health import RECORDER, SEEN

FULL = {"untold": {"log": 99, "index": 0}}
GONE = {"recorder": Unseen("no answer in time")}


class Scene:
    """A watch whose world is `seen`."""

    def __init__(self) -> None:
        self.seen = SEEN
        self.now = NOW
        self.sent: list[tuple[str, str]] = []
        self.relay_is_away = False
        self.counted = 0
        self.metrics = Metrics()
        self.watch = Watch(
            look=self._look, stock=self._stock, want=lambda: WANT, metrics=self.metrics, send=self._send,
            now=lambda: self.now,
        )  # fmt: skip

    async def _look(self, stock: StockSeen | Unseen) -> HealthSeen:
        return replace(self.seen, stock=stock)

    def _stock(self) -> StockSeen | Unseen:
        self.counted += 1
        return good_house.SEEN.stock

    def _send(self, subject: str, text: str) -> None:
        if self.relay_is_away:
            raise ConnectionRefusedError(111, "Connection refused")
        self.sent.append((subject, text))

    async def round(self, **changes: Any) -> list[Any]:
        """One look at SEEN with `changes`; what was logged."""
        self.seen = replace(SEEN, **changes)
        with capture_logs() as logs:
            await self.watch.round()
        self.now += timedelta(minutes=1)
        return [(line["event"], line.get("check"), line["log_level"]) for line in logs]


async def test_an_alarm_is_told_once_and_so_is_its_end() -> None:
    scene = Scene()
    assert await scene.round() == []
    assert await scene.round(**FULL) == [("alarm", "untold", "warning")]
    assert await scene.round(**FULL) == []
    assert await scene.round(**FULL, **GONE) == [("alarm", "recorder", "error")]
    assert await scene.round() + await scene.round() == []
    assert await scene.round() == [("alarm over", "recorder", "info"), ("alarm over", "untold", "info")]
    assert [subject for subject, _ in scene.sent] == [
        "Kikitori: 1 alarm",
        "Kikitori: 2 alarms",
        "Kikitori: all alarms are over",
    ]
    assert "99 segments wait to be told" in scene.sent[0][1]
    assert "OVER" in scene.sent[2][1]


async def test_a_warning_that_becomes_an_error_is_told_again() -> None:
    scene = Scene()
    late = RECORDER | {"events_waiting": 5, "events_delay": 3.0}
    assert await scene.round(recorder=late) == [("alarm", "events", "warning")]
    assert await scene.round(recorder=late | {"events_waiting": 20_000}) == [("alarm", "events", "error")]
    assert await scene.round(recorder=late) == []


async def test_another_cause_is_told_and_other_numbers_are_not() -> None:
    scene = Scene()
    assert (
        len(await scene.round(recorder=RECORDER | {"trouble": "the spool is nearly full: 99 of 512 MiB are free"})) == 1
    )
    assert not await scene.round(recorder=RECORDER | {"trouble": "the spool is nearly full: 80 of 512 MiB are free"})
    assert len(await scene.round(recorder=RECORDER | {"trouble": "No space left on device"})) == 1
    yesterday = NOW.date() - timedelta(days=1)
    assert len(await scene.round(statements={yesterday: 1})) == 1
    assert len(await scene.round(statements={yesterday: 500})) == 1


async def test_an_error_that_stands_is_told_again_after_a_day() -> None:
    scene = Scene()
    assert len(await scene.round(**GONE)) == 1
    assert not await scene.round(**GONE)
    scene.now += timedelta(days=1)
    assert await scene.round(**GONE) == [("alarm", "recorder", "error")]


async def test_what_comes_and_goes_each_minute_is_one_alarm() -> None:
    scene = Scene()
    told = [await scene.round(**(FULL if minute % 2 else {})) for minute in range(10)]
    assert sum(len(each) for each in told) == 1


async def test_what_cannot_be_seen_any_more_is_not_over() -> None:
    scene = Scene()
    yesterday = NOW.date() - timedelta(days=1)
    assert len(await scene.round(statements={yesterday: 2})) == 1
    away = {"statements": Unseen("no answer in time"), "overdue": Unseen("no answer in time")}
    for _ in range(5):
        await scene.round(**away)
    assert "completeness" in scene.watch._known
    assert "database" in scene.watch._known, "what keeps us from looking has an alarm of its own"


async def test_a_watch_that_fails_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    with monkeypatch.context() as patch:
        patch.setattr(scene.watch, "_want", {}.popitem)
        assert ("alarm", "watch", "error") in await scene.round()
    told = scene.watch._metrics.registry.get_sample_value("kikitori_alarm", {"check": "watch", "severity": "error"})
    assert told == 1
    for _ in range(3):
        logged = await scene.round()
    assert logged == [("alarm over", "watch", "info")]


async def test_what_a_relay_did_not_take_is_sent_in_the_next_minute() -> None:
    scene = Scene()
    scene.relay_is_away = True
    assert ("alarm not sent by mail, tried again in a minute", None, "error") in await scene.round(**FULL)
    scene.relay_is_away = False
    await scene.round(**FULL)
    ((subject, text),) = scene.sent
    assert subject == "Kikitori: 1 alarm"
    assert "99 segments" in text
    await scene.round(**FULL)
    assert len(scene.sent) == 1


async def test_the_vault_is_read_name_by_name_once_an_hour() -> None:
    scene = Scene()
    await scene.round()
    await scene.round()
    assert scene.counted == 1
    scene.now += STOCK_FOR
    await scene.round()
    assert scene.counted == 2
    scene.now -= 10 * STOCK_FOR  # a clock that is set back
    await scene.round()
    assert scene.counted == 3


async def test_prometheus_is_told_the_same() -> None:
    scene = Scene()
    await scene.round(**FULL, **GONE)
    text = generate_latest(scene.metrics.registry).decode()
    assert 'kikitori_alarm{check="untold",severity="warning"} 1.0' in text
    assert 'kikitori_alarm{check="untold",severity="error"} 0.0' in text
    assert 'kikitori_alarm{check="recorder",severity="error"} 1.0' in text
    assert 'kikitori_up{role="recorder"} 0.0' in text
    assert 'kikitori_segments_untold{outbox="log"} 99.0' in text
    assert "kikitori_calls NaN" in text, "what is not seen is not shown as it was"
    await scene.round()
    text = generate_latest(scene.metrics.registry).decode()
    assert 'kikitori_alarm{check="recorder",severity="error"} 0.0' in text
    assert "kikitori_calls 2.0" in text
    await scene.round(statements=Unseen("away"), overdue=Unseen("away"))
    text = generate_latest(scene.metrics.registry).decode()
    assert "kikitori_completeness_exceptions NaN" in text
    assert 'kikitori_alarm{check="completeness",severity="warning"} 0.0' in text, "not seen is no alarm of its own"
    await scene.round()
    text = generate_latest(scene.metrics.registry).decode()
    looked = next(line for line in text.splitlines() if line.startswith("kikitori_looked_timestamp_seconds "))
    assert float(looked.split()[1]) == (scene.now - timedelta(minutes=1)).timestamp()


class _Relay(socketserver.StreamRequestHandler):
    """Takes a mail as RFC 5321 has it."""

    def handle(self) -> None:
        self.wfile.write(b"220 relay\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                taken = []
                while (text := self.rfile.readline()) != b".\r\n":
                    taken.append(text)
                self.server.mails.append(b"".join(taken))  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 well\r\n")
            if word == b"QUIT":
                return


@pytest.fixture
def relay() -> Iterator[Any]:
    with socketserver.TCPServer(("127.0.0.1", 0), _Relay) as server:
        server.mails = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_mail_goes_to_the_relay_of_the_settings(relay: Any) -> None:
    settings = Mail(to="duty@example.jp, chief@example.jp", sender="kikitori@example.jp", port=relay.server_address[1])
    send = by_mail(settings, lambda: datetime(2028, 2, 29, 3, 0, tzinfo=NOW.tzinfo))
    assert send is not None
    await asyncio.to_thread(send, "Kikitori: 警報 1 件", "スプールの空きが残りわずか\n")
    (mail,) = relay.mails
    assert b"To: duty@example.jp, chief@example.jp" in mail
    assert b"Date: Tue, 29 Feb 2028 03:00:00 +0000" in mail
    assert b"=?utf-8?" in mail


def test_nobody_is_told_by_mail_where_nobody_is_named() -> None:
    assert by_mail(Mail(), lambda: NOW) is None
