"""What SD 1.5 and SDXL share: a U-Net that undoes DDPM noise (Ho et al. 2020) on an autoencoder's latents.

The base was trained on N noise levels (1,000). A timestep t in (0, 1] stands for level ceil(t N) - 1, so an even draw
of t gives each level the same chance. At a level with `alphas_cumprod` a the network sees

    x_t = sqrt(a) x + sqrt(1 - a) n,    noise n ~ N(0, 1)

and answers with n (`epsilon`) or with v = sqrt(a) n - sqrt(1 - a) x (`v_prediction`, Salimans & Ho 2022), as the
scheduler in its folder says. The signal-to-noise ratio is a / (1 - a).

Pictures are drawn by the pipeline's own call. A safety checker in the base's folder is not loaded, for it blackens
pictures and a run must show what its weights draw; an export has it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from diffusers import DDPMScheduler

from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.pipelines import ENCODED_AT_ONCE, Pipeline, load_pipeline, picture_means
from workers.families.registry import Text

_ANSWERS = ("epsilon", "v_prediction")
# Attention and feed-forward, the layers that LoRA trainers for these models put adapters on.
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")


Loaded = TypeVar("Loaded", bound="Unet")


class Unet(Pipeline):
    """A loaded U-Net pipeline; see `Family` for what its methods promise. Subclasses encode texts."""

    denoiser = "unet"
    is_flow = False
    lora_targets: tuple[str, ...] = LORA_TARGETS

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.prediction_type = str(schedule.config.prediction_type)
        self._alphas_cumprod: torch.Tensor = schedule.alphas_cumprod.to(self.device)
        self._reduction = int(pipeline.vae_scale_factor)
        # Latents that every level of the U-Net can halve, as those it was trained on.
        self.size_multiple = self._reduction * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)

    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        """As the pipeline does, padded to the encoder's length. The empty text is what its unguided branch sees."""
        self.to_device(*self.text_encoders)
        encoded: list[Text] = []
        for start in range(0, len(texts), ENCODED_AT_ONCE):
            parts = self.encode_prompts(list(texts[start : start + ENCODED_AT_ONCE]))
            rows = zip(*parts.values(), strict=True)
            encoded += [dict(zip(parts, (_kept(part) for part in row), strict=True)) for row in rows]
        return encoded

    def encode_prompts(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        """The parts of `Text` for all `prompts`, each with a first axis for them, on the device."""
        raise NotImplementedError

    def token_counts(self, texts: Sequence[str]) -> tuple[list[int], int]:
        """The larger of the tokenizers' counts, marks of beginning and end included, and the smaller limit."""
        tokenizers = [getattr(self.pipeline, name) for name in self.tokenizers]
        counts = [max(len(tokenizer(text)["input_ids"]) for tokenizer in tokenizers) for text in texts]
        return counts, min(int(tokenizer.model_max_length) for tokenizer in tokenizers)

    def encode_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """The middle of the autoencoder's posterior, scaled. Always in fp32: SDXL's overflows in half precision."""
        self.to_device("vae")
        vae = self.pipeline.vae
        given = pictures.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            latents = vae.encode(given).latent_dist.mode()
        return self.scaled(latents)

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """The autoencoder's latents as the U-Net knows them: about as large as the noise."""
        return latents * float(self.pipeline.vae.config.scaling_factor)

    def levels(self, timesteps: torch.Tensor) -> torch.Tensor:
        """The noise level of each timestep, int64 [B] in 0 ... N - 1: ceil(t N) - 1."""
        count = len(self._alphas_cumprod)
        return (timesteps.float() * count).ceil().long().sub(1).clamp(0, count - 1)

    def noisy(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        signal, sigma = self._shares(timesteps)
        return signal * clean + sigma * noise

    def predict(self, model: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        answer = model(noisy, self.levels(timesteps), text["tokens"], **self.conditions(noisy, text), return_dict=False)
        return cast(torch.Tensor, answer[0])

    def conditions(self, noisy: torch.Tensor, text: Text) -> Mapping[str, Any]:
        """What the U-Net is told besides the text's tokens, by name."""
        return {}

    def errors(
        self,
        prediction: torch.Tensor,
        clean: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        recipe: Recipe,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """In n or v, whichever the network answers with, weighted by min-SNR (Hang et al. 2023) if the recipe asks."""
        signal, sigma = self._shares(timesteps)
        wanted = noise if self.prediction_type == "epsilon" else signal * noise - sigma * clean
        errors = picture_means((prediction.float() - wanted).square(), weights)
        return errors * self.min_snr_weights(timesteps, recipe.min_snr_gamma) if recipe.min_snr_gamma else errors

    def min_snr_weights(self, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
        """Weights float32 [B]: an error in n counts min(SNR, gamma) / SNR, one in v min(SNR, gamma) / (SNR + 1).

        Both come to min(SNR, gamma) in x, for an error in n is SNR times, and in v SNR + 1 times, that in x.
        """
        kept = self._alphas_cumprod[self.levels(timesteps)]
        snr = kept / (1.0 - kept)
        if self.prediction_type == "epsilon":
            return (gamma / snr).clamp(max=1.0)  # not nan at an SNR of zero
        return snr.clamp(max=gamma) / (snr + 1.0)

    def clean_from(self, prediction: torch.Tensor, noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        signal, sigma = self._shares(timesteps)
        if self.prediction_type == "epsilon":
            return (noisy - sigma * prediction.float()) / signal
        return signal * noisy - sigma * prediction.float()

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], size_px: int, steps: int, guidance: float
    ) -> torch.Tensor:
        # A generator for each picture, so that also the noise that some schedulers add underway is its own.
        self.to_device(*self.text_encoders, "vae")
        with self._asked_quickly():
            pictures: torch.Tensor = self.pipeline(
                list(prompts),
                height=size_px,
                width=size_px,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[torch.Generator(self.device).manual_seed(seed) for seed in seeds],
                output_type="pt",
            ).images
        return (pictures.float() * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).cpu()

    @contextmanager
    def _asked_quickly(self) -> Iterator[None]:
        """The U-Net in the arithmetic of drawing; texts, latents between the steps and pictures stay in fp32."""
        forward = self.model.forward

        def answer(*given: Any, **named: Any) -> tuple[torch.Tensor]:
            with self.arithmetic():
                return (forward(*given, **named)[0].float(),)

        vars(self.model)["forward"] = answer
        try:
            yield
        finally:
            del vars(self.model)["forward"]

    def _shares(self, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """sqrt(a) and sqrt(1 - a) at each timestep, float32 [B, 1, 1, 1]."""
        kept = self._alphas_cumprod[self.levels(timesteps)][:, None, None, None]
        return kept.sqrt(), (1.0 - kept).sqrt()


def load_unet(
    family: type[Loaded],
    pipeline_class: Any,
    words: str,
    base: str,
    device: torch.device,
    is_narrow: bool,
    **options: Any,
) -> Loaded:
    """Load `base` as `family` onto `device`, in fp32 but for what is kept narrow. For the rest see `load_pipeline`.

    Raises `InputError` also for a base of the right class that was not trained on DDPM noise, or for another task.
    """
    narrow = family.denoiser if is_narrow else None
    pipeline, folder = load_pipeline(base, pipeline_class, words, {"default": torch.float32}, narrow, **options)
    schedule, unet = pipeline.scheduler.config, pipeline.unet.config
    if "beta_schedule" not in schedule or schedule.get("prediction_type", "epsilon") not in _ANSWERS:
        raise InputError(f"The base model in {folder} was not trained to tell noise or velocity on a DDPM schedule.")
    if unet.in_channels != pipeline.vae.config.latent_channels or unet.time_cond_proj_dim is not None:
        raise InputError(
            f"The base model in {folder} was not trained to draw from text alone without distilled guidance."
        )
    loaded = family(pipeline.to(device))
    loaded.folder = folder
    return loaded


def _kept(part: torch.Tensor) -> torch.Tensor:
    return part.detach().to("cpu", torch.float32, copy=True)
