"""ComfyUI's layouts sent back through diffusers' own converters: nothing unknown, nothing lost, the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from diffusers import DiffusionPipeline, Flux2Transformer2DModel, FluxTransformer2DModel
from diffusers.loaders import FluxLoraLoaderMixin
from diffusers.loaders.lora_pipeline import Flux2LoraLoaderMixin
from diffusers.utils import logging
from peft.utils import get_peft_model_state_dict

from tests.workers.families import tiny_flow, tiny_unets
from workers.families import layouts, lora
from workers.families.registry import load_family

CPU = torch.device("cpu")
RANK = 2


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_a_unets_file_loads_into_the_pipeline(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = getattr(tiny_unets, name)(tmp_path / name)
    family = load_family(name, str(folder), CPU)
    adapted(family)
    ours = {key.removeprefix("unet."): weight.detach() for key, weight in lora.weights(family).items()}
    comfyui = layouts.comfyui(name, lora.weights(family), family.model)
    write(comfyui, tmp_path / "comfyui.safetensors")
    # kohya knows SDXL by the names of its first code, SD 1.5 by diffusers'.
    wanted = {
        "sd15": "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0.lora_up.weight",
        "sdxl": "lora_unet_output_blocks_2_1_transformer_blocks_0_attn2_to_out_0.lora_up.weight",
    }
    assert wanted[name] in comfyui
    assert {len(value) for key, value in comfyui.items() if key.endswith("lora_down.weight")} == {RANK}
    assert {float(value) for key, value in comfyui.items() if key.endswith("alpha")} == {RANK}

    theirs = DiffusionPipeline.from_pretrained(folder)
    logging.enable_propagation()
    try:
        theirs.load_lora_weights(tmp_path, weight_name="comfyui.safetensors")
    finally:
        logging.disable_propagation()
    told = [record.getMessage() for record in caplog.records]
    assert not [line for line in told if not line.startswith("No LoRA keys associated to CLIPText")]
    loaded = get_peft_model_state_dict(theirs.unet, adapter_name="default_0")
    assert loaded.keys() == ours.keys()
    assert all(torch.equal(loaded[key], ours[key]) for key in ours)
    assert {module.scaling["default_0"] for module in theirs.unet.modules() if hasattr(module, "scaling")} == {1.0}


@pytest.mark.parametrize("name", ["sd3", "flux2"])
def test_a_transformers_file_loads_into_the_pipeline_and_draws_the_same(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = getattr(tiny_flow, name)(tmp_path / name)
    family = load_family(name, str(folder), CPU)
    adapted(family)
    comfyui = layouts.comfyui(name, lora.weights(family), family.model)
    write(comfyui, tmp_path / "comfyui.safetensors")
    wanted = family.draw(["red mug"], [1], 16, 2, 3.0)
    plain = load_family(name, str(folder), CPU)
    logging.enable_propagation()
    try:
        plain.pipeline.load_lora_weights(tmp_path, weight_name="comfyui.safetensors")
    finally:
        logging.disable_propagation()
    assert not [record for record in caplog.records if "keys" in record.getMessage() and "CLIP" not in record.message]
    assert (plain.draw(["red mug"], [1], 16, 2, 3.0).int() - wanted.int()).abs().max() <= 1
    loaded = get_peft_model_state_dict(plain.model, adapter_name="default_0")
    ours = {key.removeprefix("transformer."): weight for key, weight in lora.weights(family).items()}
    assert loaded.keys() == ours.keys()
    assert all(torch.equal(loaded[key], ours[key]) for key in ours)


def test_every_layer_that_flux_trains_has_a_place(tmp_path: Path) -> None:
    family = load_family("flux", str(tiny_flow.flux(tmp_path / "flux")), CPU)
    adapted(family)
    comfyui = layouts.comfyui("flux", lora.weights(family), family.model)
    ranks = sum(len(value) for key, value in comfyui.items() if key.endswith("lora_down.weight"))
    singles = len(family.model.single_transformer_blocks)  # type: ignore[arg-type]
    assert ranks == RANK * (len(lora.weights(family)) // 2 + singles)


def adapted(family: Any) -> None:
    """An adapter that does something."""
    for number, weight in enumerate(lora.put_on(family, RANK, seed=1)):
        weight.data = torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) * 0.2


def write(tensors: dict[str, torch.Tensor], file: Path) -> None:
    """A safetensors file with these tensors."""
    safetensors.torch.save_file({name: value.detach().contiguous() for name, value in tensors.items()}, file)


FLUX = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
FLUX_MLP = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
FLUX2 = (*FLUX, "to_qkv_mlp_proj", "attn.to_out", "ff.linear_in", "ff.linear_out", "ff_context.linear_in")


def saved(model: torch.nn.Module, targets: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """A LoRA for a model without numbers."""
    made: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(1)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith(tuple(f".{target}" for target in targets)):
            made[f"transformer.{name}.lora_A.weight"] = torch.randn(RANK, module.in_features, generator=generator)
            made[f"transformer.{name}.lora_B.weight"] = torch.randn(module.out_features, RANK, generator=generator)
    return made


def test_flux_blocks_come_back_at_the_real_models_width() -> None:
    with torch.device("meta"):  # the converter knows only this width
        model = FluxTransformer2DModel(num_layers=2, num_single_layers=2)
    ours = saved(model, (*FLUX, *FLUX_MLP))
    assert len(ours) == 2 * (2 * 12 + 2 * 3)
    comfyui = layouts.comfyui("flux", ours, model)
    assert comfyui["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"].shape == (3 * RANK, 3072)
    assert comfyui["lora_unet_single_blocks_1_linear1.lora_up.weight"].shape == (3 * 3072 + 12288, 4 * RANK)
    theirs = FluxLoraLoaderMixin.lora_state_dict(dict(comfyui))
    extra = theirs.keys() - ours.keys()
    # Query, key, value and the MLP are one layer there; the MLP's share of it is nothing.
    assert {name.split(".")[3] for name in extra} == {"proj_mlp"}
    assert not any(theirs[name].any() for name in extra)
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_flux2_blocks_come_back() -> None:
    with torch.device("meta"):
        model = Flux2Transformer2DModel(
            num_layers=2, num_single_layers=12, attention_head_dim=8, num_attention_heads=2, axes_dims_rope=(2, 2, 2, 2)
        )
    ours = saved(model, FLUX2)
    comfyui = layouts.comfyui("flux2", ours, model)
    assert "lora_unet_single_blocks_11_linear2.lora_up.weight" in comfyui
    theirs = Flux2LoraLoaderMixin.lora_state_dict(dict(comfyui))
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_sd3_keeps_diffusers_names() -> None:
    ours = {f"transformer.transformer_blocks.0.attn.to_q.lora_{letter}.weight": torch.ones(2, 2) for letter in "AB"}
    assert layouts.comfyui("sd3", ours, torch.nn.Module()).keys() == ours.keys()


@pytest.mark.parametrize(
    ("family", "layer"), [("flux", "transformer_blocks.0.norm1.linear"), ("sdxl", "down_blocks.0.resnets.0.conv1")]
)
def test_a_layer_without_a_place_is_not_lost_silently(family: str, layer: str) -> None:
    ours = {f"transformer.{layer}.lora_{letter}.weight": torch.ones(2, 2) for letter in "AB"}
    with torch.device("meta"):
        model: Any = FluxTransformer2DModel(num_layers=1, num_single_layers=1)
    model.config.layers_per_block = 1
    with pytest.raises(ValueError, match="has no place"):
        layouts.comfyui(family, ours, model)
