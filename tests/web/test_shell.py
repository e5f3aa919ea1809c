"""The shell around every page."""

from __future__ import annotations

from fastapi.testclient import TestClient


def test_pages_open(client: TestClient) -> None:
    for path in ("/cycle", "/people", "/patterns"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "Packshot</title>" in answer.text
