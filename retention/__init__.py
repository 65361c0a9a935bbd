"""How long a recording is to live (B-15 to B-25), and where.

`period` reckons, `course` says what becomes of one recording, `holds` what stops its end, `plan` what is due (all
pure); `held` reads the holds, `mover` takes what is due to the second medium. Nothing is erased yet.
"""
