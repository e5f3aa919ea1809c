"""Data sets fetched from a model hub: its real client in a process of its own, asking a server that speaks as the hub
does, with what goes wrong there: gated, missing, too busy, down, cut off midway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from app.intake.hub import HubDataset
from app.storage import Storage
from tests.hub_server import COMMIT, Hub, client_of, serving
from tests.intake.conftest import encoded, picture

# The client writes 10 MiB at a time, and goes on behind the last that it wrote.
LARGE: Final = os.urandom(1 << 20) * 11
FILES: Final = {
    "README.md": b"---\nlicense: cc-by-4.0\n---\n", "images/a.jpg": encoded(picture(1)), "data/b.zip": LARGE,
    "run.py": b"raise SystemExit", "../../out.jpg": b"x",
}  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Hub]:
    with serving(FILES) as hub:
        yield hub


@dataclass
class Child:
    """The process with the hub's client, and its storage."""

    process: subprocess.Popen[str]
    storage: Storage

    def fetch(self, name: str, revision: str = "main") -> tuple[str, int]:
        """What came of a data set, and how many signs of life there were."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, revision]) + "\n")
        self.process.stdin.flush()
        came, beats = json.loads(self.process.stdout.readline())
        return came, beats


@pytest.fixture(scope="module")
def child(served: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    root = tmp_path_factory.mktemp("hub")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.intake.hub_child", str(root / "data")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=client_of(served, root),
    )  # fmt: skip
    with process:
        yield Child(process, Storage(root / "data"))
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(autouse=True)
def forgetful(served: Hub) -> None:
    served.asked.clear()
    served.turns.clear()


def files(child: Child, wanted: HubDataset) -> dict[str, bytes]:
    folder = wanted.folder(child.storage)
    paths = [
        path for path in folder.rglob("*") if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_data_set_is_fetched_at_its_commit_without_what_runs_or_leads_out(served: Hub, child: Child) -> None:
    assert child.fetch("shop/kettles", "v1")[0] == "fetched"
    wanted = {name: FILES[name] for name in ("README.md", "images/a.jpg", "data/b.zip")}
    assert files(child, HubDataset("shop/kettles", "v1")) == wanted
    # The client may ask for other things of its own first, once a day.
    asked = [path for _, path, _ in served.asked if "/datasets/" in path]
    assert asked[0] == "/api/datasets/shop/kettles/revision/v1"
    assert all(f"/resolve/{COMMIT}/" in path for path in asked[1:])


def test_a_file_that_is_cut_off_midway_goes_on_where_it_was(served: Hub, child: Child) -> None:
    path = f"/datasets/shop/cut/resolve/{COMMIT}/data/b.zip"
    served.turns[path] = ["whole", "cut"]  # asked about, then fetched
    assert child.fetch("shop/cut")[0] == "fetched"
    assert files(child, HubDataset("shop/cut"))["data/b.zip"] == LARGE
    ranges = [asked for method, its, asked in served.asked if its == path and method == "GET" and asked]
    assert ranges == [f"bytes={10 << 20}-"]


def test_a_hub_that_has_had_too_many_requests_is_waited_for(served: Hub, child: Child) -> None:
    served.turns["/api/datasets/shop/busy/revision/main"] = ["busy"]
    served.turns[f"/datasets/shop/busy/resolve/{COMMIT}/images/a.jpg"] = ["busy"]
    came, beats = child.fetch("shop/busy")
    assert came == "fetched" and beats > 4
    assert files(child, HubDataset("shop/busy"))["images/a.jpg"] == FILES["images/a.jpg"]


@pytest.mark.parametrize(
    ("name", "revision", "turns", "sentence"),
    [
        ("nobody/here", "main", {}, "Refused: The model hub has no data set nobody/here, or none that it shows here."),
        ("shop/a", "v9", {}, "Refused: shop/a has no revision v9."),
        ("shop/b", "main", {"/api/datasets/shop/b/revision/main": ["gated"]},
         "Refused: hf://datasets/shop/b@main is kept for people who asked on its page, and HF_TOKEN names none."),
        # The page of a gated data set can be read by anybody, its files cannot.
        ("shop/c", "main", {f"/datasets/shop/c/resolve/{COMMIT}/README.md": ["gated"] * 9},
         "Refused: README.md of hf://datasets/shop/c@main cannot be fetched: hf://datasets/shop/c@main is kept for "
         "people who asked on its page, and HF_TOKEN names none."),
        ("shop/d", "main", {"/api/datasets/shop/d/revision/main": ["503"]},
         "Refused: The model hub answers 503. What was taken in stays; go on when that has passed."),
        ("shop/e", "main", {f"/datasets/shop/e/resolve/{COMMIT}/data/b.zip": ["404"] * 9},
         "Refused: data/b.zip of hf://datasets/shop/e@main cannot be fetched: "),
    ],
)  # fmt: skip
def test_what_a_hub_answers_is_said_in_one_sentence(
    served: Hub, child: Child, name: str, revision: str, turns: dict[str, list[str]], sentence: str
) -> None:
    served.turns.update(turns)
    came, _ = child.fetch(name, revision)
    assert came == sentence if sentence.endswith(".") else came.startswith(sentence)


def test_what_was_fetched_is_kept_and_not_fetched_again(served: Hub, child: Child) -> None:
    broken = f"/datasets/shop/again/resolve/{COMMIT}/data/b.zip"
    served.turns[broken] = ["404"] * 9
    assert "cannot be fetched" in child.fetch("shop/again")[0]
    served.turns.clear()
    served.asked.clear()
    assert child.fetch("shop/again")[0] == "fetched"
    assert {path.split("/")[-1] for _, path, _ in served.asked} == {"b.zip"}, "nor is what it holds asked again"
