"""How each family of image-text-to-text models is asked, and what prepares its input.

Most have a chat template and take any question. The older ones know only words that they were trained on: Florence-2
tasks in angle brackets, PaliGemma a verb and a language, BLIP-2 “Question: … Answer:” or nothing, BLIP and GIT nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from app.captions.asking import Asking
from workers.captions.captioner import PhotoQuestion

Words = Callable[[PhotoQuestion], str]

FLORENCE_TASKS: Final = {"short": "<CAPTION>", "medium": "<DETAILED_CAPTION>", "long": "<MORE_DETAILED_CAPTION>"}
_PALIGEMMA_TASKS: Final = {"short": "cap en", "medium": "caption en", "long": "describe en"}


@dataclass(frozen=True, slots=True)
class CaptionFamily:
    """`words` are put to the model for a question; None: it looks without being asked. `obstacle` says why it cannot be
    asked so."""

    words: Words | None
    obstacle: Callable[[Asking], str]


def _chat_words(question: PhotoQuestion) -> str:
    return question.text


def _florence_words(question: PhotoQuestion) -> str:
    return question.own_prompt or FLORENCE_TASKS[question.length]


def _paligemma_words(question: PhotoQuestion) -> str:
    # The place of the picture stands in front, else the processor guesses it and warns.
    return f"<image>{question.own_prompt or _PALIGEMMA_TASKS[question.length]}"


def _blip2_words(question: PhotoQuestion) -> str:
    return f"Question: {question.own_prompt} Answer:" if question.own_prompt else "a photo of"


def _only_long(name: str) -> Callable[[Asking], str]:
    def obstacle(asking: Asking) -> str:
        return f"{name} writes no JSON; ask it for the long caption alone." if asking.is_structured else ""

    return obstacle


def _only_tasks(asking: Asking) -> str:
    tasks = list(FLORENCE_TASKS.values())
    if asking.prompt and asking.prompt not in tasks:
        return f"Florence-2 takes no question, only its tasks: {', '.join(tasks)}; or none, and a length."
    return _only_long("Florence-2")(asking)


def _only_looks(asking: Asking) -> str:
    return "This model takes no prompt; it looks without being asked." if asking.prompt else _PLAIN(asking)


_PLAIN: Final = _only_long("This model")
_CHAT: Final = CaptionFamily(_chat_words, lambda _: "")
_UNASKED: Final = CaptionFamily(None, _only_looks)
_FAMILIES: Final = {
    "florence2": CaptionFamily(_florence_words, _only_tasks),
    "paligemma": CaptionFamily(_paligemma_words, _only_long("PaliGemma")),
    "blip-2": CaptionFamily(_blip2_words, _only_long("BLIP-2")),
}


def family_of(model_type: str, has_chat_template: bool) -> CaptionFamily:
    """The family of a model by its config's `model_type`; one with a chat template is asked in a chat."""
    return _CHAT if has_chat_template else _FAMILIES.get(model_type, _UNASKED)


def processor_of(source: str, config: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """What prepares pictures (and prompts), and the tokeniser that reads answers.

    The processors of Qwen-VL and SmolVLM want a part for videos too, which wants torchvision and num2words. Photos need
    neither, so these are loaded without it.
    """
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    auto: Any = transformers
    if config.model_type == "vision-encoder-decoder":  # has no processor that owns both
        pictures = auto.AutoImageProcessor.from_pretrained(source, **options)
        return pictures, auto.AutoTokenizer.from_pretrained(source, **options)
    known = auto.Idefics3Processor if config.model_type == "smolvlm" else PROCESSOR_MAPPING.get(type(config), None)
    if known is not None and "video_processor" in known.get_attributes():
        known = _without_videos(known)
    processor = (known or auto.AutoProcessor).from_pretrained(source, **options)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise ValueError("it has no tokeniser beside its image processor")
    return processor, tokenizer


def _without_videos(processor: Any) -> Any:
    """The class of a processor, for still pictures alone."""
    parts = [part for part in processor.get_attributes() if part != "video_processor"]
    return type(processor.__name__, (processor,), {"get_attributes": classmethod(lambda _: parts)})
