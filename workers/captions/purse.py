"""What a captioner at a server may spend: reserved before a question is sent, so that many at once stay within it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from app.captions.asking import Prices
from workers.errors import InputError

# What a question with a picture takes, until an answer has told: 1,024 px in patches of 28, and words. Some servers
# count a picture as twenty times of it, so until then one question is asked alone.
_TOKENS_AT_FIRST: Final = 2_000


class SpendLimitReached(InputError):
    """The next question might cost more than is left."""


@dataclass
class Purse:
    """Money of one job, in the team's currency. `limit` None: nothing stops it. `spent` was spent before."""

    prices: Prices = field(default_factory=Prices)
    limit: float | None = None
    spent: float = 0.0
    currency: str = "€"
    _reserved: float = 0.0
    _dearest_in: int = _TOKENS_AT_FIRST
    _is_told: bool = False
    _asked: int = 0
    _settled: threading.Condition = field(default_factory=threading.Condition)

    @property
    def words(self) -> str:
        """What is spent, and of how much: "€0.12 of €5.00"."""
        of = f" of {self.currency}{self.limit:,.2f}" if self.limit is not None else ""
        return f"{self.currency}{self.spent:,.2f}{of}"

    def reserve(self, most_tokens: int) -> float:
        """Set aside what a question may cost at most, to go by the dearest so far; what others have set aside is waited
        for, for most cost less. Raises SpendLimitReached."""
        with self._settled:
            while True:
                cost = self.prices.of(self._dearest_in, most_tokens)
                may_be_asked = self._is_told or not self._asked
                if self.limit is None or (may_be_asked and self.spent + self._reserved + cost <= self.limit):
                    self._asked += 1
                    self._reserved += cost
                    return cost
                if not self._asked:
                    raise SpendLimitReached(
                        f"The spend limit is reached: {self.words} are spent, and another question might cost more "
                        "than is left. What was written stays; an owner can raise PACKSHOT_CAPTION_SPEND_LIMIT, and "
                        "asked again it goes on."
                    )
                self._settled.wait()

    def settle(self, reserved: float, tokens_in: int, tokens_out: int) -> None:
        """Put down what a question did cost."""
        with self._settled:
            self._asked -= 1
            # Nothing is set aside where nobody asks: sums of fractions would leave some.
            self._reserved = self._reserved - reserved if self._asked else 0.0
            self.spent += self.prices.of(tokens_in, tokens_out)
            self._dearest_in = max(self._dearest_in, tokens_in)
            self._is_told = self._is_told or tokens_in > 0
            self._settled.notify_all()
