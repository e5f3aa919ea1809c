"""What PRX, SD 3 and FLUX share: a straight line from clean latents to noise, and a network that tells its slope.

With x_t = (1 - t) x + t n and noise n ~ N(0, 1), the velocity v = n - x is the same all along the line. The error is
the squared distance of velocities and no timestep counts more than another: which ones are looked at is for the
recipe's draw to say, as in Esser et al. 2024 (section 3.1, rf/lognorm), from which SD 3 came, and in diffusers'
training scripts for FLUX.1 and FLUX.2. (Its script for SD 3 measures in x instead, which makes an error at t count
t^2 as much; the paper does not, and neither do we.)

Latents are encoded in fp32.
"""

from __future__ import annotations

import torch

from app.training.recipe import Recipe
from workers.families.pipelines import Pipeline, picture_means


class Flow(Pipeline):
    """A loaded pipeline of one of them; see `Family` for what its methods promise."""

    is_flow = True

    def encode_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """The middle of the autoencoder's posterior, normalised. One by one, so that a batch changes no bit of it."""
        self.to_device("vae")
        given = pictures.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            answers = [self.pipeline.vae.encode(picture[None]) for picture in given]
            # DC-AE has no posterior: it answers with the latents.
            latents = [answer.latent if hasattr(answer, "latent") else answer.latent_dist.mode() for answer in answers]
            return self.normalised(torch.cat(latents))

    def normalised(self, latents: torch.Tensor) -> torch.Tensor:
        """The autoencoder's latents as the transformer knows them: around zero, about as large as the noise."""
        return (latents - self.latent_shift) * float(self.pipeline.vae.config.scaling_factor)

    @property
    def latent_shift(self) -> float:
        """What the autoencoder's latents lie around."""
        # A DC-AE has none; a KL autoencoder may name it and leave it empty.
        return float(getattr(self.pipeline.vae.config, "shift_factor", None) or 0.0)

    def noisy(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The point at t on the line from `clean` to `noise`."""
        t = timesteps[:, None, None, None]
        return (1.0 - t) * clean + t * noise

    def errors(
        self,
        prediction: torch.Tensor,
        clean: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        recipe: Recipe,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """In velocities; no timestep counts more than another."""
        return picture_means((prediction.float() - (noise - clean)).square(), weights)

    def clean_from(self, prediction: torch.Tensor, noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Back along the line to its clean end: x = x_t - t v."""
        return noisy.float() - timesteps[:, None, None, None] * prediction.float()
