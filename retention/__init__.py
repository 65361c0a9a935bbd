"""How long a recording lives, and the proof of its end (B-15 to B-25)."""
