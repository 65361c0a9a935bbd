"""The vault: segments encrypted to a public key while the call goes on, signed, and readable with standard tools.

Read: `age` (headers and keys) -> `stream` (payload) -> `tail`, `body` (a live body that a crash cannot hurt), `writer`
-> `slots` (the headers, apart from the bodies, so that one can be erased) -> `note`, `manifest` (what is signed)
-> `keys` (the key folder) -> `folder` (all of it in its place). Small: `armor`, `bech32`, `disk`, `errors`.
"""
