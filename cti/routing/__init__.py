"""The gate: a process of its own that the dialplan asks before a call goes on.

Read: `agi` (the protocol) -> `gate` (the server) -> `direct` (what it tells the dialplan) -> `route` (where a call
goes; pure). `baseline`: the same hours as lines of the dialplan, for when the gate is silent; `speech`: a time and a
number as prompts.
"""
