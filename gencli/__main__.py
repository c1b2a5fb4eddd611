"""`python -m gencli`, also what torchrun starts."""

import sys

from gencli.app import main

if __name__ == "__main__":
    sys.exit(main())
