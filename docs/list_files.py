"""Writes docs/files.md: every file of the code with what it says of itself first. `make docs` runs it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = PROJECT / "docs" / "files.md"
_HEAD: Final = """# Every file, in a line

Made from the files themselves by `make docs`; a test holds it true. How they fit together:
[architecture.md](architecture.md).
"""


def page() -> str:
    """The page's text: a table for each package, the package's own sentence above it."""
    parts = [_HEAD]
    for folder in sorted({path.parent for code in ("app", "workers") for path in (PROJECT / code).rglob("*.py")}):
        own = folder / "__init__.py"
        name = folder.relative_to(PROJECT).as_posix()
        parts.append(f"\n## {name}\n\n{_sentence(own)}\n" if own.exists() else f"\n## {name}\n")
        rows = [f"| `{path.name}` | {_sentence(path)} |" for path in sorted(folder.glob("*.py")) if path != own]
        if rows:
            parts.append("\n".join(["", "| File | What it is |", "|---|---|", *rows, ""]))
    return "".join(parts)


def _sentence(path: Path) -> str:
    """The first paragraph of a file's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
