"""`python -m ipamd`."""

import sys

from ipamd import app

if __name__ == "__main__":
    sys.exit(app.main())
