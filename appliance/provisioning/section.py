"""What all sections of a configuration share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share: unknown keys are refused, values are what TOML says they are, and do
    not change.

    A number or a truth in quotes is a text to TOML, so it is none here."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=False,
        use_attribute_docstrings=True,
    )
