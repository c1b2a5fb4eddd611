"""The program: `gencli`, `python -m gencli`, and what torchrun starts."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # until `main` there is nothing to clean up: an interrupt among the imports ends the process, without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from gencli.app import main

if __name__ == "__main__":
    sys.exit(main())
