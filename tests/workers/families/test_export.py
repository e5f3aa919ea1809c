"""Exports: plain diffusers draws the same, every file says where it comes from, a LoRA's two layouts mean the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from app.datasets.manifest import ManifestRow
from app.training.recipe import Recipe
from workers.families import licences, lora, metadata, weights
from workers.families.export import Origin, export, public
from workers.families.registry import load_family

pytestmark = pytest.mark.filterwarnings("ignore:`LoraLoaderMixin` is deprecated:FutureWarning")

CPU = torch.device("cpu")
Base = Callable[..., Path]
BASES = {
    "prx": ("prx", {"vae": "kl", "encoder": "t5gemma"}),
    "prx_pixel": ("prx_pixel", {}),
}


@pytest.fixture(params=BASES)
def family(request: pytest.FixtureRequest, base: Base) -> Any:
    name, options = BASES[request.param]
    return load_family(request.param, str(base(name, **options)), CPU)


PHOTOS = [
    ManifestRow("a.jpg", "A mug.", "train", "a", "a" * 64, 64, 64, "https://Shop.example/a.jpg", "CC BY 4.0",
                "Ana | Photo"),
    ManifestRow("b.jpg", "A cup.", "train", "b", "b" * 64, 64, 64, "https://shop.example/b.jpg", "CC BY 4.0",
                opt_out="opt_out: yes"),
    ManifestRow("c.jpg", "A jug.", "validation", "c", "c" * 64, 64, 64),
]  # fmt: skip


@pytest.fixture
def origin(recipe: Callable[..., Recipe]) -> Callable[..., Origin]:
    def make(family: Any, method: str) -> Origin:
        made = recipe(family=family.name, base=str(family.folder), method=method, lora_rank=4, name="Mugs, first try")
        return Origin(made, "d" * 64, 120, PHOTOS)

    return make


def learned(family: Any, method: Any) -> None:
    """Training's mark on every weight."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in weights.to_train(family, method, rank=4, seed=1).values():
            weight.add_(torch.randn(weight.shape, generator=generator) * (0.3 if method == "lora" else 0.02))


def drawn(family: Any) -> torch.Tensor:
    return family.draw(["red box", "SKU AB1234"], [1, 2], 16, 3, 3.0)  # type: ignore[no-any-return]


def differ(one: torch.Tensor, other: torch.Tensor) -> int:
    return int((one.int() - other.int()).abs().max())


@pytest.mark.parametrize("method", ["full", "lora"])
def test_it_loads_with_plain_diffusers_and_draws_what_was_trained(
    family: Any, origin: Callable[..., Origin], method: str, tmp_path: Path
) -> None:
    fresh = drawn(family)
    learned(family, method)
    wanted = drawn(family)
    assert differ(fresh, wanted) > 2
    weights.save(family, tmp_path / "weights")
    export(family, tmp_path / "weights", tmp_path / "model", origin(family, method))
    assert differ(drawn(family), wanted) == 0
    exported = DiffusionPipeline.from_pretrained(tmp_path / "model")
    assert isinstance(exported, type(family.pipeline))
    again = load_family(family.name, str(tmp_path / "model"), CPU)
    # Merged sums round once where the adapter's do twice.
    assert differ(drawn(again), wanted) <= (1 if method == "lora" else 0)
    assert {file.name for file in tmp_path.iterdir()} == {"weights", "model"} | (
        {"lora"} if method == "lora" else set()
    )


