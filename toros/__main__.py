"""Run as ``python -m toros``."""

from toros.cli.main import main

main()
