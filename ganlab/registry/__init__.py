"""Who offers which components. `from ganlab.registry import registry` is the components of this process.

Nothing is imported before it is asked for: pydantic can be imported only once malformed entry points are forgiven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganlab.registry.lookup import Registry as Registry
    from ganlab.registry.lookup import registry as registry

__all__ = ["Registry", "registry"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ganlab.registry' has no attribute {name!r}")
    from ganlab.registry import lookup

    return vars(lookup)[name]
