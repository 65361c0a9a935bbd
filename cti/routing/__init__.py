"""The gate: a process of its own that the dialplan asks before a call goes on.

Read: `agi` (the protocol) -> `gate` (the server); `speech` (what is said of a time and a number; pure).
"""
