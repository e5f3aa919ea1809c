"""The captioner without a model: what the catalogue says and the pixels show, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.captions.asking import Asking
from app.captions.proposing import FACTS
from workers.captions.captioner import PhotoAnswer, PhotoQuestion


@dataclass(frozen=True, slots=True)
class FactsCaptioner:
    """Says what `app.captions.facts` makes of a photo's facts; it takes no question and looks at no picture."""

    name: str = FACTS
    revision: str = ""
    at_once: int = 200
    looks: bool = False
    answers_together: bool = True

    def obstacle(self, asking: Asking) -> str:
        """It writes the long caption, as it does."""
        if asking.prompt or asking.is_structured:
            return "The facts captioner takes no prompt, and writes the long caption alone."
        return ""

    def answer(self, questions: Sequence[PhotoQuestion]) -> list[PhotoAnswer]:
        """What is known of each photo, in a sentence."""
        return [PhotoAnswer(question.image_id, question.first) for question in questions]
