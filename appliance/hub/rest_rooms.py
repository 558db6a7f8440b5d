"""The HTTP calls for rooms that last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from appliance.hub.admission import Rules
from appliance.hub.directory import Directory
from appliance.hub.records import StoredRoom
from appliance.hub.rest_call import Call, Nothing, Operation, Problem
from appliance.hub.rest_paging import PageAnswer, PageQuery, links
from appliance.hub.rest_sessions import SessionAnswer, SessionView
from appliance.hub.room_options import RoomOptions, RoomSettings
from appliance.hub.rooms import Rooms
from appliance.hub.store import Store

__all__ = ["RoomAnswer", "RoomCalls", "RoomDefaults"]


@dataclass(frozen=True, slots=True)
class RoomDefaults:
    """What a room is where it is not told to be otherwise."""

    max_members: int = 50
    quality: str = "720p"
    fps: int = 30
    layout: str = "grid-responsive"
