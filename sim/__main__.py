"""Runs the simulator: `python -m sim serve`."""

import sys

from sim import app

sys.exit(app.main())
