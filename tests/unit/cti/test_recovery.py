"""Desk and recorder give a segment its end together: log line, key, sound; in this order, and nothing without it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cti import recovery, store
from cti.callbook import CallRecord
from cti.desk import Desk
from cti.errors import NotFoundError, NotRunningError
from cti.intake import IntakeBook
from cti.journal import Journal
from cti.purpose import Purpose
from cti.recovery import Outcome, Recovery
from recorder.access.log import AccessLog
from recorder.catalogue import Catalogue
from recorder.recover import REASON
from recorder.take import History
from recorder.vault import keys
from recorder.vault.age import Identity, wrap
from recorder.vault.errors import VaultError
from recorder.vault.keys import by_passphrase
from recorder.wanted import Wanted
from tests import databases
from tests.unit.recorder.rig import (
    LEFT,
    RATE,
    RIGHT,
    START,
    Rig,
    interleave,
    lose_power,
    noise,
    ram_folder,
    record,
    uuid,
)

PASSPHRASE = "correct horse battery"


@dataclass
class Site:
    """An installation after a power failure: the recorder's half answers `ask`."""

    rig: Rig
    journal: Journal
    desk: Desk
    writing: set[str] = field(default_factory=set)
    history: History | None = None
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    booked: list[History] = field(default_factory=list)
    away: bool = False

    def __post_init__(self) -> None:
        self.recovery = Recovery(self.desk)

    async def ask(self, question: Mapping[str, Any], _deadline: float = 0) -> dict[str, Any]:
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        if question["ask"] == "status":
            return {"open": list(self.writing)}
        if question["ask"] == "damaged":
            return {"damaged": []}
        self.asked.append(question)
        recorder = SimpleNamespace(
            writer=self.rig.writer(),
            sealer=SimpleNamespace(pbx="pbx1"),
            now=lambda: START,
            sealed=self.journal.sealed,
            open_segments=lambda: list(self.writing),
        )
        return await recovery.answer(
            question,
            recorder=recorder,  # type: ignore[arg-type]
            told=lambda _uniqueid: self.history,
            book=self.booked.append,
        )

    async def recover(self, *names: str, passphrase: str = PASSPHRASE) -> list[Outcome]:
        identities = {1: keys.unlock(self.desk.keys, 1, passphrase)}
        return [outcome async for outcome in self.recovery.recover(names, identities)]

    def actions(self) -> list[str]:
        with AccessLog(self.rig.root / "log/access.db") as access:
            return [entry.action for entry in access.entries()]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    with ram_folder() as folder:
        root = folder / "site"
        for name in ("log", "escrow", "checkpoints"):
            (root / name).mkdir(parents=True)
        keys.create(root / "keys", root / "escrow", passphrase=PASSPHRASE, origin="kikitori/pbx1", epoch_start=START,
                    work_factor=10)  # fmt: skip
        rig = Rig(root, folder / "spool", identity=keys.unlock(root / "keys", 1, PASSPHRASE),
                  signer=keys.load_signer(root / "keys/recorder.key"))  # fmt: skip
        engine = store.engine(databases.url(root))
        await store.migrate(engine)

        def access() -> AccessLog:
            return AccessLog(root / "log/access.db")

        desk = Desk(vault=rig.vault, keys=root / "keys", access=access, checkpoints=root / "checkpoints",
                    catalogue=Catalogue(engine, "pbx1"), now=lambda: START, actor="os:tanaka",
                    intake=IntakeBook(engine, "pbx1", lambda _at: None),
                    ask=lambda question, deadline: made.ask(question, deadline))  # fmt: skip
        made = Site(rig, Journal(access, rig.vault, lambda: START), desk)
        rig.told = made.journal  # type: ignore[assignment]
        yield made
        await desk.close()


