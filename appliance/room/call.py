"""One leg of a call: an offer, its answer, and what the server says about it later."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol, TypedDict

from av import VideoFrame

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.errors import MediaError
from appliance.media.peer import PeerState
from appliance.media.video_receiver import VideoReceiver
from appliance.signaling import verto
from appliance.signaling.errors import Disconnected, RequestTimeout, SignalingError
from appliance.signaling.verto import VertoMessage

from .errors import JoinRefused, JoinTimeout, RoomError
from .tasks import Tasks

log = logging.getLogger(__name__)

ANSWER_TIMEOUT: Final = 20.0
"""Seconds for the server to answer an invite with its SDP, as in the browser SDK."""

BYE_TIMEOUT: Final = 10.0
"""Seconds to wait for the answer to a bye."""

INVITE_ATTEMPTS: Final = 5
"""Invites before giving up when each was lost with its connection, as in the browser SDK."""


class Signal(Protocol):
    """The part of a connection that a call needs."""

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the server; raises SignalingError."""


class Leg(Protocol):
    """The media of a call; `appliance.media.leg.MediaLeg` is the one for real."""

    on_state: Callable[[PeerState], None] | None
    on_frame: Callable[[VideoFrame], None] | None
    audio: AudioReceiver | None
    video: VideoReceiver | None

    async def offer(self) -> str:
        """A complete SDP offer."""

    async def accept(self, answer: str) -> None:
        """Take the answer; raises NegotiationError."""

    def send_from(
        self, *, microphone: MicCapture | None = None, camera: CameraCapture | None = None
    ) -> None:
        """Send from other captures from now on."""

    async def close(self) -> None:
        """End it.  Safe to call twice."""

    def stats(self) -> dict[str, int | float]:
        """Counters since the start."""


class CallState(Enum):
    """How far a call has come; the values are also the events' names."""

    NEW = "new"
    REQUESTING = "requesting"
    TRYING = "trying"
    EARLY = "early"
    ACTIVE = "active"
    HANGUP = "hangup"
    DESTROY = "destroy"


_OVER: Final = frozenset({CallState.HANGUP, CallState.DESTROY})


class Dialog(TypedDict, total=False):
    """What marks an extra leg; empty for the member's own."""

    screen_share: bool
    additional_device: bool
    user_variables: Mapping[str, Any]


class Wishes(TypedDict, total=False):
    """What the room shall do when a shared screen comes in."""

    layout: str
    positions: Mapping[str, str]


@dataclass(slots=True)
class _Negotiation:
    """One offer on its way."""

    offer: str
    answer: asyncio.Future[str] = field(default_factory=asyncio.Future)
    answered: asyncio.Future[None] = field(default_factory=asyncio.Future)

    def fail(self, error: Exception) -> None:
        for future in (self.answer, self.answered):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits for the other one must not miss it noisily


