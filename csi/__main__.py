"""`python -m csi` runs `csi-plugin`."""

import sys

from csi import main

sys.exit(main.main())
