"""The recorder: which channels to record, and how the sound gets from RAM into the vault.

Read: `decide` (pure: who is recorded) -> `take` (one MixMonitor run, as files in RAM) -> `audio` (FLAC) -> `segment`
(FLAC -> vault) -> `spool` (watches the files) -> `sealer` (what one take needs now) -> `rounds` (which takes, in which
threads) -> `session` (all of it, and what a dead predecessor left) -> `recover` (what a power failure left).
"""
