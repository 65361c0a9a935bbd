"""The Asterisk Manager Interface: bytes -> frames -> messages, and a client that stays connected.

Read: `framing` -> `message` -> `actions` -> `client`. Decision 0001 says why this is ours.
"""
