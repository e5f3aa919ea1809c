"""Names that people gave, numbered: a million photos have few categories and colours."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection, text

from app.catalog.spelling import label_key
from app.selection.columns.numbers import Array


class Names:
    """The names in one column and their codes, from 0 on; code 0 is no name."""

    def __init__(self, catalog_id: int, column: str) -> None:
        self.values: list[str | None] = [None]
        self._catalog_id, self._table_column = catalog_id, column
        self._code_of_hash: dict[int, int] = {0: 0}
        self._keys: list[str | None] = []

    def codes(self, connection: Connection, hashes: Array) -> Array:
        """Codes (int32) for hashes of names, as `shape` reads them. New names are read; one of each."""
        distinct, inverse = np.unique(hashes.astype(np.int64), return_inverse=True)
        unknown = [value for value in distinct.tolist() if value not in self._code_of_hash]
        if unknown:
            self._learn(connection)
        codes = np.array([self._code_of_hash[value] for value in distinct.tolist()], np.int32)
        return codes[inverse]

    def chosen(self, names: list[str | None]) -> Array:
        """For each code, whether it is one of these names in any spelling (bool)."""
        keys = {None if name is None else label_key(name) for name in names}
        fresh = self.values[len(self._keys) :]
        self._keys += [None if value is None else label_key(value) for value in fresh]
        return np.array([key in keys for key in self._keys], bool)

    def _learn(self, connection: Connection) -> None:
        table, column = self._table_column.split(".")
        asked = text(
            f"select distinct {column}, hashtextextended({column}, 0) from {table} "  # noqa: S608 (names of ours)
            f"where catalog_id = :catalog and {column} is not null"
        )
        for name, hashed in connection.execute(asked, {"catalog": self._catalog_id}):
            code = self._code_of_hash.setdefault(hashed, len(self.values))
            if code == len(self.values):
                self.values.append(name)
            elif self.values[code] != name:
                raise RuntimeError(f"Two names have one hash: {self.values[code]!r} and {name!r}.")
