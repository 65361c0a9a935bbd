"""The desk's HTTP API, /v1: what staff do with recordings. Read in this order:

edge       what every request and answer goes through: size, pace, language, headers
problems   errors as RFC 9457 has them
desk       what the routes stand on: sessions, the guard, plays that go on
shapes     what goes in and out
routes     session, recordings, plays, exports, accounts, keys, log, status: each names the right that it needs
app        all of them; a route that names none is refused when the process starts
server     TLS, and how it ends
client     the other side, typed; the command line's
"""
