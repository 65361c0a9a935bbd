"""`kikitori asterisk doctor`: what was seen of the PBX and of this host -> findings, each with its remedy.

Read: `seen` (what can be seen) -> `pbx`, `host` (looking) -> `finding`, `rights`, `filters`, `judge` (judging; pure).
"""
