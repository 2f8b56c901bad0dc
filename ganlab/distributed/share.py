"""Which part of every batch each of several processes takes."""

from __future__ import annotations

from typing import NamedTuple

from ganlab.errors import DataError


class Share(NamedTuple):
    """Part `number`, from 0, of `parts` equal ones."""

    number: int
    parts: int

    def of(self, batch_size: int) -> slice:
        """Return this part's places in a batch; refuse a batch that cannot be shared evenly."""
        if batch_size % self.parts:
            raise DataError(
                f"train.batch_size = {batch_size} cannot be shared evenly by {self.parts} processes; "
                f"set it to a multiple of {self.parts}"
            )
        size = batch_size // self.parts
        return slice(self.number * size, (self.number + 1) * size)


WHOLE = Share(0, 1)
