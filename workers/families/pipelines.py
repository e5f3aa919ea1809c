"""What the families share: loading a diffusers pipeline safely, drawing with seeds, saving, exporting.

A family is a subclass of `Pipeline` that adds its own arithmetic; see `registry.Family` for what each method promises.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import SAFE_WEIGHTS_INDEX_NAME
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import split_torch_state_dict_into_shards
from transformers.utils import logging as transformers_logging

from workers import disk
from workers.errors import InputError
from workers.families import metadata
from workers.families.fetch import commit_of
from workers.families.narrow import widen_the_rest

ENCODED_AT_ONCE = 64

_SHARDS = "diffusion_pytorch_model{suffix}.safetensors"
_SHARD_SIZE = "10GB"

# Files of a base that `load_pipeline` never reads: pickles, other frameworks' weights, code, and half-size copies.
_NEVER_LOADED = ("*.bin", "*.ckpt", "*.pt", "*.pth", "*.msgpack", "*.h5", "*.onnx", "*.py", "*.fp16.*", "*.non_ema.*")


class Pipeline:
    """A loaded pipeline whose part called `denoiser` is trained. Subclasses set what differs and add arithmetic."""

    name: str
    denoiser = "transformer"
    text_encoders: tuple[str, ...] = ("text_encoder",)
    tokenizers: tuple[str, ...] = ("tokenizer",)
    noise_scale = 1.0
    is_flow: bool

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.model: torch.nn.Module = getattr(pipeline, self.denoiser)
        self.device = next(self.model.parameters()).device
        for part in (*self.text_encoders, "vae"):
            module = getattr(pipeline, part, None)
            if module is not None:
                module.eval().requires_grad_(False)
        # Set by whoever loaded it: where the parts lie.
        self.folder: Path | None = None
        self.holds_base = True

    @property
    def encoder_files(self) -> tuple[Path, ...]:
        """Folders of the text encoders and tokenizers."""
        return self._folders(*self.text_encoders, *self.tokenizers)

    @property
    def encoder_precision(self) -> tuple[str, ...]:
        """The dtype of each text encoder's weights."""
        encoders = (getattr(self.pipeline, part, None) for part in self.text_encoders)
        return tuple(str(next(encoder.parameters()).dtype) for encoder in encoders if encoder is not None)

    @property
    def autoencoder_files(self) -> tuple[Path, ...]:
        """The autoencoder's folder, or nothing for a model without one."""
        return self._folders("vae")

    @property
    def base_revision(self) -> str:
        """The commit of a base that came from a model hub."""
        return commit_of(self.folder)

    def free_encoders(self) -> None:
        """Move text encoders and autoencoder to main memory."""
        for part in (*self.text_encoders, "vae"):
            module = getattr(self.pipeline, part, None)
            if module is not None:
                module.to("cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def to_device(self, *parts: str) -> None:
        """Bring parts back that `free_encoders` moved away; those that are there cost nothing."""
        for part in parts:
            module = getattr(self.pipeline, part, None)
            if module is not None:
                module.to(self.device)

    def shift(self, height_px: int, width_px: int) -> float:
        """The fixed shift of the pipeline's scheduler."""
        return float(getattr(self.pipeline.scheduler.config, "shift", 1.0) or 1.0)

    def arithmetic(self) -> torch.autocast:
        """`with family.arithmetic():` for drawing: bf16 on an accelerator and for weights kept in bf16, else fp32."""
        is_bf16 = self.device.type == "cuda" or self.is_narrow
        return torch.autocast(self.device.type, torch.bfloat16, enabled=is_bf16)

    @property
    def is_narrow(self) -> bool:
        """Whether matrices of the denoiser are kept in bf16 (see `narrow`): it cannot be asked in fp32 then."""
        return any(parameter.dtype == torch.bfloat16 for parameter in self.model.parameters())

    def save_weights(self, folder: Path) -> None:
        """The denoiser in diffusers' own format, as its `save_pretrained` writes it."""
        self.model.save_config(folder)  # type: ignore[operator]
        forget_origin(folder / "config.json")
        tensors = self.model.state_dict()
        split = split_torch_state_dict_into_shards(tensors, filename_pattern=_SHARDS, max_shard_size=_SHARD_SIZE)
        for file, names in split.filename_to_tensors.items():
            metadata.save(folder / file, {name: tensors[name] for name in names}, {"format": "pt"})
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
            (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")

    def load_weights(self, folder: Path) -> None:
        """Weights that `save_weights` wrote. Raises `InputError`."""
        try:
            saved = type(self.model).from_pretrained(folder, low_cpu_mem_usage=False)  # type: ignore[attr-defined]
            self.model.load_state_dict(saved.state_dict())
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"The weights in {folder} cannot be loaded: {' '.join(str(error).split())}") from error
        self.holds_base = False

    def load_base(self) -> None:
        """The base's own weights again. Raises `InputError`."""
        if self.folder is None:
            raise InputError("A pipeline that was not loaded from a folder cannot go back to it.")
        self.load_weights(self.folder / self.denoiser)
        self.holds_base = True

    def base_files(self) -> list[Path]:
        """The files of the base's denoiser: configuration, index, weights. Raises `InputError`."""
        if self.folder is None:
            raise InputError("A pipeline that was not loaded from a folder has no files.")
        return loaded_files(self.folder / self.denoiser)

    def export(self, weights: Path, folder: Path) -> None:
        """The base's own files, its denoiser replaced by the saved weights: all else is to the byte what was loaded."""
        if self.folder is None:
            raise InputError("A pipeline that was not loaded from a folder cannot be exported.")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "model_index.json", folder)
        for part in json.loads((folder / "model_index.json").read_text()):
            if part != self.denoiser and (self.folder / part).is_dir():
                never = shutil.ignore_patterns(*_NEVER_LOADED)
                shutil.copytree(self.folder / part, folder / part, ignore=never, copy_function=disk.copy)
        shutil.copytree(weights, folder / self.denoiser, copy_function=_linked)
        for config in (folder / "model_index.json", *folder.glob("*/*config.json")):
            forget_origin(config)

    def _folders(self, *parts: str) -> tuple[Path, ...]:
        there = (self.folder / part for part in parts if self.folder is not None)
        return tuple(folder for folder in there if folder.is_dir())


