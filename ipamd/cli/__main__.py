"""`python -m ipamd.cli`."""

import sys

from ipamd.cli import main

if __name__ == "__main__":
    sys.exit(main.main())
