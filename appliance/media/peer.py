"""One WebRTC connection, and the only seam to aiortc.

aiortc gives ICE, DTLS, SRTP, RTCP and SDP.  What it does not offer hangs off here and off
`ends`: encoded frames that are shared between connections, feedback that reaches an encoder
of ours, received packets before any jitter buffer of its own, the choice of local addresses,
and a tap on what leaves.  Each private name that is touched is listed in `_SEAM`, and a test
holds the list against the installed aiortc.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, Final, Literal

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError, OperationError

from appliance.media.addresses import host_addresses
from appliance.media.ends import Inlet, Outlet
from appliance.media.errors import NegotiationError
from appliance.media.packet import Kind
from appliance.media.sdp import audio_first

log = logging.getLogger(__name__)

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

_SEAM: Final[dict[str, tuple[str, ...]]] = {
    "RTCRtpSender": (
        "_next_encoded_frame",
        "_handle_rtcp_packet",
        "_send_keyframe",
        "_ssrc",
        "_RTCRtpSender__rtp_history",
        "_RTCRtpSender__stats",
    ),
    "RTCRtpReceiver": (
        "_RTCRtpReceiver__jitter_buffer",
        "_RTCRtpReceiver__remote_streams",
        "_handle_rtcp_packet",
        "_send_rtcp_pli",
    ),
    "RTCDtlsTransport": ("_send_rtp",),
    "RTCIceGatherer": ("_connection",),
    "RTCPeerConnection": (
        "_RTCPeerConnection__iceTransports",
        "_RTCPeerConnection__connect",
    ),
    "RTCRtpTransceiver": ("_codecs",),
}
"""Every private attribute of aiortc's objects that this module uses."""


