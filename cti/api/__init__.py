"""The desk's HTTP API, /v1: what staff do with recordings. Read in this order:

edge         what every request and answer goes through: size, pace, language, headers
problems     errors as RFC 9457 has them
service      what the routes stand on: sessions, the guard, what is done once
hearing      what somebody hears just now, and what the log has of it; ranges: which part is asked for
shapes       what goes in and out
signing, sound, office    the routes: each names the right that it needs, or that whoever is signed in may
app          all of them; a route that asks nobody who they are is refused when the process starts
certificate, server       TLS, and clients that dawdle
client       the other side, typed; the command line's
"""
