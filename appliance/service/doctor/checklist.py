"""All that is tried, in the order in which people read it."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from appliance.provisioning import Config, ConfigError, ProvisioningError
from appliance.provisioning.options import check_options
from appliance.provisioning.showing import MASK
from appliance.provisioning.web import tls_context
from appliance.service import hardware
from appliance.service.doctor.calendar import look_at_calendar
from appliance.service.doctor.camera import look_at_camera
from appliance.service.doctor.check import (
    Check,
    Finding,
    Outcome,
    Verdict,
    examine,
    failure,
    ok,
    skipped,
    warn,
)
from appliance.service.doctor.controls import look_at_controls
from appliance.service.doctor.machine import (
    KernelClock,
    kernel_clock,
    look_at_clock,
    look_at_disk,
    look_at_temperature,
    look_at_throttling,
)
from appliance.service.doctor.network import (
    Server,
    look_at_certificate,
    look_at_name,
    look_at_route,
)
from appliance.service.doctor.panel import look_at_panel
from appliance.service.doctor.person import Person
from appliance.service.doctor.room import look_at_hub, look_at_media
from appliance.service.doctor.sound import look_at_microphone, look_at_speaker
from appliance.service.journal import SHORTEST
from appliance.service.named_files import look_at_secrets
from appliance.service.secrecy import secrets_of
from appliance.signaling.token import websocket_url
from hal.camera import VideoFormat

WITH_PERSON: Final = 180.0
"""Seconds for a check in which somebody is asked."""

Settings: TypeAlias = Config | ConfigError | ProvisioningError
"""A configuration, or why there is none."""

_Look = Callable[[Config], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Patient:
    """A device to be examined."""

    config: Settings
    person: Person | None = None
    """Who can be asked; nobody."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the running service says of itself (`state_file`); empty where there is none."""
    root: Path = Path("/")
    """Where the machine's files are."""
    clock: Callable[[], KernelClock] = kernel_clock
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs


async def examination(patient: Patient) -> AsyncIterator[Outcome]:
    """Try one thing after the other: what runs beside would spoil what is measured.

    No secret of the configuration is in what comes out.
    """
    secrets = _secrets(patient.config)
    for check in checks(patient):
        outcome = await examine(check, in_service=bool(patient.state))
        yield replace(outcome, finding=_masked(outcome.finding, secrets))


GLANCE: Final = frozenset(
    {"configuration", "clock", "name", "route", "certificate", "disk", "temperature", "throttling"}
)
"""What can be looked at beside a device in use: nothing is opened, played or called."""

GLANCE_S: Final = 5.0
"""Seconds that each of these may take then."""


async def glance(patient: Patient) -> AsyncIterator[Outcome]:
    """What can be told while a device is in use, all at once; else as `examination`."""
    secrets = _secrets(patient.config)
    wanted = [
        replace(check, deadline=min(check.deadline, GLANCE_S))
        for check in checks(patient)
        if check.name in GLANCE
    ]
    for outcome in await asyncio.gather(*(examine(check) for check in wanted)):
        yield replace(outcome, finding=_masked(outcome.finding, secrets))