class PeerState(Enum):
    """How far a connection has come."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    FAILED = "failed"
    CLOSED = "closed"


class Peer:
    """One WebRTC connection without trickle: one offer, one answer, audio and video.

    `ice_servers` are entries as on the wire (`urls`, `username`, `credential`).
    `addresses` are the local IP addresses to be reached at; None stands for every
    address of the machine, or the loopback where it has no other.
    """

    def __init__(
        self,
        *,
        ice_servers: Iterable[Mapping[str, Any]] = (),
        addresses: Sequence[str] | None = None,
    ) -> None:
        self.audio_out: Outlet | None = None
        self.video_out: Outlet | None = None
        self.audio_in: Inlet | None = None
        self.video_in: Inlet | None = None
        self.on_state: Callable[[PeerState], None] | None = None
        self.tap: Callable[[bytes], None] | None = None
        self._state = PeerState.NEW
        self._addresses = addresses
        configuration = RTCConfiguration(iceServers=[_ice_server(entry) for entry in ice_servers])
        connection: Any = RTCPeerConnection(configuration)
        self._connection = connection
        self._connection.on("connectionstatechange", self._connection_changed)
        # aiortc starts this as a task that nobody awaits; closed half-way it would end in
        # a logged traceback.
        connection._RTCPeerConnection__connect = partial(
            _connect, connection._RTCPeerConnection__connect
        )
        self._connected = asyncio.Event()

    @property
    def state(self) -> PeerState:
        """How far the connection has come; CLOSED is final."""
        return self._state

    async def offer(
        self, audio: Direction | None = "sendrecv", video: Direction | None = "sendrecv"
    ) -> str:
        """A complete offer, audio before video; None leaves a kind out.

        Raises NegotiationError when neither kind is wanted.
        """
        kinds: list[tuple[Kind, Direction | None]] = [("audio", audio), ("video", video)]
        for kind, direction in kinds:
            if direction is not None:
                self._add(self._connection.addTransceiver(kind, direction), direction)
        if self.audio_in is None and self.video_in is None:
            raise NegotiationError("nothing to offer: ask for sound, for pictures or for both")
        self._hook_transports()
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return _complete(self._connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the other side's answer to `offer`; the connection follows by itself.

        Raises NegotiationError.
        """
        await self._set_remote(answer, "answer")

    async def answer(
        self, offer: str, *, audio: Direction = "sendrecv", video: Direction = "sendrecv"
    ) -> str:
        """Answer a complete offer: audio first, H.264 before VP8, all candidates within.

        `audio` and `video` say what this side is ready for; the offer may narrow it.
        Raises NegotiationError.
        """
        wanted: list[tuple[Kind, Direction]] = [("audio", audio), ("video", video)]
        for kind, direction in wanted:
            # Made before the offer is applied: aiortc reads the preference just then.
            if f"m={kind} " in offer:
                self._add(self._connection.addTransceiver(kind, direction), direction)
        if self.audio_in is None and self.video_in is None:
            raise NegotiationError("the other side's offer has neither sound nor pictures")
        await self._set_remote(offer, "offer")
        self._hook_transports()
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return audio_first(_complete(self._connection.localDescription.sdp))

    async def wait_connected(self) -> None:
        """Wait until the state is CONNECTED, FAILED or CLOSED."""
        await self._connected.wait()

    async def close(self) -> None:
        """End the connection.  Safe to call twice."""
        for end in (self.audio_out, self.video_out, self.audio_in, self.video_in):
            if end is not None:
                end.close()
        await self._connection.close()
        self._set_state(PeerState.CLOSED)
        self.on_state = None

    def stats(self) -> dict[str, int | float]:
        """Counters since the start, by kind: `audio_packets_received`, `video_packets_lost`,
        and so on; and `bytes_sent`, `bytes_received` of the whole connection.

        Once they are known also `audio_jitter_ms` of what is received, `audio_sent_lost_percent`,
        what the other side missed lately, and `round_trip_ms`, smoothed.
        """
        figures: dict[str, int | float] = {"bytes_sent": 0, "bytes_received": 0}
        for inlet in (self.audio_in, self.video_in):
            if inlet is None:
                continue
            streams = inlet._receiver._RTCRtpReceiver__remote_streams.values()
            figures[f"{inlet.kind}_packets_received"] = sum(s.packets_received for s in streams)
            figures[f"{inlet.kind}_packets_lost"] = sum(s.packets_lost for s in streams)
            if streams:
                # The other ones carry what is sent again.
                main = max(streams, key=lambda s: s.packets_received)
                figures[f"{inlet.kind}_jitter_ms"] = 1000 * main.jitter / inlet.clock_rate
        for outlet in (self.audio_out, self.video_out):
            heard = None if outlet is None else outlet.heard
            if outlet is not None and heard is not None:
                figures[f"{outlet.kind}_sent_lost_percent"] = 100 * heard.fractionLost / 256
                if heard.roundTripTime is not None:
                    figures["round_trip_ms"] = 1000 * heard.roundTripTime
        transports = {id(t): t for t in self._transports()}.values()
        for transport in transports:
            for stats in transport._get_stats().values():
                figures["bytes_sent"] += stats.bytesSent
                figures["bytes_received"] += stats.bytesReceived
        return figures

    def _add(self, transceiver: Any, direction: Direction) -> None:
        kind: Kind = transceiver.kind
        transceiver.setCodecPreferences(_preferences(kind))
        transceiver.direction = direction
        outlet, inlet = Outlet(kind, transceiver), Inlet(kind, transceiver)
        if kind == "audio":
            self.audio_out, self.audio_in = outlet, inlet
        else:
            self.video_out, self.video_in = outlet, inlet

    async def _set_remote(self, text: str, kind: str) -> None:
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp=text, type=kind))
        except (
            ValueError,
            KeyError,
            IndexError,
            AttributeError,
            AssertionError,  # how aiortc refuses an m-line that it cannot parse
            InvalidStateError,
        ) as error:
            raise NegotiationError(
                f"the other side's {kind} cannot be used: {str(error) or 'malformed SDP'}"
            ) from error
        except OperationError as error:
            raise NegotiationError(
                f"the other side's {kind} has no codec in common with ours (Opus; H.264 or VP8)"
            ) from error

    def _transports(self) -> list[Any]:
        return [t.sender.transport for t in self._connection.getTransceivers()]

    def _hook_transports(self) -> None:
        for transport in self._transports():
            if getattr(transport, "_roomlet_tapped", False):
                continue
            transport._roomlet_tapped = True
            transport._send_rtp = partial(self._send_rtp, transport._send_rtp)
        addresses = self._addresses if self._addresses is not None else host_addresses()
        for ice in self._connection._RTCPeerConnection__iceTransports:
            connection = ice.iceGatherer._connection
            if getattr(connection, "_roomlet_addresses", False):
                continue
            connection._roomlet_addresses = True
            connection.get_component_candidates = partial(
                _gather, connection.get_component_candidates, tuple(addresses)
            )

    async def _send_rtp(self, send: Callable[[bytes], Any], data: bytes) -> None:
        if self.tap is not None:
            self.tap(data)
        await send(data)

    def _connection_changed(self) -> None:
        self._set_state(PeerState(self._connection.connectionState))

    def _set_state(self, state: PeerState) -> None:
        if state is self._state or self._state is PeerState.CLOSED:
            return
        self._state = state
        if state in (PeerState.CONNECTED, PeerState.FAILED, PeerState.CLOSED):
            self._connected.set()
        if self.on_state is not None:
            self.on_state(state)


def _preferences(kind: Kind) -> list[Any]:
    """Opus alone; H.264 (constrained baseline first), then VP8."""
    capabilities = RTCRtpSender.getCapabilities(kind).codecs

    def rank(codec: Any) -> int:
        mime = codec.mimeType.lower()
        if mime == "video/h264":
            return 0 if codec.parameters.get("profile-level-id") == "42e01f" else 1
        return {"audio/opus": 0, "video/vp8": 2, "video/rtx": 3}.get(mime, -1)

    return sorted((c for c in capabilities if rank(c) >= 0), key=rank)


def _complete(text: str) -> str:
    return text if text.endswith("\r\n") else text + "\r\n"


def _ice_server(entry: Mapping[str, Any]) -> RTCIceServer:
    return RTCIceServer(
        urls=entry["urls"],
        username=entry.get("username"),
        credential=entry.get("credential"),
    )


async def _connect(connect: Callable[[], Any]) -> None:
    try:
        await connect()
    except (InvalidStateError, ConnectionError) as error:
        log.debug("the connection ended while it was being made: %s", error)


async def _gather(gather: Any, own: Sequence[str], *, component: int, addresses: Any) -> Any:
    # What aioice found is of no account: nothing, on a machine whose only address is the loopback.
    return await gather(component=component, addresses=list(own))