@pytest.mark.parametrize("method", ["full", "lora"])
def test_every_file_says_where_it_comes_from(
    family: Any, origin: Callable[..., Origin], method: str, tmp_path: Path
) -> None:
    learned(family, method)
    weights.save(family, tmp_path / "weights")
    export(family, tmp_path / "weights", tmp_path / "model", origin(family, method))
    files = list((tmp_path / "model" / "transformer").glob("*.safetensors"))
    files += list((tmp_path / "lora").glob("*.safetensors"))
    assert len(files) == (3 if method == "lora" else 1)
    for file in files:
        told = metadata.read(file)
        assert told["format"] == "pt"
        assert (told["dataset_hash"], told["step"], told["trained_words"]) == ("d" * 64, "120", "none")
        assert told["recipe_hash"] == origin(family, method).recipe.recipe_hash()
        assert told["base"] == family.folder.name
        assert told["base_sha256"] == licences.sha256(family.folder / "transformer")
        assert told["licence"] == "not known"
        assert told.get("rank") == ("4" if method == "lora" else None)
    facts = json.loads((tmp_path / "model" / "packshot.json").read_text())
    assert facts["recipe"]["lora_rank"] == 4
    assert facts["photos"]["licences"] == {"CC BY 4.0": 2, "not known": 1}
    assert facts["photos"]["sources"] == {"shop.example": 2, "not known": 1}
    told_of_photos = [json.loads(line) for line in (tmp_path / "model" / "photos.jsonl").read_text().splitlines()]
    assert told_of_photos == [
        {"sha256": "a" * 64, "split": "train", "source": "https://Shop.example/a.jpg", "licence": "CC BY 4.0",
         "credit": "Ana | Photo"},
        {"sha256": "b" * 64, "split": "train", "source": "https://shop.example/b.jpg", "licence": "CC BY 4.0",
         "opt_out": "opt_out: yes"},
        {"sha256": "c" * 64, "split": "validation"},
    ]  # fmt: skip
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Learned from 3 photos" in card and "| CC BY 4.0 | 2 |" in card and "| not known | 1 |" in card
    assert "Credits: Ana \\| Photo." in card and "1 of them were opted out" in card
    for part in licences.of(family):
        assert f"| {part.name} | {part.licence} |" in card
        assert part.name in {one["name"] for one in facts["licences"]}
    if family.name == "prx":
        assert "| text encoder | Gemma Terms of Use |" in card
        assert "skip_text_cleaning=True" in card
    for file in (tmp_path / "model").rglob("*"):
        assert not file.is_file() or str(tmp_path.parent).encode() not in file.read_bytes(), file


def test_an_export_leaves_the_checkpoint_and_the_base_as_they_were(
    family: Any, origin: Callable[..., Origin], tmp_path: Path
) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    learned(family, "full")
    weights.save(family, tmp_path / "weights")
    before = files(tmp_path / "weights"), files(family.folder)
    export(family, tmp_path / "weights", tmp_path / "model", origin(family, "full"))
    assert (files(tmp_path / "weights"), files(family.folder)) == before


def test_the_comfyui_file_means_the_same(family: Any, origin: Callable[..., Origin], tmp_path: Path) -> None:
    learned(family, "lora")
    weights.save(family, tmp_path / "weights")
    export(family, tmp_path / "weights", tmp_path / "model", origin(family, "lora"))
    ours = lora.read(tmp_path / "lora" / "diffusers.safetensors")
    theirs = lora.read(tmp_path / "lora" / "comfyui.safetensors")
    # ComfyUI looks for `diffusion_model.` and the name of each layer that the denoiser has.
    layers = {f"diffusion_model.{name}" for name, _ in family.model.named_modules()}
    assert {key.rsplit(".lora_", 1)[0] for key in theirs} <= layers
    assert {key.replace("diffusion_model.", "transformer.") for key in theirs} == ours.keys()
    for name, tensor in theirs.items():
        assert torch.equal(tensor, ours[name.replace("diffusion_model.", "transformer.")])


@pytest.mark.parametrize("is_before", [False, True])
def test_an_export_of_other_weights_gives_the_trained_ones_back(
    family: Any, origin: Callable[..., Origin], tmp_path: Path, is_before: bool
) -> None:
    learned(family, "lora")
    weights.save(family, tmp_path / "weights")
    if is_before:
        held = list(lora.weights(family).values())
        with torch.no_grad():
            held[0].add_(1.0)
    else:
        lora.take_off(family)
    wanted = drawn(family)
    export(family, tmp_path / "weights", tmp_path / "model", origin(family, "lora"))
    assert differ(drawn(family), wanted) == 0
    assert lora.is_on(family) == is_before
    if is_before:
        assert all(one is same for one, same in zip(lora.weights(family).values(), held, strict=True))


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("models/nano", "models/nano"),
        ("Photoroom/prx-512-t2i", "Photoroom/prx-512-t2i"),
        ("/home/ana/bases/mugs", "mugs"),
        ("/root/.cache/hub/models--Photoroom--prx-512-t2i/snapshots/0f3a", "Photoroom/prx-512-t2i"),
    ],
)
def test_a_base_is_named_without_the_machine_it_was_on(base: str, name: str) -> None:
    assert public(base) == name
