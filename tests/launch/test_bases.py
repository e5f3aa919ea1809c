"""What a base's folder says of it, read without loading a weight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.launch import bases, checks
from app.launch.checks import Left, MemberCounts, RunSite
from app.launch.facts import GIB, DataFacts, DeviceFacts
from app.launch.plan import plan
from app.settings import PROJECT


def header(file: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file with no data behind its header."""
    text = json.dumps(
        {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    )
    file.write_bytes(len(text).to_bytes(8, "little") + text.encode())


def pipeline(folder: Path, kind: str, part: str, config: dict[str, object], vae: int = 4, **index: object) -> Path:
    (folder / part).mkdir(parents=True)
    (folder / "vae").mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind, **index}))
    (folder / part / "config.json").write_text(json.dumps(config))
    (folder / "vae" / "config.json").write_text(json.dumps({"block_out_channels": [8] * vae}))
    header(folder / part / "one-00001-of-00002.safetensors", {"a": [3, 5], "b": [7]})
    header(folder / part / "two-00002-of-00002.safetensors", {"c": [10, 2]})
    return folder


@pytest.mark.parametrize(
    ("kind", "part", "config", "index", "wanted"),
    [
        ("PRXPipeline", "transformer", {"patch_size": 2}, {"default_sample_size": 1024}, ("prx", 1024, 16)),
        ("PRXPixelPipeline", "transformer", {"patch_size": 32}, {"default_sample_size": 512}, ("prx_pixel", 512, 32)),
        ("StableDiffusionPipeline", "unet", {"sample_size": 64}, {}, ("sd15", 512, 0)),
        ("StableDiffusionXLPipeline", "unet", {"sample_size": 128}, {}, ("sdxl", 1024, 0)),
        ("StableDiffusion3Pipeline", "transformer", {"sample_size": 128, "patch_size": 2}, {}, ("sd3", 1024, 16)),
        ("FluxPipeline", "transformer", {"patch_size": 1}, {}, ("flux", 1024, 16)),
        ("Flux2KleinPipeline", "transformer", {"patch_size": 1}, {}, ("flux2", 1024, 16)),
    ],
)
def test_families_sizes_and_tokens(
    tmp_path: Path,
    kind: str,
    part: str,
    config: dict[str, object],
    index: dict[str, object],
    wanted: tuple[object, ...],
) -> None:
    found = bases.read(str(pipeline(tmp_path / "base", kind, part, config, **index)))
    assert (found.family, found.resolution_px, found.token_px) == wanted
    assert (found.parameters, found.fault) == (42, "")


@pytest.mark.parametrize(
    ("name", "kind", "part", "config", "index", "steps"),
    [
        ("klein", "Flux2KleinPipeline", "transformer", {"patch_size": 1}, {"is_distilled": True}, 4),
        ("klein", "Flux2KleinPipeline", "transformer", {"patch_size": 1}, {"is_distilled": False}, 0),
        ("schnell", "FluxPipeline", "transformer", {"patch_size": 1, "guidance_embeds": False}, {}, 4),
        ("dev", "FluxPipeline", "transformer", {"patch_size": 1, "guidance_embeds": True}, {}, 0),
        ("flux-dev-de-distill", "FluxPipeline", "transformer", {"patch_size": 1, "guidance_embeds": False}, {}, 0),
        ("prx-512-t2i-sft-distilled", "PRXPipeline", "transformer", {"patch_size": 2}, {}, 8),
        ("prx-512-t2i-sft", "PRXPipeline", "transformer", {"patch_size": 2}, {}, 0),
        ("sdxl-turbo", "StableDiffusionXLPipeline", "unet", {"sample_size": 64}, {}, 4),
        ("sdxl-turbot", "StableDiffusionXLPipeline", "unet", {"sample_size": 64}, {}, 0),
        ("stable-diffusion-3.5-large-turbo", "StableDiffusion3Pipeline", "transformer",
         {"sample_size": 128, "patch_size": 2}, {}, 4),
    ],
)  # fmt: skip
def test_a_distilled_base_is_known_planned_with_few_steps_and_warned_of(
    tmp_path: Path,
    name: str,
    kind: str,
    part: str,
    config: dict[str, object],
    index: dict[str, object],
    steps: int,
) -> None:
    base = bases.read(str(pipeline(tmp_path / name, kind, part, config, **index)))
    assert base.few_steps == steps
    made = plan(base, DataFacts(300, 30, 120, 0.4, 30, 0.9), DeviceFacts("NVIDIA H100", 80 * GIB, 8)).recipe
    assert (made.sampling_steps == steps) is (steps > 0)
    assert (made.guidance == 1.0) is (steps > 0)
    members, place, left = MemberCounts(7, 300, 30, 0, 0, 0), RunSite(10**12), Left(None, None, None, "€")
    warned = [one for one in checks.findings(made, base, members, place, left) if one.name == "Distilled"]
    assert [one.state for one in warned] == (["warning"] if steps else [])
    assert all("training unlearns that" in one.sentence for one in warned)


def test_the_shipped_base() -> None:
    nano = bases.read("models/nano")
    assert (nano.family, nano.resolution_px, nano.token_px, nano.is_pixel) == ("prx_pixel", 64, 8, True)
    assert nano.parameters == 2_369_600
    assert nano.template is not None


def test_folders_are_looked_through_and_each_base_is_offered_once(tmp_path: Path) -> None:
    pipeline(tmp_path / "mine", "FluxPipeline", "transformer", {"patch_size": 1})
    (tmp_path / "no-base").mkdir()
    found = bases.offered("models/nano", [PROJECT / "models", tmp_path])
    assert [one.name for one in found] == ["models/nano", str(tmp_path / "mine")]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: None, "is not on this machine"),
        (lambda folder: folder.mkdir(), "holds no pipeline that can be read"),
        (lambda folder: pipeline(folder, "OtherPipeline", "unet", {}), "It is a OtherPipeline; Packshot fine-tunes"),
        (lambda folder: pipeline(folder, "StableDiffusionPipeline", "unet", {}), "holds no pipeline"),
    ],
)
def test_what_cannot_be_trained_says_why(tmp_path: Path, prepare: object, words: str) -> None:
    prepare(tmp_path / "base")  # type: ignore[operator]
    assert words in bases.read(str(tmp_path / "base")).fault


def test_a_base_that_was_fetched_from_a_hub_is_found_in_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    kept, commit = tmp_path / "models--Photoroom--prx", "ab" * 20
    pipeline(kept / "snapshots" / commit, "PRXPipeline", "transformer", {"patch_size": 2}, default_sample_size=512)
    assert "is not on this machine" in bases.read("Photoroom/prx").fault
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("../../elsewhere")
    assert "is not on this machine" in bases.read("Photoroom/prx").fault
    (kept / "refs" / "main").write_text(f"{commit}\n")
    found = bases.read("Photoroom/prx")
    assert (found.name, found.family, found.fault) == ("Photoroom/prx", "prx", "")
    assert found.revision == commit


def test_a_folder_written_anew_is_read_anew(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "base", "PRXPipeline", "transformer", {"patch_size": 2}, default_sample_size=512)
    assert bases.read(str(folder)).resolution_px == 512
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "PRXPipeline", "default_sample_size": 1024}))
    assert bases.read(str(folder)).resolution_px == 1024


def test_weights_without_a_header_are_no_base(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "base", "PRXPipeline", "transformer", {"patch_size": 2})
    (folder / "transformer" / "one-00001-of-00002.safetensors").write_bytes(b"x" * 64)
    assert "is no safetensors file" in bases.read(str(folder)).fault
