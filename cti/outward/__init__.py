"""Cases told to other systems. Read in this order:

`events` what is said of an act (pure), `signing` how the receiver knows that it is ours (pure), `tables`, `queue` what
is still to be told and to whom, `webhook`, `zammad` and `folder` three ways of telling, `sending` who does it, again
and again.
"""
