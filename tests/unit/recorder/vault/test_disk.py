"""What the kernel is asked for: everything above goes by a disk that a test can stop (test_body_crash, test_slots)."""

import os
from pathlib import Path

import pytest

from recorder.vault.disk import DISK


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which inodes the kernel was asked to make durable, and how."""
    asked: list[tuple[str, int]] = []
    for call in ("fsync", "fdatasync"):
        real = getattr(os, call)

        def noted(fd: int, call: str = call, real: object = real) -> None:
            asked.append((call, os.fstat(fd).st_ino))
            real(fd)  # type: ignore[operator]

        monkeypatch.setattr(os, call, noted)
    return asked


def test_a_sync_is_one_of_the_kernels(tmp_path: Path, synced: list[tuple[str, int]]) -> None:
    fd = DISK.open(tmp_path / "body", create=True)
    DISK.write_all(fd, b"sound", 0)
    assert synced == []
    DISK.sync(fd)
    os.close(fd)
    DISK.sync_folder(tmp_path)
    assert synced == [("fdatasync", (tmp_path / "body").stat().st_ino), ("fsync", tmp_path.stat().st_ino)]


def test_a_disk_that_takes_nothing_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = DISK.open(tmp_path / "body", create=True)
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match="5 bytes left"):
        DISK.write_all(fd, b"sound", 0)
    os.close(fd)
