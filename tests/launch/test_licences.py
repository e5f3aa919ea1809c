"""What a folder's card, names and numbers say of its parts' licences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.launch import licences
from app.settings import PROJECT

FLUX_VAE = {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}


def pipeline(folder: Path, kind: str, card: str = "", numbers: dict[str, float] | None = None, **parts: str) -> Path:
    """A folder with an index, parts with weights, and a card whose top is `card`."""
    folder.mkdir(parents=True)
    index = {"_class_name": kind, "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], "image_encoder": None}
    for part, its in parts.items():
        index[part] = ["diffusers", its]
        (folder / part).mkdir()
        (folder / part / "model.safetensors").touch()
        (folder / part / "config.json").write_text(json.dumps((numbers or {}) if part == "vae" else {}))
    (folder / "scheduler").mkdir()
    (folder / "model_index.json").write_text(json.dumps(index))
    if card:
        (folder / "README.md").write_text(f"---\n{card}\n---\n# A model\n")
    return folder


def told(folder: Path, name: str = "") -> dict[str, str]:
    return {part.name: part.licence for part in licences.of_folder(folder, name)}


def test_the_shipped_base_binds_nobody() -> None:
    parts = licences.of_folder(PROJECT / "models" / "nano", "models/nano")
    assert {part.name: part.licence for part in parts} == {"transformer": "Apache-2.0", "text encoder": "Apache-2.0"}
    assert not any(part.binds for part in parts)


def test_a_prx_says_what_it_took_from_others(tmp_path: Path) -> None:
    folder = pipeline(
        tmp_path / "mine",
        "PRXPipeline",
        "license: apache-2.0",
        FLUX_VAE,
        transformer="PRXTransformer2DModel",
        text_encoder="T5GemmaEncoder",
        vae="AutoencoderKL",
    )
    assert told(folder) == {
        "transformer": "Apache-2.0",
        "text encoder": "Gemma Terms of Use",
        "vae": "FLUX.1 [dev] Non-Commercial License",
    }
    binding = {part.name for part in licences.of_folder(folder) if part.binds}
    assert binding == {"text encoder", "vae"}


def test_a_dc_ae_is_not_guessed_at(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "prx-512-t2i-dc-ae", "PRXPipeline", transformer="PRX", vae="AutoencoderDC")
    assert told(folder, "Photoroom/prx-512-t2i-dc-ae") == {"transformer": "Apache-2.0", "vae": licences.UNKNOWN}
    assert "card" in licences.of_folder(folder)[1].binds
    assert told(folder)["transformer"] == licences.UNKNOWN  # anybody may call a folder so


@pytest.mark.parametrize(
    ("name", "kind", "licence"),
    [
        ("black-forest-labs/FLUX.1-dev", "FluxPipeline", "FLUX.1 [dev] Non-Commercial License"),
        ("black-forest-labs/FLUX.1-schnell", "FluxPipeline", "Apache-2.0"),
        ("black-forest-labs/FLUX.2-klein-base-4B", "Flux2KleinPipeline", "Apache-2.0"),
        ("black-forest-labs/FLUX.2-klein-9B", "Flux2KleinPipeline", "FLUX Non-Commercial License"),
        ("stabilityai/stable-diffusion-3.5-medium", "StableDiffusion3Pipeline", "Stability AI Community License"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "StableDiffusionXLPipeline", "CreativeML OpenRAIL++-M"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "StableDiffusionPipeline", "CreativeML OpenRAIL-M"),
        ("Photoroom/prxpixel-t2i", "PRXPixelPipeline", "Apache-2.0"),
        ("somebody/else", "FluxPipeline", licences.UNKNOWN),
    ],
)
def test_a_base_without_a_card_goes_by_its_name(tmp_path: Path, name: str, kind: str, licence: str) -> None:
    folder = pipeline(tmp_path / "base", kind, transformer="A", text_encoder="CLIPTextModel")
    assert set(told(folder, name).values()) == {licence}
    # A hub's own folder names the base in its path.
    cached = pipeline(tmp_path / f"models--{name.replace('/', '--')}" / "snapshots" / "abc", kind, transformer="A")
    assert set(told(cached).values()) == {licence}


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("license: other\nlicense_name: flux-1-dev-non-commercial-license", "FLUX.1 [dev] Non-Commercial License"),
        ("license: cc-by-nc-4.0", "cc-by-nc-4.0"),
        ("license: other", licences.UNKNOWN),
        ("title: no licence", licences.UNKNOWN),
        ("license: [", licences.UNKNOWN),
        ("- a list", licences.UNKNOWN),
    ],
)
def test_a_card_is_believed_and_what_it_leaves_open_stays_open(tmp_path: Path, card: str, licence: str) -> None:
    folder = pipeline(tmp_path / "base", "FluxPipeline", card, transformer="A")
    (part,) = licences.of_folder(folder)
    assert part.licence == licence
    assert part.binds


def test_a_folder_without_a_pipeline_has_no_parts(tmp_path: Path) -> None:
    assert licences.of_folder(tmp_path) == ()
    (tmp_path / "model_index.json").write_text("[]")
    assert licences.of_folder(tmp_path) == ()
