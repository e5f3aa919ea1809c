"""An embedder out of transformers: SigLIP, SigLIP 2 and CLIP, which read words too, or DINOv2 and DINOv3, which do not.

Weights are safetensors only, and no code that comes with a model is ever run. Knows no database.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workers.embedding.embedder import Embedder, Vectors
from workers.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

# What an HNSW index takes as half precision: pgvector's own limit.
MOST_DIMENSIONS: Final = 4000
# SigLIP was trained on texts padded to this length, and reads others badly.
_PADDED_TO: Final = 64


class TransformerEmbedder(Embedder):
    """A model with what prepares its input. `revision` is the commit of one from a hub, or a hash of a folder's."""

    def __init__(self, name: str, revision: str, model: Any, pictures: Any, tokenizer: Any) -> None:
        self.name, self.revision = name, revision
        self._model, self._pictures, self._tokenizer = model, pictures, tokenizer
        self.preprocessing = " ".join(str(pictures.to_json_string()).split())
        self.reads_words = tokenizer is not None
        config = model.config
        shared = getattr(config, "projection_dim", None) if self.reads_words else None
        inner = getattr(config, "vision_config", config)
        # CLIP projects words and pictures to one length; SigLIP's towers have one length already.
        self.dimensions = int(shared or inner.hidden_size)

    def look(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, dimensions) float32, each of length 1, for RGB pictures."""
        import torch

        # SigLIP 2 with pictures of their own shape wants masks beside the pixels.
        inputs = self._pictures(images=list(pictures), return_tensors="pt")
        inputs = inputs.to(self._model.device, dtype=self._model.dtype)
        with torch.inference_mode():
            if self.reads_words:
                return self._own(self._model.get_image_features(**inputs))
            # Of DINO's tokens the first stands for the whole picture.
            return self._own(self._model(**inputs).last_hidden_state[:, 0])

    def read(self, phrase: str) -> Vectors:
        """(dimensions,) float32 of length 1."""
        import torch

        limit = min(
            int(getattr(self._model.config.text_config, "max_position_embeddings", _PADDED_TO)), _PADDED_TO + 13
        )
        is_padded = self._model.config.model_type.startswith("siglip")
        tokens = self._tokenizer(
            [phrase], padding="max_length" if is_padded else True, truncation=True, max_length=limit,
            return_tensors="pt",
        )["input_ids"]  # fmt: skip
        with torch.inference_mode():
            features = self._model.get_text_features(input_ids=tokens.to(self._model.device))
        vector: Vectors = self._own(features)[0]
        return vector

    def _own(self, features: Any) -> Vectors:
        """Features as vectors; newer transformers hand them over inside of an output."""
        tensor: torch.Tensor = getattr(features, "pooler_output", features)
        vectors: Vectors = tensor.float().cpu().numpy()
        return self.of_length_one(vectors)


def load(model: str, device: str | torch.device) -> TransformerEmbedder:
    """The embedder in a local folder or of a hub id, MAKER/MODEL or MAKER/MODEL@COMMIT, on `device`.

    Raises InputError in one sentence when it is not there, has no safetensors weights, wants to run code of its own, or
    is of a kind that gives no vector for a picture.
    """
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"  # else a hub model without safetensors is converted by a service
    import torch
    import transformers
    from transformers import AutoConfig
    from transformers.utils.hub import cached_file, extract_commit_hash

    auto: Any = transformers
    source, commit = _source(model)
    target = torch.device(device)
    try:
        revision = extract_commit_hash(cached_file(source, "config.json", revision=commit), None) or commit
        options = {"revision": revision, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(source, **options)
        if config.model_type not in _KINDS:
            raise InputError(
                f"The embedder {model} is a {config.model_type} model; Packshot knows {', '.join(sorted(_KINDS))}."
            )
        # transformers would fill missing weights with noise and only warn.
        network, loading = auto.AutoModel.from_pretrained(
            source, config=config, use_safetensors=True, output_loading_info=True,
            dtype=torch.float32 if target.type == "cpu" else torch.bfloat16, **options,
        )  # fmt: skip
        if loading["missing_keys"]:
            raise InputError(f"The embedder {model} lacks weights: {sorted(loading['missing_keys'])[0]} and others.")
        pictures = auto.AutoImageProcessor.from_pretrained(source, **options)
        tokenizer = auto.AutoTokenizer.from_pretrained(source, **options) if _KINDS[config.model_type] else None
    except (OSError, ValueError, ImportError) as error:
        raise InputError(_why(model, error)) from error
    embedder = TransformerEmbedder(
        model.partition("@")[0], revision or _hash_of(Path(source)), network.to(target).eval(), pictures, tokenizer
    )
    if embedder.dimensions > MOST_DIMENSIONS:
        raise InputError(
            f"The embedder {model} gives {embedder.dimensions} numbers; at most {MOST_DIMENSIONS} are kept."
        )
    return embedder


# Kinds of models, and whether they read words.
_KINDS: Final = {
    "clip": True, "siglip": True, "siglip2": True, "dinov2": False, "dinov2_with_registers": False, "dinov3_vit": False,
}  # fmt: skip


def _source(model: str) -> tuple[str, str | None]:
    """Where transformers shall look: a folder, or a hub id and a commit if one is named."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return str(folder), None
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise InputError(f"There is no embedder in {model}; set PACKSHOT_EMBEDDER to a folder or a hub id.")
    name, _, commit = model.partition("@")
    return name, commit or None


def _hash_of(folder: Path) -> str:
    """What tells other weights in the same folder apart: names, sizes and times of change of its weight files."""
    files = sorted(folder.glob("*.safetensors"))
    facts = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _why(model: str, error: Exception) -> str:
    """A sentence for the person who chose the model, out of what transformers says to programmers."""
    text = str(error)
    if "trust_remote_code" in text:
        return f"The embedder {model} brings code of its own, which is never run; choose another."
    if "safetensors" in text:
        return f"The embedder {model} has no safetensors weights, and pickled ones (.bin) are never loaded."
    if isinstance(error, OSError) and not Path(model).expanduser().is_dir():
        return (
            f"The embedder {model} is not on this machine and could not be fetched; set PACKSHOT_EMBEDDER to a local "
            "folder, or fetch it once with `hf download` while online."
        )
    first_line = next((line for line in text.split("\n") if line), type(error).__name__)
    return f"The embedder {model} cannot be loaded: {first_line}"