def checks(patient: Patient) -> Iterator[Check]:
    """Everything to try."""
    person, root = patient.person, patient.root
    patience = 20.0 if person is None else WITH_PERSON

    def device(name: str, look: _Look, deadline: float = 20.0) -> Check:
        return Check(name, partial(_with_config, patient.config, look), deadline)

    yield Check("configuration", partial(_look_at_configuration, patient.config))
    yield device("camera", partial(_noted, _camera))
    yield device("microphone", partial(_noted, _microphone))
    yield device("speaker", partial(_noted, partial(_speaker, person)), patience)
    yield device("controls", partial(_noted, partial(_controls, person)), patience)
    yield Check("clock", partial(look_at_clock, patient.clock))
    yield device("name", lambda config: look_at_name(_server(config)), 10.0)
    yield device("route", lambda config: look_at_route(_server(config)), 10.0)
    yield device("certificate", lambda config: look_at_certificate(_server(config)))
    yield device("hub", look_at_hub, 25.0)
    yield device("media", partial(look_at_media, state=patient.state), 60.0)
    yield from _web_servers(patient.config)
    if isinstance(patient.config, Config) and patient.config.calendar.url is not None:
        yield device("calendar", look_at_calendar, 120.0)
    if isinstance(patient.config, Config) and _has_door(patient.config):
        yield device("panel", look_at_panel, 10.0)
    yield Check("disk", partial(look_at_disk, root, patient.statvfs))
    yield Check("temperature", partial(look_at_temperature, root))
    yield Check("throttling", partial(look_at_throttling, root))


async def _look_at_configuration(config: Settings) -> Finding:
    if not isinstance(config, Config):
        return failure(config)
    check_options(config)
    look_at_secrets(config)
    token = config.read_token()
    return ok("it is whole" if token is None else "it is whole, and its token can be read")


def _has_door(config: Config) -> bool:
    """Whether anything keeps visitors from the panel."""
    panel = config.panel
    return panel.enabled and (panel.has_pin or panel.tls_cert is not None)


async def _with_config(config: Settings, look: _Look) -> Finding:
    if not isinstance(config, Config):
        return skipped("nobody knows before the configuration is whole")
    return await look(config)


async def _noted(look: _Look, config: Config) -> Finding:
    """A device that is not the one that one would expect is no failure, but no success."""
    with hardware.noting() as notes:
        finding = await look(config)
    if notes and finding.verdict is Verdict.OK:
        return warn("; ".join(notes), "plug it in, or name its backend in the configuration")
    return finding


def _camera(config: Config) -> Awaitable[Finding]:
    wanted = VideoFormat(config.camera.width, config.camera.height, config.camera.rate)
    return look_at_camera(partial(hardware.camera, config), wanted, config.camera.bitrate)


def _microphone(config: Config) -> Awaitable[Finding]:
    return look_at_microphone(partial(hardware.microphone, config))


def _speaker(person: Person | None, config: Config) -> Awaitable[Finding]:
    speaker, microphone = partial(hardware.speaker, config), partial(hardware.microphone, config)
    return look_at_speaker(speaker, microphone, person, config.speaker.volume)


def _controls(person: Person | None, config: Config) -> Awaitable[Finding]:
    return look_at_controls(partial(hardware.controls, config), person)


def _server(config: Config) -> Server:
    """Where the device's room is; a token may name the host itself."""
    try:
        token = config.read_token() or ""
    except ConfigError:
        token = ""
    return Server.of(websocket_url(config.room.host, token))


def _web_servers(config: Settings) -> Iterator[Check]:
    """Those that tokens and configurations come from."""
    if not isinstance(config, Config):
        return
    room, fleet = config.room, config.provisioning
    wanted = [] if room.token_url is None else [(room.token_url, room.token_ca_file)]
    if fleet.proxy is None:
        wanted += [(url, fleet.ca_file) for url in fleet.urls]
    for server, authority in dict.fromkeys((Server.of(url), file) for url, file in wanted):
        trusted: Callable[[], ssl.SSLContext] = partial(tls_context, authority)
        yield Check(f"certificate of {server.host}", partial(look_at_certificate, server, trusted))


def _masked(finding: Finding, secrets: Iterable[str]) -> Finding:
    text, remedy = finding.text, finding.remedy
    for secret in secrets:
        text, remedy = text.replace(secret, MASK), remedy.replace(secret, MASK)
    return replace(finding, text=text, remedy=remedy)


def _secrets(config: Settings) -> list[str]:
    """The longest first."""
    known = secrets_of(config) if isinstance(config, Config) else ()
    return sorted({one for one in known if len(one) >= SHORTEST}, key=len, reverse=True)