@pytest.mark.rule("B-07")
async def test_what_was_lost_with_the_power_can_be_heard_again(site: Site) -> None:
    record(site.rig, "before", noise("l", RATE), noise("r", RATE))
    made, name, synced = lose_power(site.rig)
    assert await site.recovery.unfinished() == [name]
    assert await site.recover(name) == [Outcome(segment=name, outcome="recovered", seconds=synced / RATE)]
    assert site.actions() == ["segment.sealed", "recover.intent", "segment.sealed", "recover.result"]
    [found] = await site.desk.recordings(Wanted(recording=made.order.recording))
    assert (found["number"], found["segments"]) == ("0664581132", 1)
    sound = site.desk.open(made.order.recording, 0, None)
    assert (sound.parts[0].manifest.state, sound.parts[0].manifest.reason) == ("torn", REASON)
    heard = b"".join(site.desk.play(sound, by_passphrase(site.desk.keys, PASSPHRASE), Purpose.QUALITY, "both"))
    assert heard[44:] == interleave(LEFT, RIGHT)[: 4 * synced]
    assert [
        finding
        async for finding in site.desk.verify(None, by_passphrase(site.desk.keys, PASSPHRASE), lambda _count: None)
    ] == []
    assert await site.recovery.unfinished() == []
    # Only the key of a segment that nobody has finished is given out.
    assert [len(question["keys"]) for question in site.asked] == [1]


@pytest.mark.parametrize("remembered", [True, False])
async def test_the_call_behind_it_is_booked_whether_asterisk_remembers_it_or_not(site: Site, remembered: bool) -> None:
    made, name, synced = lose_power(site.rig)
    if remembered:
        talked = ((START, None),)
        site.history = History(order=made.order, spans=talked, talks=talked, ended=None, began=START)
    await site.recover(name)
    [booked] = site.booked
    assert (booked.order, booked.began) == (made.order, START if remembered else None)
    assert booked.talks[0][0] == START
    assert booked.ended == START + timedelta(seconds=synced / RATE)


async def test_with_the_wrong_passphrase_nothing_is_begun(site: Site) -> None:
    _, name, _ = lose_power(site.rig)
    with pytest.raises(VaultError):
        await site.recover(name, passphrase="wrong")
    assert site.actions() == []
    assert site.asked == []


async def test_without_a_recorder_nobody_writes(site: Site) -> None:
    _, name, _ = lose_power(site.rig)
    site.away = True
    with pytest.raises(NotRunningError, match="kikitori serve"):
        await site.recover(name)
    assert site.rig.vault.unfinished() == [name]


async def test_one_that_cannot_be_recovered_holds_up_no_other(site: Site) -> None:
    broken, lost, _ = lose_power(site.rig, 11, "broken")
    body = site.rig.vault.folder(broken.order.recording) / f"{lost}.agebody"
    data = bytearray(body.read_bytes())
    data[16 + 65552 + 9] ^= 1
    body.write_bytes(data)
    _, name, synced = lose_power(site.rig, 3, "whole")
    failed, recovered = await site.recover(lost, name)
    assert failed.outcome == "failed"
    assert "chunk 1" in (failed.reason or "")
    assert recovered == Outcome(segment=name, outcome="recovered", seconds=synced / RATE)
    with AccessLog(site.rig.root / "log/access.db") as access:
        results = [entry.detail["outcome"] for entry in access.find(action="recover.result")]
    assert results == ["failed", "recovered"]


async def test_a_key_is_found_among_many_and_a_foreign_or_torn_slot_is_passed_over(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "AT_ONCE", 2)
    _, name, _ = lose_power(site.rig)
    slots = site.rig.vault.slots
    for number in range(5):
        slots.append(wrap(bytes([number]) * 16, [site.rig.identity.recipient]))
    slots.append(wrap(bytes(16), [Identity.generate().recipient]))
    slots.wipe(slots.append(wrap(bytes(16), [site.rig.identity.recipient])))
    [outcome] = await site.recover(name)
    assert outcome.outcome == "recovered"
    assert [len(question["keys"]) for question in site.asked] == [2, 2, 2]


async def test_a_segment_whose_slot_is_gone_is_failed_and_stays(site: Site) -> None:
    _, name, _ = lose_power(site.rig)
    site.rig.vault.slots.wipe(0)
    [outcome] = await site.recover(name)
    assert (outcome.outcome, outcome.reason) == ("failed", "no slot has its key")
    assert site.rig.vault.unfinished() == [name]


