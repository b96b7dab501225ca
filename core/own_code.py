"""Where our packages are, for starting one of our own programs: `python -m …` in that directory."""

import pathlib

DIRECTORY = pathlib.Path(__file__).parents[1]
