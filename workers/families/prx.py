"""PRX in the latents of an autoencoder: diffusers' `PRXPipeline`, with the Flux VAE (KL) or DC-AE.

The transformer is told t itself, between 0 and 1 (it multiplies it by 1000 inside, once). The line from picture to
noise and the error are those of `flow`.

Prompts keep their words. The pipeline's own cleaning lower-cases them and deletes brackets, article numbers, Chinese
and Japanese; with `skip_text_cleaning` it only mends broken letters and HTML. A product's caption is learned as it is
written, so it is drawn the same way, here and by whoever draws with an exported model: the model's card says so.

T5Gemma: transformers 5 writes a config for this encoder that it cannot read (it takes the encoder's own for the one of
encoder and decoder, builds a full-size default and fails). A base saved like that is loaded all the same, and every
export holds the config that plain diffusers loads.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from diffusers import PRXPipeline
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaConfig, T5GemmaModuleConfig

from workers.errors import InputError
from workers.families.flow import Flow
from workers.families.pipelines import ENCODED_AT_ONCE, load_pipeline, precisions, seeded_noise
from workers.families.registry import Text

# What transformers calls the encoder's own config, as against the one of encoder and decoder, `t5gemma`.
_ENCODER_ALONE = "t5_gemma_module"


class Prx(Flow):
    """A loaded PRX model; see `Family` for what its methods promise. A `Text` has `tokens`, without padding."""

    name = "prx"
    # Every linear layer of the blocks' attention and MLP; PRX has no to_q, to_k and to_v.
    lora_targets = ("img_qkv_proj", "txt_kv_proj", "to_out.0", "gate_proj", "up_proj", "down_proj")

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self.size_multiple = int(pipeline.vae_scale_factor) * int(pipeline.transformer.config.patch_size)

    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        self.to_device(*self.text_encoders)
        encoded: list[Text] = []
        for start in range(0, len(texts), ENCODED_AT_ONCE):
            chunk = list(texts[start : start + ENCODED_AT_ONCE])
            embeddings, mask, _, _ = self._encoded(chunk, is_guided=False)
            rows = zip(embeddings, mask, strict=True)
            encoded += [{"tokens": row[kept].detach().to("cpu", torch.float32, copy=True)} for row, kept in rows]
        return encoded

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int]:
        clean = self.pipeline.text_preprocessor.basic_clean
        return [len(self.pipeline.tokenizer(clean(text))["input_ids"]) for text in texts], self.token_limit()

    def token_limit(self) -> int:
        """Tokens of a prompt that the pipeline reads."""
        return int(self.pipeline.tokenizer.model_max_length)

    def predict(self, model: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        return cast(torch.Tensor, model(noisy, timesteps, text["tokens"], text["mask"], return_dict=False)[0])

    @torch.inference_mode()
    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], size_px: int, steps: int, guidance: float
    ) -> torch.Tensor:
        # The pipeline's own loop hands the transformer two timesteps whatever the batch, so with guidance it draws
        # one picture at a time only. This is the same arithmetic for a batch; a test holds the two equal.
        self.to_device(*self.text_encoders, "vae")
        scheduler = self.pipeline.scheduler
        text, mask, no_text, no_mask = self._encoded(list(prompts), is_guided=guidance > 1.0)
        # Nobody attends to padding, so it need not be computed: nothing is one token, and most prompts are short.
        text, mask = _trimmed(text, mask)
        if guidance > 1.0:
            no_text, no_mask = _trimmed(no_text, no_mask)
        points = seeded_noise(self.noise_shape(size_px), seeds, self.device) * self.noise_scale
        scheduler.set_timesteps(steps, device=self.device)
        for t in scheduler.timesteps:
            time = t.float() / scheduler.config.num_train_timesteps
            answer = self._answer(points, time, text, mask)
            if guidance > 1.0:
                unguided = self._answer(points, time, no_text, no_mask)
                answer = unguided + guidance * (answer - unguided)
            points = scheduler.step(self.velocity(answer, points, time), t, points).prev_sample
        with self.arithmetic():
            pictures = torch.cat([self.decoded(point[None]) for point in points]).float()
        levels = ((pictures / 2 + 0.5).clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu()

    def noise_shape(self, size_px: int) -> tuple[int, int, int]:
        """The shape of one picture of this size as the model's input."""
        side = size_px // int(self.pipeline.vae_scale_factor)
        return int(self.pipeline.vae.config.latent_channels), side, side

    def velocity(self, answer: torch.Tensor, points: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """The velocity that the network's `answer` at `points` stands for."""
        return answer

    def decoded(self, points: torch.Tensor) -> torch.Tensor:
        """Pictures [B, 3, H, W] between -1 and 1 from the model's clean inputs."""
        latents = points / float(self.pipeline.vae.config.scaling_factor) + self.latent_shift
        return cast(torch.Tensor, self.pipeline.vae.decode(latents, return_dict=False)[0])

    def export(self, weights: Path, folder: Path) -> None:
        super().export(weights, folder)
        mend(folder)

    def _encoded(self, prompts: list[str], is_guided: bool) -> tuple[Any, Any, Any, Any]:
        """Embeddings and masks of prompts and, for guidance, of nothing."""
        encoded = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=is_guided, skip_text_cleaning=True
        )
        return cast(tuple[Any, Any, Any, Any], encoded)

    def _answer(self, points: torch.Tensor, time: torch.Tensor, text: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with self.arithmetic():
            batch = {"tokens": text.to(points.dtype), "mask": mask}
            return self.predict(self.model, points, time.expand(len(points)), batch).float()


def load(base: str, device: torch.device, is_narrow: bool = False) -> Prx:
    """Load the pipeline `base` onto `device`, its autoencoder in fp32. Raises `InputError`."""
    narrow = Prx.denoiser if is_narrow else None
    with warnings.catch_warnings(), _readable(base) as readable:
        # The pipeline inherits a loader of LoRAs for UNets, which does not work for it and is going away.
        warnings.filterwarnings("ignore", "`LoraLoaderMixin` is deprecated", FutureWarning)
        pipeline, folder = load_pipeline(readable, PRXPipeline, "a PRX pipeline", precisions(device), narrow)
    if pipeline.vae is None:
        raise InputError(
            f"The base model {base} has no autoencoder, so it can neither learn from pictures nor draw one."
        )
    family = Prx(pipeline.to(device))
    family.folder = folder if readable == base else Path(base)
    return family


@contextmanager
def _readable(base: str) -> Iterator[str]:
    """The base itself, or a folder of links to it in which what diffusers misreads is corrected."""
    folder = Path(base).resolve()
    if not _is_misread(folder):
        yield base
        return
    with TemporaryDirectory() as temporary:
        for file in (path for path in folder.rglob("*") if path.is_file()):
            link = Path(temporary) / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            # Configs are copied: writing through a link would change the base.
            if file.suffix == ".json":
                shutil.copy(file, link)
            else:
                link.symlink_to(file)
        mend(Path(temporary))
        yield temporary


def _is_misread(folder: Path) -> bool:
    """Whether plain diffusers fails on the folder's T5Gemma encoder: by the index or by the encoder's config."""
    index = _read(folder / "model_index.json")
    config = _read(folder / "text_encoder" / "config.json")
    return index.get("text_encoder") == ["diffusers", "T5GemmaEncoder"] or config.get("model_type") == _ENCODER_ALONE


def mend(folder: Path) -> None:
    """Give a folder of ours the T5Gemma config and the index entry that plain diffusers can load."""
    if not _is_misread(folder):
        return
    part = folder / "text_encoder"
    if _read(part / "config.json").get("model_type") == _ENCODER_ALONE:
        config = T5GemmaModuleConfig.from_pretrained(part).to_dict()
        T5GemmaConfig(encoder=config, decoder=dict(config), is_encoder_decoder=False).save_pretrained(part)
    index = {**_read(folder / "model_index.json"), "text_encoder": ["transformers", "T5GemmaEncoder"]}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def _read(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _trimmed(text: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoded texts [B, T, D] and their mask [B, T] without the columns at the end that are padding in all of them."""
    used = mask.bool().any(dim=0).nonzero()
    longest = int(used[-1]) + 1 if len(used) else 1
    return text[:, :longest], mask[:, :longest]