async def test_what_is_being_written_is_not_listed_and_not_touched(site: Site) -> None:
    _, name, _ = lose_power(site.rig)
    site.writing = {name}
    assert await site.recovery.unfinished() == []
    [outcome] = await site.recover(name)
    assert outcome.outcome == "failed"
    assert site.rig.vault.unfinished() == [name]


async def test_one_recording_can_be_named(site: Site) -> None:
    _, one, _ = lose_power(site.rig, 1, "one")
    _, two, _ = lose_power(site.rig, 1, "two")
    assert await site.recovery.unfinished(uuid("one")[:6].upper()) == [one]
    assert sorted(await site.recovery.unfinished()) == sorted([one, two])
    with pytest.raises(NotFoundError, match="--dry-run"):
        await site.recovery.unfinished("0000")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "x.001", "a" * 36])
async def test_a_question_about_something_else_is_refused(site: Site, name: str) -> None:
    reply = await site.ask({"ask": "recover", "segment": name, "keys": [], "book": True})
    assert reply["outcome"] == "failed"


@pytest.mark.parametrize("keys_", [[{}], [{"slot": 1}], [{"slot": "x", "epoch": 1, "key_id": "", "file_key": ""}], [3]])
async def test_a_question_without_keys_is_none(site: Site, keys_: list[Any]) -> None:
    _, name, _ = lose_power(site.rig)
    with pytest.raises((KeyError, ValueError, TypeError)):
        await site.ask({"ask": "recover", "segment": name, "keys": keys_, "book": True})
    assert site.rig.vault.unfinished() == [name]


async def test_the_keys_of_finished_segments_are_not_given_out_even_without_a_catalogue(site: Site) -> None:
    for name in ("one", "two"):
        record(site.rig, name, noise("l", RATE), noise("r", RATE))
    _, name, _ = lose_power(site.rig)
    await site.desk.catch_up()
    await site.desk.catalogue.clear()
    await site.recover(name)
    assert [[key["slot"] for key in question["keys"]] for question in site.asked] == [[2]]
    with AccessLog(site.rig.root / "log/access.db") as access:
        assert [entry.detail for entry in access.find(action="recover.intent")] == [{"slots": [2]}]


@pytest.mark.rule("B-13")
async def test_what_the_log_knows_as_sealed_is_not_sealed_again(site: Site) -> None:
    _, name, _ = lose_power(site.rig)
    site.journal.append("segment.sealed", name, {"manifest_sha256": "0" * 64})
    [outcome] = await site.recover(name)
    assert (outcome.outcome, outcome.reason) == ("failed", "the log knows a manifest that is gone")
    assert site.asked == []
    assert site.rig.vault.unfinished() == [name]


async def test_a_call_that_is_in_the_list_is_not_booked_again(site: Site) -> None:
    made, name, _ = lose_power(site.rig)
    site.journal.write(
        CallRecord(conversation=made.order.conversation, linkedid="1", arrived=START, answered=START, ended=START,
                   number=None, caller=None, disposition="completed", recording=made.order.recording)
    )  # fmt: skip
    site.journal.close()
    [outcome] = await site.recover(name)
    assert outcome.outcome == "recovered"
    assert site.booked == []


async def test_an_answer_that_does_not_come_in_time_is_no_missing_recorder(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, name, _ = lose_power(site.rig)
    ask = site.desk.ask

    async def slow(question: Mapping[str, Any], deadline: float = 2.0) -> dict[str, Any]:
        if question["ask"] == "recover":
            raise TimeoutError
        return await ask(question, deadline)

    monkeypatch.setattr(site.desk, "ask", slow)
    [outcome] = await site.recover(name)
    assert outcome.outcome == "failed"
    assert "no answer in time" in (outcome.reason or "")


async def test_leftover_tails_are_no_lost_sound(site: Site) -> None:
    _, name, _ = lose_power(site.rig)
    folder = site.rig.vault.folder(name)
    tails = {path: path.read_bytes() for path in folder.glob("*.tail*")}
    await site.recover(name)
    for path, data in tails.items():
        path.write_bytes(data)
    assert await site.recovery.unfinished() == [name]
    assert [outcome.outcome for outcome in await site.recover(name)] == ["finished"]
    assert await site.recovery.unfinished() == []