class Call:
    """One leg; the media of it may be replaced, the call stays the same for the server.

    The callbacks run on the loop: `on_state` at each change of `state`, `on_media` with each
    state of the present media, `on_bye` when the server has ended a call that it had answered,
    `on_wishes` when it would like "audio" or "video" to be otherwise, with all such wishes.
    """

    def __init__(
        self,
        signal: Signal,
        make_leg: Callable[[], Leg],
        *,
        subscribe: Sequence[str] = (),
        dialog: Callable[[], Dialog] = Dialog,
        wishes: Wishes | None = None,
    ) -> None:
        """`dialog` is asked at each invite, `wishes` go with the first that is answered."""
        self.id: Final = str(uuid.uuid4())
        self.leg: Leg | None = None
        self.node_id: str | None = None
        self.media_params: dict[str, dict[str, Any]] = {}
        self.on_state: Callable[[CallState], object] | None = None
        self.on_media: Callable[[PeerState], None] | None = None
        self.on_bye: Callable[[JoinRefused], object] | None = None
        self.on_wishes: Callable[[str, dict[str, Any]], None] | None = None
        self._signal = signal
        self._make_leg = make_leg
        self._subscribe = tuple(subscribe)
        self._dialog = dialog
        self._wishes: Wishes = wishes or {}
        self._state = CallState.NEW
        self._negotiation: _Negotiation | None = None
        self._invited = False
        self._tasks = Tasks()

    @property
    def state(self) -> CallState:
        """How far the call has come; it never goes back while its media are replaced."""
        return self._state

    @property
    def active(self) -> bool:
        """Whether the server has answered and nobody has hung up."""
        return self._state is CallState.ACTIVE

    async def dial(self) -> None:
        """Offer fresh media and wait until the server's answer is taken.

        A second time it replaces the media of the same call.  Raises JoinRefused,
        JoinTimeout, MediaError, or SignalingError as the server answered.
        """
        for _ in range(1, INVITE_ATTEMPTS):
            try:
                await self._negotiate()
            except (Disconnected, RequestTimeout) as error:
                log.info("the call was lost on its way (%s); calling again", error)
            else:
                return
        await self._negotiate()

    def receive(self, message: VertoMessage) -> None:
        """Take a message of the server about this call."""
        if self._state is CallState.DESTROY:
            return
        match message.method:
            case "verto.answer" | "verto.media":
                self._answered(message)
                self._acknowledge(message)
            case "verto.bye":
                self._acknowledge(message)
                self._ended(message)
            case "verto.ping":
                self._say(verto.envelope(verto.pong(message), node_id=message.node_id))
            case "verto.mediaParams":
                self._constrained(message.params.get("mediaParams"))
            case method:
                log.debug("the call ignores %s", method)

    def fail(self, error: Exception) -> None:
        """Nothing more will come from the server: whoever dials learns why."""
        if self._negotiation is not None:
            self._negotiation.fail(error)

    async def hang_up(self, timeout: float = BYE_TIMEOUT) -> None:
        """Tell the server that the call is over, and wait `timeout` seconds for its word."""
        if self._state in _OVER:
            return
        self._enter(CallState.HANGUP)
        if not self._invited:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._request(verto.bye(self.id, **self._dialog()))
        except (SignalingError, TimeoutError) as error:
            # A timeout of asyncio's own has no text.
            why = str(error) or f"no answer within {timeout:g} s"
            log.info("the server did not take the goodbye: %s", why)

    async def close(self) -> None:
        """End the media and everything under way; says nothing to the server."""
        self._enter(CallState.HANGUP)
        await self._tasks.close()
        if self.leg is not None:
            self.leg.on_state = None
            await self.leg.close()
        self._enter(CallState.DESTROY)

    async def _negotiate(self) -> None:
        leg = await self._fresh_leg()
        if not self.active:
            self._enter(CallState.REQUESTING)
        negotiation = self._negotiation = _Negotiation(await leg.offer())
        try:
            self._invited = True
            await self._invite(negotiation)
            if not self.active and self._state is not CallState.EARLY:
                self._enter(CallState.TRYING)
            patience = asyncio.timeout(ANSWER_TIMEOUT)
            try:
                async with patience:
                    await leg.accept(await negotiation.answer)
                    await negotiation.answered
            except TimeoutError as error:
                if not patience.expired():
                    raise
                raise JoinTimeout(
                    f"the room did not answer the call within {ANSWER_TIMEOUT:.0f} s;"
                    " see whether the server is well, and try again"
                ) from error
        finally:
            if self._negotiation is negotiation:
                self._negotiation = None

    async def _fresh_leg(self) -> Leg:
        if self.leg is not None:
            old, self.leg = self.leg, None
            old.on_state = None
            await old.close()
        leg = self.leg = self._make_leg()
        leg.on_state = self._media_changed
        return leg

    async def _invite(self, negotiation: _Negotiation) -> None:
        message = verto.invite(self.id, negotiation.offer, **self._dialog(), **self._wishes)
        await self._request(message, subscribe=self._subscribe)

    async def _request(
        self, message: Mapping[str, Any], subscribe: Sequence[str] | None = None
    ) -> None:
        params = verto.envelope(message, call_id=self.id, node_id=self.node_id, subscribe=subscribe)
        await self._signal.request(verto.RPC_METHOD, params)

    def _answered(self, message: VertoMessage) -> None:
        if message.node_id is not None:
            self.node_id = message.node_id
        negotiation, early = self._negotiation, message.method == "verto.media"
        if negotiation is not None:
            if message.sdp is not None and not negotiation.answer.done():
                negotiation.answer.set_result(message.sdp)
            if not early and not negotiation.answered.done():
                negotiation.answered.set_result(None)
        self._wishes = {}
        if not self.active:
            self._enter(CallState.EARLY if early else CallState.ACTIVE)

    def _ended(self, message: VertoMessage) -> None:
        cause = str(message.params.get("cause") or "NORMAL_CLEARING")
        code = str(message.params.get("causeCode") or "16")
        node = message.params.get("redirectDestination")
        negotiation = self._negotiation
        if isinstance(node, str) and node:
            self.node_id = node
            self._tasks.start(self._redirected(negotiation), "redirected call")
            return
        ended = JoinRefused(code, cause)
        if negotiation is not None:
            negotiation.fail(ended)
        if self.active and self.on_bye is not None:
            self.on_bye(ended)

    async def _redirected(self, negotiation: _Negotiation | None) -> None:
        log.info("the call goes on at another node of the server")
        try:
            if negotiation is not None:
                await self._invite(negotiation)
            else:
                await self.dial()
        except SignalingError as error:
            if negotiation is not None:
                negotiation.fail(error)
            else:
                self._lost(error)
        except (MediaError, RoomError) as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        if self.on_bye is not None:
            self.on_bye(JoinRefused("16", str(error)))

    def _constrained(self, wishes: object) -> None:
        """Keep what the server would like of our media, and tell who can do something."""
        if not isinstance(wishes, Mapping):
            return
        for kind, wish in wishes.items():
            if isinstance(wish, Mapping):
                kept = self.media_params.setdefault(str(kind), {})
                kept.update(wish)
                if self.on_wishes is not None:
                    self.on_wishes(str(kind), dict(kept))

    def _acknowledge(self, message: VertoMessage) -> None:
        if message.id is not None:
            reply = verto.reply(message.id, message.method)
            self._say(verto.envelope(reply, node_id=message.node_id))

    def _say(self, params: Mapping[str, Any]) -> None:
        async def say() -> None:
            try:
                await self._signal.request(verto.RPC_METHOD, params)
            except SignalingError as error:
                log.debug("the server did not take an acknowledgement: %s", error)

        self._tasks.start(say(), "acknowledgement")

    def _media_changed(self, state: PeerState) -> None:
        # The media of a call that has ended may go: nobody wins them back.
        if self.on_media is not None and self._state not in _OVER:
            self.on_media(state)

    def _enter(self, state: CallState) -> None:
        order = list(CallState)
        # A second dial of a call that was lost on its way begins again; nothing else goes back.
        again = state is CallState.REQUESTING and self._state not in _OVER
        if state is self._state or (order.index(state) < order.index(self._state) and not again):
            return
        self._state = state
        if self.on_state is not None:
            self.on_state(state)
