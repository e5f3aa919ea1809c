"""A captioner out of transformers: an image-text-to-text model on this machine's device. Knows no database.

Weights are safetensors only, and no code that comes with a model is ever run. On an accelerator a model runs in bf16
and with the fastest attention that transformers has for it (SDPA where its code knows that).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.captions.asking import Asking
from workers.captions import families, model_size
from workers.captions.captioner import PhotoAnswer, PhotoQuestion
from workers.captions.families import CaptionFamily
from workers.captions.shrinking import shrink
from workers.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

# What a batch holds: an accelerator is idle with few photos, a processor gains nothing from many.
AT_ONCE: Final = 4
AT_ONCE_ON_ACCELERATOR: Final = 16
_TOKENISER_FILES: Final = ("tokenizer.json", "*.model", "vocab.*")


@dataclass(frozen=True)
class TransformerCaptioner:
    """A loaded model with what prepares its input and reads its output. `processor` is the tokeniser's and the image
    processor's owner; `revision` is the commit of one from a hub."""

    name: str
    model: Any
    processor: Any
    tokenizer: Any
    family: CaptionFamily
    revision: str = ""
    at_once: int = AT_ONCE
    looks: bool = True
    answers_together: bool = True

    def obstacle(self, asking: Asking) -> str:
        """Why this family cannot be asked so."""
        return self.family.obstacle(asking)

    def answer(self, questions: Sequence[PhotoQuestion]) -> list[PhotoAnswer]:
        """An answer to each, greedily decoded, so that the same question gives the same words.

        A batch for which the device has no memory is halved until it does. Raises InputError where one photo is too
        much for it.
        """
        import torch

        if not questions:
            return []
        try:
            return self._answer(questions)
        except torch.OutOfMemoryError:
            pass
        # Outside, so that what the failed batch held is let go of first.
        if len(questions) == 1:
            raise InputError(f"The device has no memory for one photo beside {self.name}; choose a smaller model.")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(questions) // 2
        return [*self.answer(questions[:half]), *self.answer(questions[half:])]

    def _answer(self, questions: Sequence[PhotoQuestion]) -> list[PhotoAnswer]:
        import torch

        asked = [self.family.words(question) if self.family.words else "" for question in questions]
        inputs = self.inputs([shrink(question.picture) for question in questions if question.picture], asked)
        inputs = inputs.to(self.model.device, dtype=self.model.dtype)
        most = max(question.most_tokens for question in questions)
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, max_new_tokens=most, do_sample=False, num_beams=1)
        # Encoder-decoders and models that take no question answer with new tokens alone.
        config = self.model.config
        text_config = getattr(config, "text_config", config)
        if self.family.words and not (config.is_encoder_decoder or text_config.is_encoder_decoder):
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        masks = inputs.get("attention_mask")
        read = masks.sum(dim=1).tolist() if masks is not None else [0] * len(questions)
        ends = self._ends()
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        answers = []
        for question, words, text, row, count in zip(questions, asked, texts, tokens.tolist(), read, strict=True):
            length = next((place + 1 for place, token in enumerate(row) if place and token in ends), None)
            answers.append(
                PhotoAnswer(
                    question.image_id, " ".join(text.split()), words, int(count), length or len(row),
                    is_cut=length is None and len(row) >= question.most_tokens,
                )
            )  # fmt: skip
        return answers

    def inputs(self, pictures: Sequence[Picture], words: Sequence[str]) -> Any:
        """What the model reads for these pictures, and the words put to it, as tensors of one batch."""
        if getattr(self.processor, "chat_template", None) is not None:
            chats = [
                [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": each}]}]
                for picture, each in zip(pictures, words, strict=True)
            ]
            return self.processor.apply_chat_template(
                chats, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
                processor_kwargs={"padding": True},
            )  # fmt: skip
        if self.family.words is None:
            return self.processor(images=list(pictures), return_tensors="pt")
        inputs = self.processor(images=list(pictures), text=list(words), padding=True, return_tensors="pt")
        inputs.pop("labels", None)  # PaliGemma's processor makes them for training, and a loss would be computed
        return inputs

    def _ends(self) -> set[int]:
        given = self.model.generation_config.eos_token_id
        ends = set(given if isinstance(given, list) else [given])
        return {end for end in (*ends, self.tokenizer.eos_token_id) if end is not None}


def load(model: str, device: str | torch.device) -> TransformerCaptioner:
    """The captioner in a local folder or of a hub id, on `device`: bfloat16 on an accelerator, float32 on a CPU.

    A hub id may name a commit, MAKER/MODEL@COMMIT; without one all parts are of the commit that is the newest now.
    With HF_HUB_OFFLINE set, only models already on this machine are found. Raises InputError in one sentence when the
    model is not there, has no safetensors weights or not all of them, wants to run code of its own, writes no text
    about images, or has more weights than the device has memory; that is counted before they are fetched or loaded.
    """
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"  # else a hub model without safetensors is converted by a service
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForImageTextToText
    from transformers.utils.hub import cached_file, extract_commit_hash

    source, revision = _source(model)
    target = torch.device(device)
    dtype = torch.float32 if target.type == "cpu" else torch.bfloat16
    try:
        revision = extract_commit_hash(cached_file(source, "config.json", revision=revision), None)
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
        if type(config) not in AutoModelForImageTextToText._model_mapping:
            raise InputError(
                f"The caption model {model} is a {config.model_type} model, which writes no text about images."
            )
        needed = model_size.loaded_bytes(_numbers(source, revision), dtype.itemsize)
        if sentence := model_size.refusal(model, needed, model_size.free_bytes(target)):
            raise InputError(sentence)
        network: Any
        network, loaded = AutoModelForImageTextToText.from_pretrained(
            source,
            revision=revision,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below, in a sentence
        )
        # transformers would fill the gaps with random numbers, and the captions would be gibberish.
        if missing := sorted({*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])}):
            raise InputError(
                f"The caption model {model} lacks {len(missing)} of its weights, {missing[0]} the first; copy its "
                "whole folder, or choose one made for transformers."
            )
        options = {"revision": revision, "trust_remote_code": False}
        processor, tokenizer = families.processor_of(source, config, options)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise InputError(_why(model, error)) from error
    tokenizer.padding_side = "left"  # answers of a batch begin where its prompts end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    family = families.family_of(config.model_type, getattr(processor, "chat_template", None) is not None)
    at_once = AT_ONCE if target.type == "cpu" else AT_ONCE_ON_ACCELERATOR
    return TransformerCaptioner(
        model, network.to(target).eval(), processor, tokenizer, family, revision or "", at_once
    )  # fmt: skip


def _numbers(source: str, revision: str | None) -> dict[str, int]:
    """How many numbers of each dtype the weights hold; none where that cannot be told before they are here.

    Of a hub's model the hub tells, by the headers alone; where it cannot be asked, the files that were fetched before.
    """
    folder = Path(source)
    if not folder.is_dir():
        from huggingface_hub import get_safetensors_metadata, try_to_load_from_cache
        from huggingface_hub.errors import HfHubHTTPError, NotASafetensorsRepoError, OfflineModeIsEnabled

        here = try_to_load_from_cache(source, "config.json", revision=revision)
        folder = Path(here).parent if isinstance(here, str) else folder
        if not any(folder.glob("*.safetensors")):
            with suppress(OSError, ValueError, HfHubHTTPError, NotASafetensorsRepoError, OfflineModeIsEnabled):
                counted = get_safetensors_metadata(source, revision=revision).parameter_count
                return {str(dtype): number for dtype, number in counted.items()}
    return dict(model_size.numbers_of(model_size.weight_files(folder)))


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
