"""The access log: who did what with which recording, append-only and provable.

Read `merkle` (hashes), `log` (the SQLite file), `checkpoint` (signed tree heads on the second medium), `errors`.
"""
