"""`python -m cti.cli`: how the supervisor starts its processes."""

from cti.cli.root import main

main()
