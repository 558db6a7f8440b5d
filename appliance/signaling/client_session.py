"""What a client knows of its session, and what brings it back on another socket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["ClientSession", "Resume"]

#: The version of the protocol that video room tokens are for.
VERSION: Final = {"major": 3, "minor": 0, "revision": 0}


@dataclass(frozen=True, slots=True)
class Resume:
    """What a later connection needs to be the same session. Both are opaque, and secret."""

    protocol: str
    authorization_state: str | None = None


class ClientSession:
    """The token, the server's last answer to it, and the name of the session."""

    def __init__(self, token: str, resume: Resume | None = None) -> None:
        #: The token of the next ``signalwire.connect``.
        self.token = token
        #: The result of the last accepted connect or reauthenticate; empty before the first.
        self.result: dict[str, Any] = {}
        #: The name under which the server knows the session; None before it is known.
        self.protocol = resume.protocol if resume else None
        #: What the server sent to be given back at the next connect.
        self.authorization_state = resume.authorization_state if resume else None

    @property
    def authorization(self) -> dict[str, Any]:
        """What the server grants: permissions, the room, expiry. Empty before it is known."""
        value = self.result.get("authorization")
        return value if isinstance(value, dict) else {}

    @property
    def ice_servers(self) -> list[dict[str, Any]]:
        """STUN and TURN servers that the server offers."""
        value = self.result.get("ice_servers")
        return [s for s in value if isinstance(s, dict)] if isinstance(value, list) else []

    @property
    def expires_at(self) -> float | None:
        """When the authorization ends, in seconds of the epoch; None when it does not."""
        return _timestamp(self.authorization.get("expires_at"))

    @property
    def resume(self) -> Resume | None:
        """What continues this session on a later connection; None where there is nothing."""
        if not self.protocol or not self._resumable(self.protocol):
            return None
        return Resume(self.protocol, self.authorization_state)

    def connect_params(self, agent: str) -> dict[str, Any]:
        """The params of ``signalwire.connect``: they resume the session where that is possible."""
        params: dict[str, Any] = {
            "version": VERSION,
            "event_acks": True,
            "agent": agent,
            "authentication": {"jwt_token": self.token},
        }
        if (resume := self.resume) is not None:
            params["protocol"] = resume.protocol
            if resume.authorization_state is not None:
                params["authorization_state"] = resume.authorization_state
        return params

    def adopt(self, result: dict[str, Any]) -> None:
        """Take the server's answer for what is known."""
        self.result = result
        protocol = result.get("protocol")
        self.protocol = protocol if isinstance(protocol, str) and protocol else None

    def drop(self) -> None:
        """Nothing remains to resume."""
        self.protocol = self.authorization_state = None

    def _resumable(self, protocol: str) -> bool:
        signature = self.authorization.get("signature")
        if not isinstance(signature, str):
            # Nothing to compare with: a session of an earlier process, or a sparing server.
            return True
        parts = protocol.split("_")
        return len(parts) > 1 and parts[1] == signature


def _timestamp(value: Any) -> float | None:
    """Seconds of the epoch, from a number or an ISO 8601 date; None for anything else."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
