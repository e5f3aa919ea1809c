"""Pushing an export: private by default, nothing but the folder, and the token nowhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from workers.errors import InputError
from workers.families import hub

SECRET = "hf_abcdefghijklmnop"


class FakeHub:
    """Remembers what it was asked; fails with `error` when there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._error = error

    def create_repo(self, repo_id: str, **named: Any) -> None:
        self.asked.append(("create", {"repo_id": repo_id, **named}))

    def upload_folder(self, **named: Any) -> str:
        self.asked.append(("upload", named))
        if self._error:
            raise self._error
        return "https://hub.example/team/mugs/tree/main"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    parts = [
        {"name": "transformer", "licence": "Apache-2.0", "binds": ""},
        {"name": "text encoder", "licence": "Gemma Terms of Use", "binds": "Terms go along."},
    ]
    (tmp_path / "packshot.json").write_text(json.dumps({"base": "models/prx", "step": 120, "licences": parts}))
    return tmp_path


@pytest.mark.parametrize("is_public", [False, True])
def test_the_folder_goes_to_a_repository_that_is_private_unless_told(export: Path, is_public: bool) -> None:
    fake = FakeHub()
    assert hub.push(export, "team/mugs", is_public, fake) == "https://hub.example/team/mugs/tree/main"
    assert fake.asked == [
        ("create", {"repo_id": "team/mugs", "private": not is_public, "exist_ok": True}),
        (
            "upload",
            {
                "repo_id": "team/mugs",
                "folder_path": export,
                "commit_message": "Fine-tuned from models/prx, 120 steps",
            },
        ),
    ]


def test_the_token_is_the_environments_and_is_told_nobody(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hub.TOKEN, raising=False)
    with pytest.raises(InputError, match="set HF_TOKEN"):
        hub.push(export, "team/mugs")
    monkeypatch.setenv(hub.TOKEN, SECRET)
    assert hub._hub().token == SECRET  # type: ignore[attr-defined]
    with pytest.raises(InputError) as refused:
        hub.push(export, "team/mugs", hub=FakeHub(OSError(f"401: {SECRET} may not write")))
    assert SECRET not in str(refused.value)
    assert "401" in str(refused.value)
    assert refused.value.__suppress_context__  # a trace would print the hub's own words


def test_only_an_export_under_a_name_is_pushed(export: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError, match="no model that Packshot exported"):
        hub.push(tmp_path_factory.mktemp("other"), "team/mugs", hub=FakeHub())
    for name in ("mugs", "team/", "a/b/c"):
        with pytest.raises(InputError, match="no name on a hub"):
            hub.push(export, name, hub=FakeHub())


def test_the_command_says_what_binds_before_it_pushes(
    export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeHub()
    monkeypatch.setattr(hub, "_hub", lambda: fake)
    monkeypatch.setattr(sys, "argv", ["hub", str(export), "team/mugs"])
    hub.main()
    told = capsys.readouterr()
    assert told.out == "https://hub.example/team/mugs/tree/main\n"
    assert told.err == "text encoder: Gemma Terms of Use. Terms go along.\n"
    monkeypatch.setattr(sys, "argv", ["hub", str(export / "gone"), "team/mugs"])
    with pytest.raises(SystemExit, match="no model that Packshot exported"):
        hub.main()
