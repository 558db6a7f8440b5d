"""Lists of the HTTP calls, page by page.

The links of an answer lead through the list. What comes into it after the first page was read
does not move the others: the links carry a token that stands for the list as it was.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request

from appliance.hub.records import Page, PageRequest

__all__ = ["Links", "PageAnswer", "PageQuery", "links"]

_TOKEN: Final = r"^PA[0-9a-f]{1,15}$"

_PAGES_MAX: Final = 1_000_000


def _token(text: str) -> str:
    if re.fullmatch(_TOKEN, text) is None:
        raise ValueError("is no token of this list; follow the links of its first page")
    return text


class PageQuery(BaseModel):
    """Which part of a list is wanted, the newest first.

    Without a token the pages are those of the list as it is now.
    """

    model_config = ConfigDict(extra="forbid")

    page_number: Annotated[int, Field(ge=0, le=_PAGES_MAX)] = 0
    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    page_token: (
        Annotated[str, AfterValidator(_token), Field(json_schema_extra={"pattern": _TOKEN})] | None
    ) = None

    def request(self) -> PageRequest:
        """The same for the store."""
        anchor = (
            None if self.page_token is None else int(self.page_token.removeprefix("PA"), base=16)
        )
        return PageRequest(self.page_number, self.page_size, anchor)


class Links(BaseModel):
    """Where the other pages of a list are."""

    self: str
    first: str
    next: str | None = None
    prev: str | None = None


D = TypeVar("D", bound=BaseModel)


class PageAnswer(BaseModel, Generic[D]):
    """One page of a list."""

    links: Links
    data: list[D]


def links(request: Request, query: PageQuery, page: Page[Any]) -> Links:
    """The links of one page, with the filters that it was asked for with."""
    token = f"PA{page.anchor:x}"
    kept = {
        name: value
        for name, value in request.query_params.items()
        if name not in ("page_number", "page_token", "page_size")
    }

    def link(number: int, *, anchored: bool = True) -> str:
        fields = {**kept, "page_number": number, "page_size": query.page_size}
        if anchored:
            fields["page_token"] = token
        return f"{request.scope['path']}?{urlencode(fields)}"

    number = query.page_number
    return Links(
        self=link(number, anchored=query.page_token is not None),
        first=link(0, anchored=False),
        next=link(number + 1) if page.more and number < _PAGES_MAX else None,
        prev=link(number - 1) if number else None,
    )
