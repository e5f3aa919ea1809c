"""The tests that matter for a change, in under 90 seconds: `make quick`.

What changed is what differs from the branch `main` (or, on it, from its last commit), and every file that is new. First
come the house rules, the test files that were changed and those that mirror a changed file (`tests/x/test_y.py` for
`app/x/y.py`); then the quick tests of their folders, and last the slow ones of those files. Where nothing is changed,
or something that everything rests on, all quick ones are run. No test is begun once the time is used up; how many were
left is told.

This file is a plugin of pytest too: it is how test processes learn when to stop.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
BEGINS_FOR_S = 65.0
"""How long tests are begun for: the last ones, and the end of what they share, take a few seconds more."""
COLLECTED_WITHIN_S = 20.0
"""A second round that would have less time than this is not begun."""
WIDE = 30
"""So many changed files are a wide change: what belongs to each of them would take too long."""
UNTIL = "PACKSHOT_TEST_UNTIL"
HOUSE = "tests/test_house.py"
SKIPPED = "tests/faults"
HEAVY = ("tests/browser", "tests/workers", "tests/faults")
QUICK = "not slow and not browser and not gpu"


@dataclass
class Choice:
    """What to run: `files` first, then the quick tests of `folders`; all quick ones where the change is wide."""

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    is_wide: bool = False


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what would begin too late."""
    if time.time() > float(os.environ.get(UNTIL, "inf")):
        pytest.skip("no time was left for it")


def git(*words: str) -> list[str]:
    """The lines that git answers with; none where it cannot answer."""
    done = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed() -> list[str]:
    """The files that differ from where this branch left `main`, those of the working tree and new ones included."""
    bases = [found[0] for name in ("main", "origin/main") if (found := git("merge-base", "HEAD", name))]
    base = min(bases, key=lambda one: len(git("rev-list", f"{one}..HEAD")), default="HEAD")
    return sorted({*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")})


def chosen(paths: list[str], project: Path = PROJECT) -> Choice:
    """What to run for these changed files, of which some may be gone."""
    if not paths or len(paths) > WIDE:
        return Choice(is_wide=True)
    choice = Choice()
    for path in map(Path, paths):
        top = path.parts[0]
        if top == "tests":
            _choose_for_tests(choice, path, project)
        elif top in ("app", "workers"):
            _choose_for_code(choice, path, project)
        elif top == "templates":
            choice.folders.add("tests/web")
        elif top == "migrations":
            choice.files |= {name for name in ("tests/test_old_data.py",) if (project / name).exists()}
            choice.is_wide = True
        elif path.name in ("pyproject.toml", "constraints.txt"):
            choice.is_wide = True
    choice.folders = {name for name in choice.folders if (project / name).is_dir()}
    return choice


def _choose_for_tests(choice: Choice, path: Path, project: Path) -> None:
    if path.is_relative_to(SKIPPED) or path.suffix != ".py":
        return
    if path.name.startswith("test_"):
        choice.files |= {str(path)} if (project / path).exists() else set()
    elif path.parent == Path("tests"):
        choice.is_wide = choice.is_wide or path.name != Path(__file__).name
    else:
        choice.folders.add(str(path.parent))


def _choose_for_code(choice: Choice, path: Path, project: Path) -> None:
    """`app/x/y.py` has its tests in `tests/x`, `workers/x/y.py` in `tests/workers/x`: those of one name whole."""
    within = path.relative_to("app") if path.parts[0] == "app" else path
    folder = Path("tests") / within.parent
    while not (project / folder).is_dir():
        folder = folder.parent
    mirror = folder / f"test_{path.stem}.py"
    if (project / mirror).exists():
        choice.files.add(str(mirror))
    if folder != Path("tests"):
        choice.folders.add(str(folder))
    elif not (project / mirror).exists():
        choice.is_wide = True


def rounds(choice: Choice, project: Path = PROJECT) -> list[list[str]]:
    """The words for pytest, round by round."""
    whole = sorted(choice.files | {HOUSE})
    # A file that was run whole is not looked into again.
    apart = [f"--ignore={name}" for name in whole]
    found = [["-m", "not slow and not gpu", *whole]]
    if choice.folders:
        found.append(["-m", QUICK, *apart, *sorted(choice.folders)])
    if choice.is_wide:
        light = [f"--ignore={name}" for name in (*HEAVY, *sorted(choice.folders))]
        found.append(["-m", QUICK, *apart, *light, "tests"])
    if choice.files:
        found.append(["-m", "slow and not gpu", *sorted(choice.files)])
    return found


def main() -> int:
    """Run the rounds; 1 when a test failed."""
    began = time.time()
    paths = changed()
    choice = chosen(paths)
    told = "nothing has changed" if not paths else f"{len(paths)} files have changed"
    print(f"{told}; {'all quick tests' if choice.is_wide else 'the tests that belong to it'} run.", flush=True)
    status = 0
    for words in rounds(choice):
        left_s = began + BEGINS_FOR_S - time.time()
        if left_s < COLLECTED_WITHIN_S:
            print(f"No time was left for {' '.join(word for word in words if word.startswith('tests'))}.")
            continue
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-p", "tests.quick", *words]
        environment = {**os.environ, UNTIL: str(began + BEGINS_FOR_S)}
        code = subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode
        if code not in (0, 5):  # 5: there was none to run
            status = 1
    print(f"{time.time() - began:.0f} s.")
    return status


if __name__ == "__main__":
    sys.exit(main())
