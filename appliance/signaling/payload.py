"""What a server sends, reached by attribute: ``e.member.audio_muted``."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Payload"]


class Payload(Mapping[str, Any]):
    """A read-only view of a JSON object.

    Fields are attributes and items under their names on the wire. Objects inside, also inside
    lists, are payloads too. Fields that nobody here has heard of are kept.

    A field named like a method of mappings (``keys``, ``items``, ``values``, ``get``,
    ``to_dict``) is reached as an item only.
    """

    __slots__ = ("_data",)

    _data: dict[str, Any]

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        """``data`` is not copied; leave it alone afterwards."""
        if isinstance(data, Payload):
            data = data._data
        object.__setattr__(self, "_data", data if isinstance(data, dict) else dict(data or {}))

    def __getitem__(self, key: str) -> Any:
        return _view(self._data[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __getattr__(self, name: str) -> Any:
        # Before __init__, as in copying, there is no data to look into.
        if name != "_data" and name in self._data:
            return _view(self._data[name])
        raise AttributeError(f"the payload has no field {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a payload is read-only: cannot set {name!r}", name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a payload is read-only: cannot delete {name!r}", name=name, obj=self)

    def __dir__(self) -> list[str]:
        fields = (key for key in self._data if key.isidentifier())
        return sorted({*super().__dir__(), *fields})

    def __repr__(self) -> str:
        return f"Payload({self._data!r})"

    def __reduce__(self) -> tuple[type[Payload], tuple[dict[str, Any]]]:
        return Payload, (self._data,)

    def to_dict(self) -> dict[str, Any]:
        """A plain deep copy, free to change."""
        return copy.deepcopy(self._data)


def _view(value: Any) -> Any:
    if isinstance(value, dict):
        return Payload(value)
    if isinstance(value, list):
        return [_view(item) for item in value]
    return value
