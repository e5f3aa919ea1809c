"""A real pipeline of a few thousand weights, built offline, drawn members to train it on, and a run asked for."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from sqlalchemy import Engine

from app.database import transaction
from app.datasets.manifest import ManifestRow, write_manifest
from app.settings import Settings
from app.storage import Storage
from app.training.recipe import Recipe, read_recipe
from tests.training.cast import one_run

RECIPES = Path(__file__).parents[2] / "workers" / "recipes"
COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 200), "green": (40, 160, 60), "white": (245, 245, 245)}


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained PRX pixel pipeline folder with the nano base's own tokeniser and text encoder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline, PRXTransformer2DModel

        from workers.families import nano

    folder = tmp_path_factory.mktemp("tiny") / "base"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.set_num_threads(1)
        tokenizer = nano.build_tokenizer()
        PRXPixelPipeline(
            transformer=PRXTransformer2DModel(
                in_channels=3,
                patch_size=4,
                context_in_dim=nano.TEXT_WIDTH,
                hidden_size=32,
                mlp_ratio=2.0,
                num_heads=2,
                depth=2,
                axes_dim=[8, 8],
                bottleneck_size=16,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            text_encoder=nano.build_text_encoder(len(tokenizer)),
            tokenizer=tokenizer,
            default_sample_size=16,
            prompt_max_tokens=16,
            noise_scale=1.5,
        ).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def recipe(tiny_base: Path) -> Callable[..., Recipe]:
    """`recipe(steps=3, ...)`: a small valid recipe for the tiny base with some knobs turned."""
    quick = read_recipe(RECIPES / "nano_quick.yaml").model_dump()

    def make(**changes: Any) -> Recipe:
        return Recipe.model_validate({**quick, "base": str(tiny_base), "resolution_px": 16, **changes})

    return make


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve members, four of them for validation: squares of four colours in three sizes."""
    folder = tmp_path / "set"
    folder.mkdir()
    rows = []
    for colour, paint in COLOURS.items():
        for size in (4, 6, 8):
            picture = Image.new("RGB", (16, 16), (128, 128, 128))
            ImageDraw.Draw(picture).rectangle((8 - size // 2, 8 - size // 2, 7 + size // 2, 7 + size // 2), fill=paint)
            file = folder / f"{colour}-{size}.png"
            picture.save(file)
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            split = "validation" if size == 8 else "train"
            rows.append(ManifestRow(file.name, f"{colour} box", split, f"{colour}-{size}", digest, 16, 16))
    write_manifest(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


class Listener:
    """A `Report` that remembers, and asks to stop once `stop_at` steps have been told."""

    def __init__(self, stop_at: int | None = None, request: str = "keep", earlier_s: float = 0.0) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._began = time.monotonic() - earlier_s
        self._stop_at = stop_at
        self._request = request

    def tell(self, kind: str, **facts: Any) -> None:
        self.events.append((kind, facts))

    def stop_request(self) -> Any:
        steps = [facts["step"] for kind, facts in self.events if kind == "step"]
        return self._request if self._stop_at is not None and steps and steps[-1] >= self._stop_at else None

    def spent_s(self) -> float:
        return time.monotonic() - self._began

    def facts(self, kind: str) -> list[dict[str, Any]]:
        return [facts for told, facts in self.events if told == kind]


@pytest.fixture
def listener() -> type[Listener]:
    return Listener


@pytest.fixture
def committed(emptied: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For tests whose workers commit: what they leave is taken away. Nothing is sent to a Redis."""
    from workers import celery_app

    monkeypatch.setattr(celery_app.broker, "send_due", lambda *_: 0)
    celery_app.stopped_for_good.clear()
    yield
    celery_app.stopped_for_good.clear()


@pytest.fixture
def run_id(engine: Engine) -> int:
    """A run of six steps that was asked for."""
    with transaction(engine) as session:
        return one_run(session, steps=6).id


@pytest.fixture
def out(run_id: int, settings: Settings) -> Path:
    """That run's folder."""
    return Storage(settings.data_dir).run_folder(run_id)
