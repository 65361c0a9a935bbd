"""What the PBX says, understood: events in, facts out. Pure: no I/O, no clock.

Read: `model` (legs and facts) -> `channel` (what a channel's name says) -> `tracker`.
"""
