"""The gate: a process of its own that the dialplan asks before a call goes on.

Read: `agi` (the protocol) -> `gate` (the server).
"""
