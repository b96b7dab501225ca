"""`python -m csi.mounter`."""

import sys

from csi.mounter import main

sys.exit(main.main())
