"""`kikitori demo`: real calls through a real Asterisk, and what the recordings hold against what was said.

Read: `run` (the story) -> `lab` (an installation in a scratch folder, inside `namespace`), `pbx` (its Asterisk)
-> `scenarios`, `sipp` (telephones) -> `tones` (sound that says which call it is) -> `proof`, `compare` (is all of it
there?) -> `plaintext` (and nowhere in the clear?). `picture` draws sound as text.
"""
