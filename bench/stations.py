"""How long each station of a run took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """seconds: wall time by station."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def station(self, name: str) -> Iterator[None]:
        """Add the block's wall time to a station's."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)