def picture_means(squares: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """The mean of each picture's squared errors [B, C, h, w], float32 [B]; `weights` as in `Family.errors`."""
    weighed = squares if weights is None else squares * weights
    return weighed.mean(dim=(1, 2, 3))


def load_pipeline(
    base: str,
    pipeline_class: Any,
    words: str,
    dtype: Mapping[str, torch.dtype],
    narrow: str | None = None,
    **options: Any,
) -> tuple[Any, Path]:
    """The pipeline in the folder `base`, on the CPU, and that folder.

    `words` says what is wanted ("a PRX pixel pipeline"), `dtype` the precision of each part by name, `narrow` the part
    whose matrices are kept in bf16, if any. Raises `InputError` when it is not there or of another class.
    Runs no code from the folder and unpickles nothing: only this class and safetensors files are loaded.
    """
    folder = Path(base)
    _check_kind(folder, pipeline_class.__name__, words)
    # Their bars draw over a run's own lines, some with every checkpoint.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    wanted = {**dtype, narrow: torch.bfloat16} if narrow else {**dtype}
    try:
        pipeline = pipeline_class.from_pretrained(folder, use_safetensors=True, dtype=wanted, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"The base model {base} cannot be loaded: {' '.join(str(error).split())}") from error
    pipeline.set_progress_bar_config(disable=True)
    if narrow:
        read = [file for file in loaded_files(folder / narrow) if file.suffix == ".safetensors"]
        widen_the_rest(getattr(pipeline, narrow), read)
    return pipeline, folder


def loaded_files(part: Path) -> list[Path]:
    """The files of a pipeline's part that `load_pipeline` reads."""
    files = sorted(file for file in part.iterdir() if file.is_file())
    return [file for file in files if not any(file.match(pattern) for pattern in _NEVER_LOADED)]


def precisions(device: torch.device) -> dict[str, torch.dtype]:
    """Precision of a pipeline's parts by name: fp32, but text encoders (`default`) in bf16 on an accelerator."""
    encoders = torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"transformer": torch.float32, "vae": torch.float32, "default": encoders}


def seeded_noise(shape: Sequence[int], seeds: Sequence[int], device: torch.device) -> torch.Tensor:
    """Noise float32 [B, *shape], each picture's from its own seed alone, however many are drawn together."""
    return torch.stack(
        [torch.randn(tuple(shape), generator=torch.Generator(device).manual_seed(s), device=device) for s in seeds]
    )


def forget_origin(config: Path) -> None:
    """Take out of a saved config where diffusers loaded it from: a folder of this machine, in a file to give away."""
    known = json.loads(config.read_text())
    if {"_name_or_path", "name_or_path"} & known.keys():
        kept = {key: value for key, value in known.items() if key not in ("_name_or_path", "name_or_path")}
        config.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def _linked(source: str, target: str) -> None:
    """One copy of the weights on the disk where that is possible. What changes a file later replaces it whole."""
    if source.endswith(".safetensors"):
        with suppress(OSError):
            os.link(source, target)
            return
    disk.copy(source, target)


def _check_kind(folder: Path, wanted: str, words: str) -> None:
    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError(f"The base model folder {folder} holds no pipeline.")
    try:
        kind = json.loads(index.read_text())["_class_name"]
    except (ValueError, KeyError, TypeError):
        kind = None
    if kind != wanted:
        raise InputError(f"The base model in {folder} is not {words}.")
