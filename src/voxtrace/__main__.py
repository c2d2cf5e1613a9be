"""`python -m voxtrace`: the same as the command `voxtrace`."""

import sys

from voxtrace.cli import main

if __name__ == "__main__":
    sys.exit(main())
