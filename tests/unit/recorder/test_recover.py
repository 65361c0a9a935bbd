"""After a power failure: RAM and with it the keys are gone. What was synced comes back, under its own name, once."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from recorder import recover as recover_module
from recorder.about import AboutError
from recorder.recover import REASON, NoKeyError, Recovered, recover
from recorder.take import History
from recorder.vault.age import unwrap
from recorder.vault.errors import BodyBusyError, PayloadError, SlotErasedError
from recorder.vault.folder import SegmentKey, segment_name
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
    take,
)

NOW = START + timedelta(days=1)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ram_folder() as folder:
        yield Rig(folder / "vault", folder / "spool")


def keys(rig: Rig) -> list[SegmentKey]:
    """What somebody with the passphrase can open."""
    slots = rig.vault.slots
    return [
        SegmentKey(
            slot=n, epoch=1, key_id=rig.identity.recipient.key_id, file_key=unwrap(slots.read(n), [rig.identity])
        )
        for n in range(slots.count())
    ]


def back(
    rig: Rig, name: str, given: list[SegmentKey] | None = None, history: History | None = None
) -> Recovered | None:
    return recover(
        rig.writer(), name, keys(rig) if given is None else given, pbx="pbx1", told=lambda _uniqueid: history, now=NOW
    )


@pytest.mark.parametrize("steps", [1, 2, 8, 11])
def test_what_was_synced_comes_back(rig: Rig, steps: int) -> None:
    for other in ("one", "two"):
        lose_power(rig, 2, other)
    made, name, synced = lose_power(rig, steps)
    found = back(rig, name)
    assert found is not None
    assert rig.sound(made.order.recording) == interleave(LEFT, RIGHT)[: 4 * synced]
    manifest = found.manifest
    assert (manifest.state, manifest.reason, manifest.frames) == ("torn", REASON, synced)
    same = [field.name for field in fields(made.order)]
    assert [getattr(manifest, name) for name in same] == [getattr(made.order, name) for name in same]
    assert (manifest.take, manifest.take_offset, manifest.start) == (made.stem, 0, START)
    assert manifest.end == START + timedelta(seconds=synced / RATE)
    assert rig.vault.waiting("log") == [name]
    verifying = Verifying(rig.vault, [rig.signer.verifier], lambda _epoch: rig.identity)
    assert list(verifying.segment(rig.vault.manifest_path(made.order.recording, 1))) == []
    unfinished = [finding for finding in verifying.strays([]) if finding.problem == UNFINISHED]
    assert len(unfinished) == 2


def test_what_asterisk_remembers_goes_into_the_manifest(rig: Rig) -> None:
    made, name, _ = lose_power(rig)
    began = START + timedelta(seconds=3)
    order = replace(made.order, agent="2001", caller="0901234567")
    history = History(order=order, spans=((began, None),), talks=((began, None),), ended=None, began=START)
    found = back(rig, name, history=history)
    assert found is not None
    assert found.history == replace(history, ended=found.manifest.end)
    assert (found.manifest.caller, found.manifest.agent, found.manifest.start) == ("0901234567", "2001", began)


def test_what_asterisk_remembers_of_another_call_does_not(rig: Rig) -> None:
    made, name, _ = lose_power(rig)
    order = replace(made.order, conversation="00000000-0000-0000-0000-000000000000", caller="0901234567")
    found = back(rig, name, history=History(order=order, spans=(), talks=(), ended=None))
    assert found is not None
    assert found.history.order == made.order
    assert (found.history.talks, found.history.ended) == (((START, found.manifest.end),), found.manifest.end)
    assert found.manifest.caller == made.order.caller


def test_twice_is_once(rig: Rig) -> None:
    made, name, synced = lose_power(rig)
    assert back(rig, name) is not None
    assert back(rig, name) is None
    assert rig.sound(made.order.recording) == interleave(LEFT, RIGHT)[: 4 * synced]
    assert rig.vault.unfinished() == []


@pytest.mark.parametrize("step", ["adopt", "finish", "discard_tails"])
def test_killed_in_the_middle_it_can_be_done_again(rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    made, name, synced = lose_power(rig)
    with monkeypatch.context() as patch:
        owner = {"adopt": recover_module.About, "finish": recover_module.Writer, "discard_tails": recover_module}[step]
        patch.setattr(owner, {"adopt": "read"}.get(step, step), killed)
        with pytest.raises(Killed):
            back(rig, name)
    assert rig.vault.unfinished() == [name]
    verifying = Verifying(rig.vault, [rig.signer.verifier], None)
    expected = LEFT_OVER if step == "discard_tails" else UNFINISHED
    assert [finding.problem for finding in verifying.strays([])] == [expected]
    assert list(verifying.strays([name])) == []
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
    assert back(rig, other, keys(rig)) is not None


def files(rig: Rig) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (rig.root / "vault/segments").rglob("*") if path.is_file()}


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
    assert back(rig, name) is None
    assert files(rig) == {}
    with pytest.raises(SlotErasedError):
        rig.vault.slots.read(0)


def test_a_body_that_was_just_made_needs_no_key_to_go(rig: Rig) -> None:
    name = segment_name(take().order.recording, 1)
    BodyWriter.create(rig.writer().prepare(take().order.recording), name, bytes(16)).abandon()
    assert rig.vault.unfinished() == [name]
    assert back(rig, name, []) is None
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


def test_a_segment_under_another_name_is_refused(rig: Rig) -> None:
    made, name, _ = lose_power(rig)
    folder = rig.vault.folder(made.order.recording)
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace(".001.", ".002."))
    with pytest.raises(AboutError, match=r"\.002 says that it is .*\.001"):
        back(rig, segment_name(made.order.recording, 2))
    assert name not in rig.vault.unfinished()
