"""Cases of every channel, and the promises in them.

`contact` is how a person is reached, `model` what may be done with a case, and in which order; both are pure.
"""
