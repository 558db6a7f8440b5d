"""What is said of values that cannot be: plain words, and none of pydantic's."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.functional_validators import AfterValidator
from pydantic_core import PydanticCustomError

from appliance.hub.config import PanelLink
from appliance.provisioning import values
from appliance.words import in_words, unknown


class Colour(Enum):
    RED = "red"


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


def own(value: str) -> str:
    raise ValueError(f"'{value}' is none;\n give VALUE")


def custom(value: str) -> str:
    raise PydanticCustomError("odd", "must be even")


def said(annotation: Any, value: Any, *, strict: bool = True) -> str:
    """What is said of the one thing that is wrong with a value."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(annotation).validate_python(value, strict=strict)
    (detail,) = caught.value.errors(include_url=False)
    return in_words(detail)


def characters(pattern: str) -> Any:
    return Annotated[str, Field(pattern=pattern)]


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (bool, 1, "must be true or false"),
        (bool, "true", "must be true or false, without quotes"),
        (int, 1.5, "must be a whole number"),
        (int, "5", "must be a whole number, without quotes"),
        (float, "5", "must be a number, without quotes"),
        (str, 5, "must be a text, in quotes"),
        (list[str], "a", "must be a list"),
        (tuple[str, ...], "a", "must be a list"),
        (dict[str, int], 5, "must be a table of keys and values"),
        (Thing, 5, "must be one table"),
        (Thing, {}, "is missing"),
        (Thing, {"name": "a", "nmae": "b"}, "unknown key"),
        (Annotated[int, Field(ge=160)], 100, "must be at least 160"),
        (Annotated[float, Field(ge=0.5)], 0.1, "must be at least 0.5"),
        (Annotated[float, Field(ge=50, le=20_000)], 2e7, "must be at most 20000"),
        (Annotated[int, Field(le=20_000_000)], 10**9, "must be at most 20000000"),
        (Annotated[int, Field(gt=0)], 0, "must be more than 0"),
        (Annotated[int, Field(lt=9)], 9, "must be less than 9"),
        (Annotated[int, Field(multiple_of=2)], 3, "must be a multiple of 2"),
        (Annotated[str, Field(min_length=1)], "", "must not be empty"),
        (Annotated[str, Field(min_length=2)], "a", "must have at least 2 characters"),
        (Annotated[str, Field(max_length=2)], "abc", "must have at most 2 characters"),
        (Annotated[list[str], Field(min_length=1)], [], "must not be empty"),
        (Annotated[list[str], Field(max_length=1)], ["a", "b"], "must have at most 1 entries"),
        (Literal["a", "b"], "c", "must be 'a' or 'b'"),
        (values.RoomName, "demo room", "letters, digits, - and _ only"),
        (values.RoomName, "", "must not be empty"),
        (values.HeaderName, "X Y", "letters, digits and - only"),
        (values.Interface, "eth 0", "letters, digits and - . : _ only, at most 64 of them"),
        (values.HostPort, "a b", "letters, digits and - . : [ ] only, at most 260 of them"),
        (values.MailAddress, "oak", "must be a mail address, as in room@example.com"),
        (characters("^x+$"), "y", "must match pattern '^x+$'"),
        (Annotated[str, AfterValidator(own)], "x", "'x' is none; give VALUE"),
        (Annotated[str, AfterValidator(custom)], "x", "must be even"),
    ],
)
def test_what_is_said(annotation: Any, value: Any, words: str) -> None:
    assert said(annotation, value) == words


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (bool, "x", "must be true or false"),
        (int, "x", "must be a whole number"),
        (int, "1" * 5000, "must be a smaller number"),
        (int, 1.5, "must be a whole number"),
        (float, "x", "must be a number"),
        (Colour, "blue", "must be 'red'"),
        (Annotated[float, Field(allow_inf_nan=False)], "nan", "must be a number that ends"),
    ],
)
def test_what_is_said_where_a_text_may_stand_for_another_value(
    annotation: Any, value: object, words: str
) -> None:
    assert said(annotation, value, strict=False) == words


def test_a_panel_is_reached_by_an_address() -> None:
    with pytest.raises(ValidationError) as caught:
        PanelLink(name="Oak", url="ftp://oak")
    (detail,) = caught.value.errors()
    assert in_words(detail) == "'ftp://oak' is no address of a panel; give one as http://HOST:PORT"


def test_what_an_unknown_key_was_meant_to_be() -> None:
    assert unknown("rtae", ["rate", "width"]) == "unknown key, did you mean rate?"
    assert unknown("xyz", ["rate", "width"]) == "unknown key, choose one of rate, width"
    assert unknown("xyz", []) == "unknown key, there is none"
