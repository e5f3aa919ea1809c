"""The tiny pipelines of `tiny`, each written once a session."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

Base = Callable[..., Path]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """`base("prx", vae="dc")`: the folder that the function of `tiny` with this name writes, written once."""
    folder = tmp_path_factory.mktemp("bases")

    def written(name: str, **options: str) -> Path:
        place = folder / "-".join([name, *options.values()])
        if not place.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from tests.workers.families import tiny

                getattr(tiny, name)(place, **options)
        return place

    return written
