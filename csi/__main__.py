"""`python -m csi` runs `csi-plugin`."""

import sys

from csi import app

sys.exit(app.main())
