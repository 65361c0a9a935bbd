"""After a power failure: RAM and with it the keys are gone. What was synced comes back, under its own name, once."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from recorder import recover as recover_module
from recorder.about import AboutError
from recorder.recover import REASON, NoKeyError, NothingThereError, began, give_end, identify
from recorder.take import History, Span
from recorder.vault import tail
from recorder.vault.age import unwrap, wrap
from recorder.vault.errors import BodyBusyError, PayloadError, SlotErasedError
from recorder.vault.folder import SegmentKey, Writer, segment_name
from recorder.vault.manifest import Manifest
from recorder.vault.writer import BodyWriter
from recorder.verify import LEFT_OVER, UNFINISHED, Verifying
from tests.unit.recorder.rig import (
    LEFT,
    RATE,
    RIGHT,
    START,
    MixMonitor,
    Rig,
    forget_ram,
    interleave,
    lose_power,
    ram_folder,
    record,
    take,
    uuid,
)

NOW = START + timedelta(days=1)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ram_folder() as folder:
        yield Rig(folder / "vault", folder / "spool")


def keys(rig: Rig) -> list[SegmentKey]:
    """What somebody with the passphrase can open."""
    key_id, read = rig.identity.recipient.key_id, rig.vault.slots.read
    return [
        SegmentKey(slot=slot, epoch=1, key_id=key_id, file_key=unwrap(read(slot), [rig.identity]))
        for slot in range(rig.vault.slots.count())
    ]


def files(rig: Rig) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (rig.root / "vault/segments").rglob("*") if path.is_file()}


def back(rig: Rig, name: str, given: list[SegmentKey] | None = None, history: History | None = None) -> Manifest:
    writer = rig.writer()
    found = identify(writer, name, keys(rig) if given is None else given)
    return give_end(writer, found, history, pbx="pbx1", now=NOW)


def nothing(rig: Rig, name: str, given: list[SegmentKey] | None = None) -> str:
    with pytest.raises(NothingThereError) as caught:
        back(rig, name, given)
    return caught.value.outcome


@pytest.mark.parametrize("steps", [1, 2, 8, 11])
def test_what_was_synced_comes_back(rig: Rig, steps: int) -> None:
    for other in ("one", "two"):
        lose_power(rig, 2, other)
    made, name, synced = lose_power(rig, steps)
    manifest = back(rig, name)
    assert rig.sound(made.order.recording) == interleave(LEFT, RIGHT)[: 4 * synced]
    assert (manifest.state, manifest.reason, manifest.frames) == ("torn", REASON, synced)
    same = [field.name for field in fields(made.order)]
    assert [getattr(manifest, name) for name in same] == [getattr(made.order, name) for name in same]
    assert (manifest.take, manifest.take_offset, manifest.start) == (made.stem, 0, START)
    assert manifest.end == START + timedelta(seconds=synced / RATE)
    assert rig.vault.waiting("log") == [name]
    verifying = Verifying(rig.vault, [rig.signer.verifier], lambda _epoch: (rig.identity,))
    assert list(verifying.segment(rig.vault.manifest_path(made.order.recording, 1))) == []
    assert len([finding for finding in verifying.strays(rig.vault.unfinished()) if finding.problem == UNFINISHED]) == 2


def test_what_asterisk_remembers_goes_into_the_manifest(rig: Rig) -> None:
    made, name, _ = lose_power(rig)
    started = START + timedelta(seconds=0.8)
    order = replace(made.order, agent="2001", caller="0901234567")
    history = History(order=order, spans=((started, None),), talks=((started, None),), ended=None, began=START)
    manifest = back(rig, name, history=history)
    assert (manifest.caller, manifest.agent, manifest.start) == ("0901234567", "2001", started)


def test_what_asterisk_remembers_of_another_call_does_not(rig: Rig) -> None:
    made, name, _ = lose_power(rig)
    order = replace(made.order, conversation="00000000-0000-0000-0000-000000000000", caller="0901234567")
    manifest = back(rig, name, history=History(order=order, spans=(), talks=(), ended=None))
    assert (manifest.caller, manifest.start) == (made.order.caller, START)


@pytest.mark.parametrize("spans", [(), ((START, START),), ((START + timedelta(seconds=9), None),)])
def test_a_record_of_asterisks_that_the_power_left_in_part_counts_for_nothing(
    rig: Rig, spans: tuple[Span, ...]
) -> None:
    made, name, synced = lose_power(rig)
    order = replace(made.order, caller="0901234567")
    manifest = back(rig, name, history=History(order=order, spans=spans, talks=(), ended=None))
    assert (manifest.start, manifest.caller) == (START, made.order.caller)
    assert manifest.end == START + timedelta(seconds=synced / RATE)


def test_the_call_began_with_its_first_segment(rig: Rig) -> None:
    made = record(rig, "call", LEFT[:40_000], RIGHT[:40_000])
    first = rig.parts(made.order.recording)[0].manifest
    assert began(rig.writer(), replace(first, segment=2, start=START + timedelta(hours=1))) == first.start
    assert began(rig.writer(), replace(first, recording=uuid("another"))) == START


def test_twice_is_once(rig: Rig) -> None:
    made, name, synced = lose_power(rig)
    back(rig, name)
    assert nothing(rig, name) == "finished"
    assert rig.sound(made.order.recording) == interleave(LEFT, RIGHT)[: 4 * synced]
    assert rig.vault.unfinished() == []


@pytest.mark.parametrize("step", ["manifest_of", "finish", "discard_tails"])
def test_killed_in_the_middle_it_can_be_done_again(rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    made, name, synced = lose_power(rig)
    with monkeypatch.context() as patch:
        patch.setattr(Writer if step == "finish" else recover_module, step, killed)
        with pytest.raises(Killed):
            back(rig, name)
    assert rig.vault.unfinished() == [name]
    verifying = Verifying(rig.vault, [rig.signer.verifier], None)
    over = step == "discard_tails"
    assert [finding.problem for finding in verifying.strays(rig.vault.unfinished())] == [
        LEFT_OVER if over else UNFINISHED
    ]
    assert list(verifying.strays([])) == []
    if over:
        assert nothing(rig, name) == "finished"
    else:
        back(rig, name)
    assert rig.sound(made.order.recording) == interleave(LEFT, RIGHT)[: 4 * synced]
    assert rig.vault.unfinished() == []


def test_without_the_key_nothing_is_changed(rig: Rig) -> None:
    _, name, _ = lose_power(rig)
    _, other, _ = lose_power(rig, 2, "other")
    before = files(rig)
    for given in ([], [key for key in keys(rig) if key.slot == 1]):
        with pytest.raises(NoKeyError):
            back(rig, name, given)
    assert files(rig) == before
    assert back(rig, other).frames


def test_a_body_that_never_held_sound_goes_and_its_key_is_erased(rig: Rig) -> None:
    made = take()
    life = rig.life()
    monitor = MixMonitor(rig.spool_root, made.stem, LEFT[:2000], RIGHT[:2000])  # less than a FLAC frame
    work = life.begin(made)
    monitor.write()
    life.sealer.step(work)
    life.die()
    forget_ram(rig)
    [name] = rig.vault.unfinished()
    assert nothing(rig, name) == "empty"
    assert files(rig) == {}
    with pytest.raises(SlotErasedError):
        rig.vault.slots.read(0)


def test_a_body_that_was_just_made_needs_no_key_to_go_but_its_writer_must_be_dead(rig: Rig) -> None:
    name = segment_name(take().order.recording, 1)
    writer = BodyWriter.create(rig.writer().prepare(take().order.recording), name, bytes(16))
    with pytest.raises(BodyBusyError):
        back(rig, name, [])
    assert len(files(rig)) == 3
    writer.abandon()
    assert nothing(rig, name, []) == "empty"
    assert files(rig) == {}


def test_a_first_flush_of_more_than_a_chunk_that_was_torn_held_no_sound(rig: Rig) -> None:
    name = segment_name(take().order.recording, 1)
    key = rig.writer().new_key()
    writer = BodyWriter.create(rig.writer().prepare(take().order.recording), name, key.file_key)
    # What such a flush writes first: the record of the chunk behind the first one.
    record_ = tail.Record(chunk=1, sequence=0, samples=9, data=b"the rest")
    path = rig.vault.folder(name) / f"{name}.tail1"
    with path.open("r+b") as file:
        file.write(tail.seal_record(tail.tail_key(key.file_key, writer.nonce), record_))
    writer.abandon()
    assert nothing(rig, name) == "empty"
    assert files(rig) == {}


def test_one_that_is_being_written_is_left_alone(rig: Rig) -> None:
    made = take()
    monitor = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT)
    life = rig.life()
    work = life.begin(made)
    monitor.write()
    life.sealer.step(work)
    with pytest.raises(BodyBusyError):
        back(rig, segment_name(made.order.recording, 1))
    monitor.write(len(LEFT), len(RIGHT))
    work.closed = True
    while life.sealer.step(work):
        pass
    assert rig.sound(made.order.recording) == interleave(LEFT, RIGHT)


def test_damage_is_named_and_nothing_is_changed(rig: Rig) -> None:
    made, name, _ = lose_power(rig, 11)
    body = rig.vault.folder(made.order.recording) / f"{name}.agebody"
    data = bytearray(body.read_bytes())
    data[16 + 65552 + 70] ^= 1  # in the second chunk; the first still tells whose key it is
    body.write_bytes(data)
    before = files(rig)
    with pytest.raises(PayloadError):
        back(rig, name)
    assert files(rig) == before


def test_a_segment_under_another_name_is_refused_and_stays(rig: Rig) -> None:
    made, _, _ = lose_power(rig)
    folder = rig.vault.folder(made.order.recording)
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace(".001.", ".002."))
    before = files(rig)
    with pytest.raises(AboutError, match=r"\.002 says that it is .*\.001"):
        back(rig, segment_name(made.order.recording, 2))
    assert files(rig) == before


@pytest.mark.rule("B-13")
def test_sound_that_the_recorder_did_not_begin_is_given_no_end(rig: Rig) -> None:
    forger = Rig(rig.root / "forger", rig.root / "spool", identity=rig.identity)
    made, name, _ = lose_power(forger)
    key = keys(forger)[0].file_key
    folder = rig.writer().prepare(made.order.recording)
    for path in forger.vault.folder(made.order.recording).iterdir():
        path.rename(folder / path.name)
    rig.vault.slots.append(wrap(key, [rig.identity.recipient]))
    before = files(rig)
    # The forger's key has the recorder's name, and is another.
    with pytest.raises(AboutError):
        back(rig, name)
    assert files(rig) == before
