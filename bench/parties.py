"""The processes of `hub_scale.py`: a hub that tells about itself, and members of its room.

Each says one line of JSON when it is ready, and one for each line of its input, until that ends:

    python bench/parties.py hub DATA
    python bench/parties.py load URL DATA
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import psutil

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from canvas import HEIGHT, LOOP, RATE, WIDTH, Source  # noqa: E402

from appliance.hub import keys as keyring  # noqa: E402
from appliance.hub.config import HubConfig  # noqa: E402
from appliance.hub.server import HubServer  # noqa: E402
from appliance.hub.stage import Stage  # noqa: E402
from appliance.media.opus import OpusEncoder  # noqa: E402
from appliance.media.packet import Encoded, MediaPacket, packetize  # noqa: E402
from appliance.media.peer import Peer  # noqa: E402
from appliance.media.video_encoder import VideoEncoder  # noqa: E402
from appliance.signaling import verto  # noqa: E402
from tests.appliance.hub.hub_client import Client, token  # noqa: E402
from tests.appliance.media.conftest import tone  # noqa: E402

BITRATE = 1_500_000
FILM_SECONDS = 2

KINDS = {"video-decoder": "decode", "canvas": "canvas", "mixer": "mixer", "MainThread": "loop"}
"""What the hub's threads do, by the beginnings of their names."""


# The hub's process


async def be_hub(data: Path) -> None:
    """A hub that tells about itself: a line of JSON for each line of input, until that ends."""
    config = HubConfig(listen="127.0.0.1:0", data=data, open_rooms=("bench",))
    server = HubServer(config, environment={})
    await server.start()
    lags: list[float] = []
    watch = asyncio.create_task(watch_loop(lags))

    def report() -> dict[str, Any]:
        threads = {one.native_id: one.name for one in threading.enumerate()}
        spent: dict[str, float] = {}
        for one in psutil.Process().threads():
            name = threads.get(one.id, "")
            kind = next((k for start, k in KINDS.items() if name.startswith(start)), "rest")
            spent[kind] = spent.get(kind, 0.0) + one.user_time + one.system_time
        room = server.rooms.get("bench")
        figures: dict[str, Any] = {"at": time.monotonic(), "spent": spent}
        if room is not None and isinstance(room.stage, Stage):
            stats = room.stage.canvas.stats
            figures |= {
                "frames": stats.frames,
                "compose_ms": stats.scale_ms + stats.paste_ms,
                "encode_ms": stats.encode_ms,
            }
        figures["lag_p99_ms"] = 1000 * statistics.quantiles([0.0, 0.0, *lags], n=100)[-1]
        figures["lag_worst_ms"] = 1000 * max(lags, default=0.0)
        lags.clear()
        memory = psutil.Process().memory_full_info()
        return {**figures, "pss_mib": memory.pss / 2**20}

    await converse({"url": server.url}, lambda _order: answer(report()))
    watch.cancel()
    await server.stop()


async def answer(figures: dict[str, Any]) -> dict[str, Any]:
    return figures


