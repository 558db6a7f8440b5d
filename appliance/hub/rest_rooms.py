"""The HTTP calls for rooms that last."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from appliance.hub.admission import Rules
from appliance.hub.directory import Directory
from appliance.hub.records import StoredRoom
from appliance.hub.rest_call import Call, Nothing, Operation, Problem, fetch, found, remove
from appliance.hub.rest_paging import PageAnswer, PageQuery, links
from appliance.hub.rest_sessions import SessionAnswer, SessionView
from appliance.hub.rest_settings import Flag, SettingsAnswer, time_of
from appliance.hub.room_options import RoomDefaults, RoomOptions, RoomSettings
from appliance.hub.room_streams import RoomStreams
from appliance.hub.rooms import Rooms
from appliance.hub.store import Store

__all__ = ["RoomAnswer", "RoomCalls"]

TAG: Final = "Rooms"


class RoomQuery(BaseModel):
    """How one room is wanted."""

    model_config = ConfigDict(extra="forbid")

    include_active_session: Flag = False


class RoomsQuery(PageQuery):
    """Which rooms are wanted, and how."""

    include_active_session: Flag = False


class RoomAnswer(SettingsAnswer):
    """A room that lasts."""

    id: str
    description: str | None
    #: The session that goes on, if it was asked for and there is one.
    active_session: SessionAnswer | None
    created_at: datetime
    updated_at: datetime


class RoomCalls:
    """The calls under ``/rooms``; an ``{id}`` may be the room's name as well."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        rooms: Rooms,
        streams: RoomStreams,
        defaults: RoomDefaults,
    ) -> None:
        self._directory = directory
        self._store = store
        self._rooms = rooms
        self._streams = streams
        self._defaults = defaults
        self._view = SessionView(rooms, defaults)

    def operations(self) -> list[Operation[Any, Any]]:
        """The calls, for the routes and for the document."""
        one = "/rooms/{id}"
        return [
            fetch(
                "/rooms",
                "list_rooms",
                "All rooms",
                TAG,
                self._list,
                RoomsQuery,
                PageAnswer[RoomAnswer],
            ),
            Operation(
                method="POST",
                path="/rooms",
                name="create_room",
                summary="A new room",
                tag=TAG,
                work=self._create,
                query=Nothing,
                body=RoomOptions,
                answer=RoomAnswer,
                refusals=(409,),
            ),
            fetch(
                one, "get_room", "One room, by id or name", TAG, self._get, RoomQuery, RoomAnswer
            ),
            Operation(
                method="PUT",
                path=one,
                name="update_room",
                summary="Change what is given of a room's settings",
                tag=TAG,
                work=self._change,
                query=Nothing,
                body=RoomSettings,
                answer=RoomAnswer,
                refusals=(404,),
            ),
            remove(
                one,
                "delete_room",
                "Delete a room; who is in it may stay, nobody new comes in",
                TAG,
                self._delete,
            ),
        ]

    async def _list(self, call: Call[RoomsQuery, Nothing]) -> BaseModel:
        query = call.query
        page = await self._store.rooms.page(query.request())
        with_session = query.include_active_session
        return PageAnswer(
            links=links(call.request, query, page),
            data=[await self._answer(room, with_session=with_session) for room in page.items],
        )

    async def _create(self, call: Call[Nothing, RoomOptions]) -> BaseModel:
        room = await self._directory.create(call.body)
        if room is None:
            text = f"name: there is a room {call.body.name} already"
            raise Problem(409, "room_exists", text, attribute="name")
        self._apply(room)
        return await self._answer(room)

    async def _get(self, call: Call[RoomQuery, Nothing]) -> BaseModel:
        with_session = call.query.include_active_session
        return await self._answer(self._find(call.id), with_session=with_session)

    async def _change(self, call: Call[Nothing, RoomSettings]) -> BaseModel:
        old = self._find(call.id)
        room = found(await self._directory.change(old.id, call.body), "room")
        self._apply(room)
        return await self._answer(room)

    async def _delete(self, call: Call[Nothing, Nothing]) -> None:
        room = found(await self._directory.delete(self._find(call.id).id), "room")
        self._streams.end_all(room)
        if (running := self._rooms.get(room.name)) is not None:
            running.deleted = True

    def _apply(self, room: StoredRoom) -> None:
        """Who comes and stays: that counts at once. All else counts from the next session on."""
        if (running := self._rooms.get(room.name)) is not None:
            running.deleted = False
            running.stays.rules = Rules.of(room.options, max_members=self._defaults.max_members)

    def _find(self, id_or_name: str) -> StoredRoom:
        return found(self._directory.find(id_or_name), "room")

    async def _answer(self, room: StoredRoom, *, with_session: bool = False) -> RoomAnswer:
        session = await self._store.sessions.open_in(room.id) if with_session else None
        return RoomAnswer.build(
            room.options,
            self._defaults,
            id=room.id,
            description=room.options.description,
            active_session=(None if session is None else self._view.answer(session)),
            created_at=time_of(room.created_at),
            updated_at=time_of(room.updated_at),
        )
