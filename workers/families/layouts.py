"""A LoRA under the names that ComfyUI and the trainers around it give the layers.

Found in ComfyUI's own reading of LoRA files (comfy/lora.py, comfy/utils.py and comfy/weight_adapter/lora.py, as of
November 2026) and held to it by tests that send each file back through diffusers' converters:

- SD 1.5 and SDXL: kohya's, `lora_unet_LAYER.lora_down.weight` with underscores for dots. SDXL's blocks have the names
  of its first code (`input_blocks_4_1_...`), SD 1.5's those of diffusers.
- FLUX.1 and FLUX.2: kohya's too, under the names of their makers' code, where query, key and value are one layer.
  Three adapters of rank r are one of rank 3 r there, whose up matrix is zero off its diagonal of blocks.
- SD 3: diffusers' own names. ComfyUI reads them, and no tool of kohya's kind has other ones that diffusers reads back.
- PRX: `diffusion_model.LAYER`, the form that ComfyUI reads for every model whose layers it has by that name. ComfyUI
  had no PRX of its own when this was written.

Each has `alpha` = rank where its readers know an alpha, so that a strength of 1 is what was trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch

Pair = tuple[torch.Tensor, torch.Tensor]
"""An adapter's A [rank, in] (down) and B [out, rank] (up)."""

# A block's layers by the name that FLUX's first code has for them; several of ours side by side are one of theirs.
_STREAMS = {
    "img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn_proj": ("attn.to_out.0",),
    "txt_attn_proj": ("attn.to_add_out",),
}
_FLUX_DOUBLE = {
    **_STREAMS,
    "img_mlp_0": ("ff.net.0.proj",),
    "img_mlp_2": ("ff.net.2",),
    "txt_mlp_0": ("ff_context.net.0.proj",),
    "txt_mlp_2": ("ff_context.net.2",),
}
_FLUX_SINGLE = {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), "linear2": ("proj_out",)}
_FLUX2_DOUBLE = {
    **_STREAMS,
    "img_mlp_0": ("ff.linear_in",),
    "img_mlp_2": ("ff.linear_out",),
    "txt_mlp_0": ("ff_context.linear_in",),
    "txt_mlp_2": ("ff_context.linear_out",),
}
_FLUX2_SINGLE = {"linear1": ("attn.to_qkv_mlp_proj",), "linear2": ("attn.to_out",)}


def comfyui(family: str, saved: Mapping[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The LoRA `saved` in diffusers' layout for this `family`, in ComfyUI's; `model` is the denoiser it is for.

    Raises ValueError for a layer that has no place in that layout.
    """
    pairs = dict(_pairs(saved))
    if family in ("prx", "prx_pixel", "sd3"):
        prefix = "transformer" if family == "sd3" else "diffusion_model"
        return {
            f"{prefix}.{layer}.lora_{letter}.weight": tensor
            for layer, pair in pairs.items()
            for letter, tensor in zip("AB", pair, strict=True)
        }
    if family == "flux":
        return _kohya(_fused(pairs, model, _FLUX_DOUBLE, _FLUX_SINGLE))
    if family == "flux2":
        return _kohya(_fused(pairs, model, _FLUX2_DOUBLE, _FLUX2_SINGLE))
    if family == "sdxl":
        per_block = int(model.config.layers_per_block) + 1  # type: ignore[union-attr, arg-type]
        return _kohya({_first_name(layer, per_block): pair for layer, pair in pairs.items()})
    return _kohya({layer.replace(".", "_"): pair for layer, pair in pairs.items()})


def _pairs(saved: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, Pair]]:
    for name, down in saved.items():
        if name.endswith(".lora_A.weight"):
            _, layer = name.removesuffix(".lora_A.weight").split(".", 1)
            yield layer, (down, saved[name.replace(".lora_A.", ".lora_B.")])


def _kohya(pairs: Mapping[str, Pair]) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for layer, (down, up) in pairs.items():
        tensors[f"lora_unet_{layer}.lora_down.weight"] = down
        tensors[f"lora_unet_{layer}.lora_up.weight"] = up
        tensors[f"lora_unet_{layer}.alpha"] = torch.tensor(float(len(down)))
    return tensors


def _first_name(layer: str, per_block: int) -> str:
    """The name of a U-Net layer in an attention block, in the first code of SDXL: its blocks are numbered through."""
    if match := re.fullmatch(r"(down|up)_blocks\.(\d+)\.attentions\.(\d+)\.(.+)", layer):
        side, block, inner, rest = match.groups()
        number = int(block) * per_block + int(inner)
        # The first input block is the convolution before all others.
        head = f"input_blocks_{number + 1}" if side == "down" else f"output_blocks_{number}"
    elif match := re.fullmatch(r"mid_block\.attentions\.0\.(.+)", layer):
        head, rest = "middle_block", match[1]
    else:
        raise ValueError(f"{layer} has no place in SDXL's first code.")
    return f"{head}_1_{rest.replace('.', '_')}"


def _fused(
    pairs: Mapping[str, Pair],
    model: torch.nn.Module,
    double: Mapping[str, tuple[str, ...]],
    single: Mapping[str, tuple[str, ...]],
) -> dict[str, Pair]:
    """The layers of FLUX's blocks under their makers' names, those side by side as one."""
    fused: dict[str, Pair] = {}
    left = set(pairs)
    for block in sorted({layer.split(".")[0] + "." + layer.split(".")[1] for layer in pairs}, key=_in_order):
        kind, number = block.split(".")
        is_single = kind == "single_transformer_blocks"
        for theirs, ours in (single if is_single else double).items():
            layers = [f"{block}.{part}" for part in ours]
            if left & set(layers):
                name = f"{'single' if is_single else 'double'}_blocks_{number}_{theirs}"
                outs = [int(model.get_submodule(layer).out_features) for layer in layers]  # type: ignore[arg-type]
                fused[name] = _side_by_side([pairs.get(layer) for layer in layers], outs)
                left -= set(layers)
    if left:
        raise ValueError(f"{min(left)} has no place in the first code of FLUX.")
    return fused


def _in_order(block: str) -> tuple[str, int]:
    kind, number = block.split(".")
    return kind, int(number) if number.isdigit() else 0


def _side_by_side(parts: list[Pair | None], outs: list[int]) -> Pair:
    """Adapters of layers that are one: A's above each other, B's on the diagonal; zeros for a part without one."""
    if len(parts) == 1 and parts[0] is not None:
        return parts[0]
    rank, width = next(part[0].shape for part in parts if part is not None)
    downs = [torch.zeros(rank, width) if part is None else part[0] for part in parts]
    ups = [torch.zeros(out, rank) if part is None else part[1] for part, out in zip(parts, outs, strict=True)]
    return torch.cat(downs), torch.block_diag(*ups)  # type: ignore[no-untyped-call]