async def watch_loop(lags: list[float]) -> None:
    """Note by how much the loop is late, fifty times a second."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.02)
        lags.append(max(0.0, time.perf_counter() - began - 0.02))


# A load generator's process


@dataclass(frozen=True)
class Film:
    """Two seconds that can be repeated without end, encoded and cut into packets."""

    pictures: list[Encoded]
    sound: list[Encoded]

    @classmethod
    def shoot(cls) -> Self:
        source, encoder = Source(1), VideoEncoder("h264", WIDTH, HEIGHT, RATE, BITRATE)
        pictures = []
        for number in range(FILM_SECONDS * RATE):
            frame = source.pictures[number % LOOP]
            frame.pts, frame.time_base = number * 3000, Fraction(1, 90_000)
            pictures.append(packetize(encoder.encode(frame, keyframe=number == 0), "h264"))
        encoder.close()
        opus = OpusEncoder()
        # 500 Hz has whole periods in a packet.
        sound = [packetize(opus.encode(tone(500.0, start=n * 960)), "opus") for n in range(50)]
        return cls(pictures, sound)


class Load:
    """Some members of the room."""

    def __init__(self, url: str, data: Path) -> None:
        self._hub: Any = SimpleNamespace(
            websocket_url="ws" + url.removeprefix("http"), keys=keyring.load(data, {})
        )
        self._clients: list[Client] = []
        self._peers: list[Peer] = []
        self._senders: list[Peer] = []
        self._sending: asyncio.Task[None] | None = None
        self.sent = 0
        self.shown: list[int] = []

    async def join(self, count: int, role: str) -> None:
        """Bring members in: ``both`` ways, ``send`` only, or as an audience that will ``watch``."""
        for _ in range(count):
            join_as = "audience" if role == "watch" else "member"
            jwt = token(self._hub, "bench", user_name=f"Member {len(self._peers)}", join_as=join_as)
            client = await Client.connect(self._hub, jwt)
            direction = {"both": "sendrecv", "send": "sendonly", "watch": "recvonly"}[role]
            peer = Peer(addresses=("127.0.0.1",))
            offer = await peer.offer(direction, direction)  # type: ignore[arg-type]
            await client.verto(verto.invite(client.call_id, offer))
            await peer.accept((await client.verto_event("verto.answer"))["sdp"])
            await peer.wait_connected()
            self._clients.append(client)
            self._peers.append(peer)
            if role != "watch":
                self._senders.append(peer)
            if role != "send":
                self._count(peer)
        if self._senders:
            self._sending = asyncio.create_task(self._send(Film.shoot()))

    def _count(self, peer: Peer) -> None:
        at = len(self.shown)
        self.shown.append(0)

        def arrived(packet: MediaPacket) -> None:
            self.shown[at] += packet.marker

        assert peer.video_in is not None
        peer.video_in.on_packet = arrived

    async def _send(self, film: Film) -> None:
        """Every sender's pictures, one sender after the other within the time of a picture."""
        tasks = [
            asyncio.create_task(self._play(peer, number / len(self._senders), film))
            for number, peer in enumerate(self._senders)
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _play(self, peer: Peer, phase: float, film: Film) -> None:
        video, audio = peer.video_out, peer.audio_out
        assert video is not None
        assert audio is not None
        began, beat, picture = time.monotonic() + phase / RATE, 0, 0
        # Each is at another place of the film, so that keyframes do not come all at once.
        ahead = round(phase * len(film.pictures))
        while True:
            due = min(beat / 50, picture / RATE)
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            if beat / 50 <= due:
                audio.send(replace(film.sound[beat % 50], timestamp=beat * 960))
                beat += 1
            if picture / RATE <= due:
                frame = film.pictures[(picture + ahead) % len(film.pictures)]
                video.send(replace(frame, timestamp=picture * 3000))
                picture += 1
                self.sent += 1

    def report(self) -> dict[str, Any]:
        times = psutil.Process().cpu_times()
        return {
            "at": time.monotonic(),
            "spent": times.user + times.system,
            "sent": self.sent,
            "senders": len(self._senders),
            "shown": list(self.shown),
        }

    async def leave(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        for client in self._clients:
            await client.close()
        for peer in self._peers:
            await peer.close()


async def be_load(url: str, data: Path) -> None:
    """Members of the room: an order of how many brings them, any other line asks how they do."""
    load = Load(url, data)

    async def act(order: dict[str, Any]) -> dict[str, Any]:
        if "join" in order:
            await load.join(order["join"], order["role"])
        return load.report()

    await converse({"ready": True}, act)
    await load.leave()


async def converse(
    first: dict[str, Any], act: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
) -> None:
    """Say `first`, then answer each line of the input, until that ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps(first), flush=True)
    while line := await reader.readline():
        print(json.dumps(await act(json.loads(line))), flush=True)


def main(role: str, *arguments: str) -> None:
    if role == "hub":
        asyncio.run(be_hub(Path(arguments[0])))
    else:
        asyncio.run(be_load(arguments[0], Path(arguments[1])))


if __name__ == "__main__":
    main(*sys.argv[1:])
