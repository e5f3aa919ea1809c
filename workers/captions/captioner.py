"""What every captioner is: photos and questions in, answers out. Knows no database.

A kind of captioner is a file beside this one: `from_facts` looks at no picture, `transformer` runs a model on the
device, `server` asks one that somebody else runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from app.captions.asking import Asking, Length

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass(frozen=True, slots=True)
class PhotoQuestion:
    """What is asked of a photo. `picture` is RGB and upright, None for a captioner that looks at none; `text` the whole
    question, `own_prompt` the words in it that a person wrote. `first` is what the facts captioner says of the photo,
    `schema` the JSON schema of the answer, if it is to be JSON."""

    image_id: int
    text: str
    picture: Picture | None = None
    first: str = ""
    length: Length = "medium"
    own_prompt: str = ""
    most_tokens: int = 96
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """What was answered, as it came, and what it cost in tokens; `failure` says in a sentence why there is none.

    `is_cut`: the answer was as long as it might become, and had not ended. `asked`: what was put to the model.
    """

    image_id: int
    text: str = ""
    asked: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    is_cut: bool = False
    failure: str = ""


class Captioner(Protocol):
    """Writes captions. `name` and `revision` are kept with each; `at_once` photos are asked together."""

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def at_once(self) -> int: ...
    @property
    def looks(self) -> bool:
        """Whether it looks at pictures: without, none are read for it."""
        ...

    @property
    def answers_together(self) -> bool:
        """Whether the answers to all questions come at once, and not each by itself."""
        ...

    def obstacle(self, asking: Asking) -> str:
        """Why it cannot be asked so, in a sentence; "" where it can."""
        ...

    def answer(self, questions: Sequence[PhotoQuestion]) -> Iterable[PhotoAnswer]:
        """An answer to each, as they come: a list all at once, an iterator one by one, in whatever order.

        Raises InputError where no more can be had; what came before it holds.
        """
        ...
