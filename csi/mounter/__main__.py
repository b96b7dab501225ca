"""`python -m csi.mounter`."""

import sys

from csi.mounter import app

sys.exit(app.main())
