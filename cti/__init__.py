"""Kikitori: the call recorder and CTI controller beside an Asterisk PBX.

Along the way of a call, read:

    ami.framing, ami.client     bytes of the manager interface -> messages, on a connection that stays up
    calls.tracker               messages -> facts: who talks to whom (pure)
    reading                     legs, read with the numbering plan: who is who, what is to be recorded (pure)
    pipeline                    facts -> what should be recorded now -> start or stop the difference
    routing.gate                the dialplan's question before a call goes on: is it being recorded?
    recorder.session            MixMonitor runs and the files they write; from here on in package `recorder`
    recorder.rounds, sealer     what is new in these files, into the vault
    desk                        what staff do with recordings: find, play, export, verify, each with its log line
    health, watch               once a minute: what is not well, to the log, to Prometheus, by mail; `doctor` judges
    moving                      what is due by the rules, to the keeper (app.keeper, retention.mover)
    recovery                    after a power failure: the keys that went with the RAM, back to the recorder
    app                         the composition root: builds all of it, and reads the only clock

`cli` is the command line, one file a noun; `supervise` runs the four processes; `demo` shows it all on real calls.
`prompts` is what callers hear, `routing.speech` how a time and a number are said with it. `cases` is what becomes of a
question.
"""
