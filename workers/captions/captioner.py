"""A model that says what a photo shows: photos in, sentences out. Knows no database.

Two kinds of transformers models work: those with a chat template (vision-language models such as SmolVLM, Qwen2-VL,
LLaVA), which are asked a question about each photo, and plain image-to-text models (BLIP, GIT, encoder-decoder), which
are not. Weights are safetensors only, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workers.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

PROMPT: Final = (
    "Describe the product in this photo in one sentence of at most 40 words: what it is, its colour and material, "
    "the view, where it stands in the frame, and the background. Name only what can be seen."
)
MAX_NEW_TOKENS: Final = 96
# Vision-language models spend tokens by the pixel; a caption needs no more than this.
LONGEST_SIDE_PX: Final = 1024
_TOKENISER_FILES: Final = ("tokenizer.json", "*.model", "vocab.*")


@dataclass(frozen=True)
class Captioner:
    """A loaded model with what prepares its input and reads its output. `processor` is the tokeniser's and the image
    processor's owner; `is_asked` tells whether the model takes a prompt; `revision` is the commit of one from a hub."""

    name: str
    model: Any
    processor: Any
    tokenizer: Any
    is_asked: bool
    revision: str = ""

    def caption(
        self, images: Sequence[Picture], prompt: str = PROMPT, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[str]:
        """One sentence per RGB picture, in order, greedily decoded, so the same picture gives the same words.

        `prompt` is put to models with a chat template; others look without a question. A sentence may be empty.
        """
        import torch

        if not images:
            return []
        small = [_shrink(image) for image in images]
        inputs = self._asked(small, prompt) if self.is_asked else self.processor(images=small, return_tensors="pt")
        inputs = inputs.to(self.model.device, dtype=self.model.dtype)
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1)
        if self.is_asked:
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    def _asked(self, images: Sequence[Picture], prompt: str) -> Any:
        chats = [
            [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": prompt}]}]
            for image in images
        ]
        return self.processor.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
            processor_kwargs={"padding": True},
        )  # fmt: skip


def load(model: str, device: str | torch.device) -> Captioner:
    """The captioner in a local folder or of a hub id, on `device`: bfloat16 on an accelerator, float32 on a CPU.

    A hub id may name a commit, MAKER/MODEL@COMMIT; without one all parts are of the commit that is the newest now.
    With HF_HUB_OFFLINE set, only models already on this machine are found. Raises InputError in one sentence when the
    model is not there, has no safetensors weights, wants to run code of its own, or writes no text about images.
    """
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"  # else a hub model without safetensors is converted by a service
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText
    from transformers.utils.hub import cached_file, extract_commit_hash

    source, revision = _source(model)
    target = torch.device(device)
    try:
        revision = extract_commit_hash(cached_file(source, "config.json", revision=revision), None)
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
        if type(config) not in AutoModelForImageTextToText._model_mapping:
            raise InputError(
                f"The caption model {model} is a {config.model_type} model, which writes no text about images."
            )
        network: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            revision=revision,
            config=config,
            dtype=torch.float32 if target.type == "cpu" else torch.bfloat16,
            use_safetensors=True,
            trust_remote_code=False,
        )
        processor, tokenizer = _reader(source, revision, config.model_type)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(_why(model, error)) from error
    tokenizer.padding_side = "left"  # answers of a batch begin where its prompts end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    is_asked = getattr(processor, "chat_template", None) is not None
    return Captioner(model, network.to(target).eval(), processor, tokenizer, is_asked, revision or "")


def _reader(source: str, revision: str | None, model_type: str) -> tuple[Any, Any]:
    """What prepares pictures (and prompts), and the tokeniser that reads answers."""
    import transformers

    auto: Any = transformers
    options = {"revision": revision, "trust_remote_code": False}
    if model_type == "vision-encoder-decoder":  # has no processor that owns both
        pictures = auto.AutoImageProcessor.from_pretrained(source, **options)
        return pictures, auto.AutoTokenizer.from_pretrained(source, **options)
    processor = auto.AutoProcessor.from_pretrained(source, **options)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise ValueError("it has no tokeniser beside its image processor")
    return processor, tokenizer


def _source(model: str) -> tuple[str, str | None]:
    """Where transformers shall look: a folder that holds what it needs, or a hub id and a commit if one is named."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not any(folder.glob("*.safetensors")):
            raise InputError(
                f"The caption model {model} has no safetensors weights, and pickled ones (.bin) are never loaded."
            )
        if not any(list(folder.glob(name)) for name in _TOKENISER_FILES):
            # transformers would make up an empty tokeniser, and the captions would be gibberish.
            raise InputError(f"The caption model {model} has no tokeniser beside it; copy its whole folder.")
        return str(folder), None
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise InputError(f"There is no caption model in {model}; set PACKSHOT_CAPTION_MODEL to a folder or a hub id.")
    name, _, commit = model.partition("@")
    return name, commit or None


def _why(model: str, error: Exception) -> str:
    """A sentence for the person who chose the model, out of what transformers says to programmers."""
    text = str(error)
    if "trust_remote_code" in text:
        return f"The caption model {model} brings code of its own, which is never run; choose another."
    if "use_safetensors" in text or "safetensors" in text:
        return f"The caption model {model} has no safetensors weights, and pickled ones (.bin) are never loaded."
    if isinstance(error, OSError) and not Path(model).expanduser().is_dir():
        return (
            f"The caption model {model} is not on this machine and could not be fetched; set PACKSHOT_CAPTION_MODEL to "
            "a local folder, or fetch it once with `hf download` while online."
        )
    first_line = next((line for line in text.split("\n") if line), type(error).__name__)
    return f"The caption model {model} cannot be loaded: {first_line}"


def _shrink(image: Picture) -> Picture:
    """RGB, its longest side at most LONGEST_SIDE_PX."""
    rgb = image.convert("RGB")
    rgb.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    return rgb
