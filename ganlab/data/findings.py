"""What is to be said of pictures that could be used, counted over all of them and said once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ganlab.messages import counted


@dataclass
class Findings:
    """Counts of what was met while pictures were decoded. Each thread counts for itself, and the counts are added."""

    deep: int = 0
    """Pictures of more than 8 bits whose format says which values there are."""
    narrow: int = 0
    """Those of them that use less than an eighth of these values."""
    least: float = np.inf
    """The least value in these, as the files have it; infinity where there are none."""
    greatest: float = -np.inf
    """The greatest."""
    profiles: int = 0
    """Pictures with an ICC profile that cannot be used."""
    several: int = 0
    """Files that hold several pictures, of which the first was taken."""

    def add(self, other: Findings) -> None:
        """Take over what others have counted."""
        self.deep += other.deep
        self.narrow += other.narrow
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        self.profiles += other.profiles
        self.several += other.several

    def sentences(self) -> Iterator[str]:
        """Yield what the user should be warned of."""
        if self.narrow:
            values = f"{self.least:.10g} to {self.greatest:.10g}"
            which = f"{self.narrow:,} of the {self.deep:,} pictures" if self.deep > 1 else "the only picture"
            verb = "has" if self.narrow == 1 else "have"
            yield (
                f"{which} with more than 8 bits {verb} almost no contrast"
                f": less than an eighth of the possible values is used, only {values}; "
                f"dataset.range = [{self.least:.10g}, {self.greatest:.10g}] spreads these values "
                'over all shades, dataset.range = "data" those of each picture by itself'
            )
        if self.profiles:
            yield (
                f"{counted(self.profiles, 'picture has', 'pictures have')} a colour profile that is damaged, too large "
                "or made for other colours; it was ignored, and sRGB taken in its place"
            )
        if self.several:
            files = counted(self.several, "file holds", "files hold")
            each = "" if self.several == 1 else "of each "
            yield f"{files} several pictures, frames or pages; the first {each}is taken"
