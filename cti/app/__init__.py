"""The composition root: builds the objects of each process, and alone reads the wall clock (`clock`)."""
