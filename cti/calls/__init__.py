"""What the PBX says, understood: events in, facts out. Pure: no I/O, no clock.

Read: `model` (legs and facts) -> `channel` (what a channel's name says) -> `board` (who is on the line now) ->
`tracker` -> `ending` (how a call ended). `cel` reads Asterisk's own record with the same tracker.
"""
