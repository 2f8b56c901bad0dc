"""`python -m ganlab`: the same as the command `ganlab`."""

from ganlab.cli import main

main()
