"""Films to play, and a server to play them from."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import AudioFrame

from hal.camera.scene import Scene

CAMERA = 9
RATE = 20
TONES = (600.0, 800.0, 1000.0, 1200.0, 1400.0, 1600.0)
"""What is heard in each second."""


def make_film(path: Path, seconds: int = 4, *, width: int = 320, height: int = 180) -> Path:
    """Scenes whose clock is the time in the film, and another tone each second."""
    scene = Scene(CAMERA, width, height)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        video.width, video.height = width, height
        video.bit_rate = 800_000
        video.codec_context.gop_size = RATE * 2
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        for n in range(seconds * RATE):
            frame = scene.draw(n, 1000 * n // RATE)
            frame.pts, frame.time_base = n, Fraction(1, RATE)
            container.mux(video.encode(frame))
            container.mux(audio.encode(tone(n * 48_000 // RATE, 48_000 // RATE)))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def with_old_title(path: Path) -> Path:
    """The file again, in another one of its kind, with a title in Latin-1."""
    titled = path.with_stem(f"{path.stem}-titled")
    with av.open(str(path)) as source, av.open(str(titled), "w") as container:
        container.metadata["title"] = "Xxx-title"
        streams = [container.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                container.mux(packet)
    data = titled.read_bytes()
    assert b"Xxx-title" in data
    titled.write_bytes(data.replace(b"Xxx-title", "März-Film".encode("latin-1")))
    return titled


def make_sound(path: Path, seconds: int = 2, frequency: float | None = None) -> Path:
    """The tones of each second, or one tone."""
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for n in range(seconds * 50):
            container.mux(audio.encode(tone(n * 960, 960, frequency)))
        container.mux(audio.encode(None))
    return path


def tone(start: int, count: int, frequency: float | None = None) -> AudioFrame:
    at = np.arange(start, start + count) / 48_000
    turns = (frequency or TONES[start // 48_000]) * at
    samples = np.rint(8000 * np.sin(2 * np.pi * turns)).astype(np.int16)
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
    return frame


class FileServer(ThreadingHTTPServer):
    """Serves the files of a folder, with ranges as players want them.

    `stall_after` is how many bytes it gives before it falls silent; `ranges` whether it knows
    them.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.ranges = True
        self.polite = True
        self.stall_after: int | None = None
        self.closing = threading.Event()

    def url(self, name: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.server_address[1]}/{name}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Players hang up when they have enough."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        begin = 0
        asked = self.headers.get("Range", "")
        if self.server.ranges and asked.startswith("bytes="):
            begin = int(asked[6:].split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - begin))
        if self.server.polite:
            self.send_header("Connection", "close")
        self.end_headers()
        end = len(data) if self.server.stall_after is None else self.server.stall_after
        self.wfile.write(data[begin:end])
        if end < len(data):
            self.wfile.flush()
            self.server.closing.wait(60)
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def file_server(folder: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[FileServer]:
    server = FileServer(folder)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
