"""`python -m fleetcell`."""

from fleetcell.cli import main

main()
