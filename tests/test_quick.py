"""What `make quick` chooses for a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quick import HOUSE, Choice, chosen, rounds


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of a few test files."""
    for name in ("test_house", "test_jobs", "test_old_data", "web/test_launch", "workers/trainer/test_outcome"):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "files", "folders"),
    [
        ("tests/web/test_launch.py", {"tests/web/test_launch.py"}, set()),
        ("tests/web/test_gone.py", set(), set()),
        ("tests/web/conftest.py", set(), {"tests/web"}),
        ("app/web/launch.py", {"tests/web/test_launch.py"}, {"tests/web"}),
        ("app/web/routes/launch.py", {"tests/web/test_launch.py"}, {"tests/web"}),
        ("app/jobs.py", {"tests/test_jobs.py"}, set()),
        ("workers/trainer/outcome.py", {"tests/workers/trainer/test_outcome.py"}, {"tests/workers/trainer"}),
        ("workers/trainer/__init__.py", set(), {"tests/workers/trainer"}),
        ("templates/runs/one.html", set(), {"tests/web"}),
        ("docs/methods.md", set(), set()),
    ],
)
def test_a_change_asks_for_the_tests_that_mirror_it(
    project: Path, path: str, files: set[str], folders: set[str]
) -> None:
    choice = chosen([path], project)
    assert (choice.files, choice.folders, choice.is_wide) == (files, folders, False)


@pytest.mark.parametrize("path", ["tests/conftest.py", "tests/cast.py", "app/database.py", "pyproject.toml"])
def test_what_everything_rests_on_asks_for_all(project: Path, path: str) -> None:
    assert chosen([path], project).is_wide


def test_many_changed_files_ask_for_all(project: Path) -> None:
    assert chosen([f"app/web/{number}.py" for number in range(100)], project) == Choice(is_wide=True)


def test_where_nothing_has_changed_the_quick_ones_are_run(project: Path) -> None:
    whole, rest = rounds(chosen([], project))
    assert whole[-1] == HOUSE
    assert rest[-1] == "tests"
    assert f"--ignore={HOUSE}" in rest


def test_the_house_rules_are_always_run_and_nothing_twice(project: Path) -> None:
    whole, rest, slow = rounds(chosen(["app/web/launch.py"], project))
    assert whole[-2:] == [HOUSE, "tests/web/test_launch.py"]
    assert slow == ["-m", "slow and not gpu", "tests/web/test_launch.py"]
    assert rest[-1] == "tests/web"
    assert "--ignore=tests/web/test_launch.py" in rest
