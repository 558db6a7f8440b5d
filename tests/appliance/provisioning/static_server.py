"""A server of plain files over TLS, with faults that can be switched on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import ipaddress
import ssl
from collections import Counter
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority of one's own, and certificates for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA of {folder.name}")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            self._builder(self._name, self._key.public_key(), now, days=3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self._folder = folder
        self.file: Final = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *, days: int = 30) -> ssl.SSLContext:
        """What a server needs; with fewer than 0 days its certificate has ended."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(f"server-{days}", days=days))
        return context

    def issue(self, file: str, *, days: int = 30) -> Path:
        """A key and its certificate, in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "files")])
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            self._builder(name, key.public_key(), now, days=days)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = self._folder / f"{file}.pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return pem

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, *, days: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
        )


class StaticServer:
    """Serves the files of a folder as they are at each request.

    `sent` counts the answers with content, by name, and `sent_to` by user and name; `asked` counts
    all requests.  `statuses` makes a name answer with another status.  A name in `endless` has
    50 MiB; with `modified_only` there are no ETags.  `more` are headers of every answer.
    """

    def __init__(self, folder: Path, context: ssl.SSLContext) -> None:
        self.folder: Final = folder
        self.sent: Counter[str] = Counter()
        self.sent_to: Counter[tuple[str, str]] = Counter()
        self.asked: Counter[str] = Counter()
        self.statuses: dict[str, int] = {}
        self.endless: set[str] = set()
        self.modified_only = False
        self.more: dict[str, str] = {}
        self.stop_after: int | None = None
        """Requests until it vanishes, in the middle of an answer."""
        self.endless_bytes = 0
        self._context = context
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"https://127.0.0.1:{self.port}/fleet/"

    async def start(self) -> None:
        """Listen, at the same port if it did before."""
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=self._context, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Vanish."""
        if self._server is not None:
            self._server.close()
            self._server = None
        mine = asyncio.current_task()
        others = [task for task in self._tasks if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def __aenter__(self) -> StaticServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # A client that goes away is no fault.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        name = first.split()[1].removeprefix("/fleet/")
        user = base64.b64decode(headers.get("authorization", "").removeprefix("Basic ")).decode()
        self.asked[name] += 1
        if self.stop_after is not None and sum(self.asked.values()) >= self.stop_after:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[room]\nho")
            await writer.drain()
            await self.stop()
            return False
        path = self.folder / name
        status = self.statuses.get(name, 200 if path.is_file() else 404)
        body = path.read_bytes() if status == 200 and path.is_file() else b""
        answer = {"Content-Length": str(len(body))}
        if status == 200:
            if self.modified_only:
                answer["Last-Modified"] = _date(path)
                same = headers.get("if-modified-since") == _date(path)
            else:
                answer["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                same = headers.get("if-none-match") == answer["ETag"]
            if name in self.endless:
                return await self._pour(name, writer)
            if same:
                status, body = 304, b""
                del answer["Content-Length"]
            else:
                self.sent[name] += 1
                self.sent_to[user, name] += 1
        answer |= self.more
        if 300 <= status < 400 and status != 304:
            answer["Location"] = f"{self.url}{name}"
        text = "".join(f"{key}: {value}\r\n" for key, value in answer.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{text}\r\n".encode() + body)
        await writer.drain()
        return True

    async def _pour(self, name: str, writer: asyncio.StreamWriter) -> bool:
        """Fifty mebibytes, for whoever takes them."""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {50 * 2**20}\r\n\r\n".encode())
        for _ in range(50 * 16):
            writer.write(b"# " + b"x" * 65_534)
            await writer.drain()
            self.endless_bytes += 65_536
        return False


def _date(path: Path) -> str:
    moment = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
