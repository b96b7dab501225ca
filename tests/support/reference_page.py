"""A page of docs/reference, read as tests do: its tables, and the settings it must tell."""

import pathlib

from core import settings

DOCS = pathlib.Path(__file__).parents[2] / "docs/reference"


class Page:
    """One page by its file name."""

    def __init__(self, name: str) -> None:
        self.text = (DOCS / name).read_text(encoding="utf-8")

    def rows(self, title: str) -> dict[str, list[str]]:
        """First code word of each row of the section's table → the other cells."""
        section = self.text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        found = {}
        for line in section.splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in line.strip("|").split("|")]
                found[cells[0].strip("`")] = cells[1:]
        return found


class Recorder(settings.Reader):
    """Remembers every variable it was asked for, with its default."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked: dict[str, str] = {}

    def text(self, name: str, default: str = "", *, flag: str = "", secret: bool = False) -> str:
        self.asked[name] = default
        return super().text(name, default, flag=flag, secret=secret)
