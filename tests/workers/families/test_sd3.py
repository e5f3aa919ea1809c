"""What is SD 3's own: three text encoders of which T5 may be missing, a fixed shift, timesteps times 1000."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift

from tests.workers.families import tiny_flow
from workers.errors import InputError
from workers.families.registry import stacked
from workers.families.sd3 import Sd3, load

CPU = torch.device("cpu")
Base = Callable[..., Path]


def test_texts_are_the_clips_side_by_side_and_then_t5(base: Base) -> None:
    family = load(str(base("sd3")), CPU)
    texts = ["a red Zlorf box", ""]
    embeddings, _, pooled, _ = family.pipeline.encode_prompt(texts, None, None, do_classifier_free_guidance=False)
    for row, text in enumerate(family.encode_texts(texts)):
        assert torch.equal(text["tokens"], embeddings[row])
        assert torch.equal(text["pooled"], pooled[row])
    assert embeddings.shape[1] == tiny_flow.CLIP_TOKENS + 256


def test_the_empty_text_is_what_guidance_compares_with(base: Base) -> None:
    family = load(str(base("sd3")), CPU)
    _, empty, _, empty_pooled = family.pipeline.encode_prompt(["box"], None, None)
    (ours,) = family.encode_texts([""])
    assert torch.equal(ours["tokens"], empty[0])
    assert torch.equal(ours["pooled"], empty_pooled[0])


def test_the_timestep_is_told_a_thousandfold(base: Base) -> None:
    family = load(str(base("sd3")), CPU)
    told: list[torch.Tensor] = []
    family.model.register_forward_pre_hook(lambda _, given, named: told.append(named["timestep"]), with_kwargs=True)
    clean = torch.zeros(2, 4, 8, 8)
    text = stacked(family.encode_texts(["box", "mug"]))
    with torch.no_grad():
        family.predict(family.model, clean, torch.tensor([0.25, 1.0]), text)
    assert told[0].tolist() == [250.0, 1000.0]


def test_a_base_without_t5_is_loaded_trained_and_drawn(base: Base) -> None:
    folder = base("sd3", t5="without")
    family = load(str(folder), CPU)
    (text,) = family.encode_texts(["a red Zlorf box"])
    assert text["tokens"].shape[0] == tiny_flow.CLIP_TOKENS + 256
    assert not text["tokens"][tiny_flow.CLIP_TOKENS :].any()
    assert family.token_counts(["a red Zlorf box " * 9]) == ([36], tiny_flow.CLIP_TOKENS)
    assert family.draw(["a red Zlorf box"], [1], 16, 2, 3.0).shape == (1, 16, 16, 3)
    assert family.pipeline.text_encoder_3 is None
    assert family.encoder_files == tuple(
        folder / part for part in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    )


def test_a_base_without_a_clip_is_refused(tmp_path: Path) -> None:
    pipeline = tiny_flow.sd3_pipeline()
    pipeline.register_modules(text_encoder=None, tokenizer=None)
    pipeline.save_pretrained(tmp_path / "sd3")
    with pytest.raises(InputError, match="lacks a CLIP text encoder"):
        load(str(tmp_path / "sd3"), CPU)


def test_long_captions_are_counted_by_the_encoder_that_reads_on(base: Base) -> None:
    assert load(str(base("sd3")), CPU).token_counts(["box", "a red Zlorf box " * 70]) == ([1, 280], 256)


def test_the_shift_is_the_schedulers_at_every_size() -> None:
    family = Sd3(tiny_flow.sd3_pipeline(levels=4))
    assert family.size_multiple == 16
    assert (family.shift(1024, 1024), family.shift(512, 768)) == (3.0, 3.0)


def test_a_dynamic_shift_is_the_one_that_the_pipeline_works_out() -> None:
    pipeline = tiny_flow.sd3_pipeline(levels=4)
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, max_shift=1.16)
    family = Sd3(pipeline)
    for height, width in ((1024, 1024), (512, 768)):
        mu = calculate_shift((height // 16) * (width // 16), 256, 4096, 0.5, 1.16)
        assert family.shift(height, width) == pytest.approx(float(torch.tensor(mu).exp()), rel=1e-5)
