"""The sections of a configuration but those of its hardware: what each may say, and its defaults.

The text under each field is its description in the JSON Schema and in the commented example.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from appliance.provisioning.section import Section
from appliance.provisioning.values import (
    Address,
    CalendarUrl,
    Clock,
    CredentialName,
    FilePath,
    FolderUrl,
    HeaderName,
    HeaderValue,
    Host,
    HostPort,
    Interface,
    MailAddress,
    MetricsAddress,
    Name,
    Origin,
    ProxyUrl,
    PublicKeyText,
    RoomName,
    StunUrl,
    TokenUrl,
    TurnUrl,
    is_bare,
    is_loopback,
)


class RoomConfig(Section):
    """Which room, and what opens it.

    The token is in `token`, in `token_file`, in the systemd credential `token_credential`, asked
    of a web service at `token_url`, or of the hub's guest entrance with `guest = true`: one of
    them.
    """

    host: Host | None = None
    """The room server, `ws://HOST:PORT`, or a host name reached by TLS; the token may name it."""
    name: RoomName | None = None
    """The room; needed with `guest`, else the token tells it."""
    token: SecretStr | None = None
    """The room token itself; the file that says it should have mode 0600."""
    token_file: FilePath | None = None
    """A file with the token, mode 0600; a relative path begins at the folder of this file."""
    token_credential: CredentialName | None = None
    """The name of a systemd credential (`LoadCredential=`) that is the token."""
    token_url: TokenUrl | None = None
    """A web service that gives tokens, https; asked again before a token ends."""
    token_headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Further headers of a request to `token_url`."""
    token_secret_file: FilePath | None = None
    """A file with what `token_url` wants as `Authorization`, mode 0600; a word alone is a Bearer
    token."""
    token_secret_credential: CredentialName | None = None
    """The name of a systemd credential with the same."""
    token_ca_file: FilePath | None = None
    """The only certificates (PEM) that `token_url` is believed by; else those of the system."""
    guest: bool = False
    """Whether to come in through the hub's guest entrance instead of with a token."""
    user_name: Name = "Roomlet"
    """What the other members see, where the token does not tell."""

    @model_validator(mode="after")
    def _one_way_in(self) -> RoomConfig:
        ways = [self.token, self.token_file, self.token_credential, self.token_url]
        count = sum(way is not None for way in ways) + self.guest
        if count != 1:
            raise PydanticCustomError(
                "way_in",
                "needs only one of token, token_file, token_credential, token_url and guest = true"
                if count
                else "needs one of token, token_file, token_credential, token_url and guest = true",
            )
        if self.token_secret_file is not None and self.token_secret_credential is not None:
            raise PydanticCustomError(
                "way_in", "needs one of token_secret_file and token_secret_credential, not both"
            )
        if self.guest and (self.host is None or self.name is None):
            raise PydanticCustomError("way_in", "with guest = true needs host and name")
        if self.guest and not is_bare(self.host or ""):
            raise PydanticCustomError(
                "way_in",
                "with guest = true needs a host without a path: the entrance is at ws://HOST:PORT",
            )
        return self


class MuteConfig(Section):
    """How the device begins, and who may open what."""

    start_muted: bool = False
    """Whether the device comes into the room muted, until somebody there presses the button."""
    allow_remote_unmute: bool = False
    """Whether the server or a moderator may open what it closed; never what the room closed."""
    cover_microphone: bool = False
    """Whether the privacy cover closes the microphone as well as the camera."""
    stop_microphone_while_muted: bool = True
    """Whether the microphone is let go while it is muted."""
    stop_camera_while_muted: bool = True
    """Whether the camera is let go while it is muted."""


class PanelConfig(Section):
    """The device's local page."""

    enabled: bool = True
    """Whether there is one."""
    pin_file: FilePath | None = None
    """A file with a PIN or passphrase of 6 characters or more, mode 0600, that visitors give."""
    pin_credential: CredentialName | None = None
    """The name of a systemd credential (`LoadCredential=`) that is the PIN."""
    tls_cert: FilePath | None = None
    """The certificate with its chain (PEM) for https, with `tls_key`."""
    tls_key: FilePath | None = None
    """The certificate's key (PEM, not encrypted)."""
    client_ca: FilePath | None = None
    """Certificates (PEM) of which a visitor's browser has to show a descendant (mTLS)."""
    listen: Address = "127.0.0.1:8081"
    """Address and port; port 0 takes a free one.  Beyond this machine only with a PIN, or with
    `client_ca`."""
    frame_ancestors: list[Origin] = Field(default_factory=list)
    """Origins of the pages that may show the panel in a frame."""
    hosts: list[str] = Field(default_factory=list)
    """Further names under which the panel may be asked for."""
    qr: bool = False
    """Whether the screen shows its address as a QR code while the device is in no call."""

    @field_validator("listen")
    @classmethod
    def _guarded(cls, listen: str, info: ValidationInfo) -> str:
        ways = ("pin_file", "pin_credential", "client_ca")
        # A value that is wrong is missing here, and told by itself.
        known = all(name in info.data for name in (*ways, "enabled"))
        open_to_all = known and not any(info.data[name] is not None for name in ways)
        if open_to_all and info.data["enabled"] and not is_loopback(listen):
            raise PydanticCustomError(
                "unguarded",
                "reaches beyond this machine, so it needs pin_file, pin_credential, or client_ca"
                " with tls_cert and tls_key; or listen on 127.0.0.1",
            )
        return listen

    @model_validator(mode="after")
    def _whole(self) -> PanelConfig:
        if self.pin_file is not None and self.pin_credential is not None:
            raise PydanticCustomError(
                "way_in", "needs one of pin_file and pin_credential, not both"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise PydanticCustomError("way_in", "needs tls_cert and tls_key, or neither")
        if self.client_ca is not None and self.tls_cert is None:
            raise PydanticCustomError("way_in", "with client_ca needs tls_cert and tls_key")
        return self

    @property
    def has_pin(self) -> bool:
        """Whether visitors give a PIN."""
        return self.pin_file is not None or self.pin_credential is not None


class PolicyConfig(Section):
    """When the device is in its room."""

    auto_join: bool = True
    """Whether it goes there by itself at its start; else a press of the mute button calls it."""
    leave_empty_minutes: Annotated[int, Field(ge=0, le=1440)] = 0
    """Minutes alone in the room after which it leaves; 0 for never."""
    quiet_from: Clock | None = None
    """Local time, as in 19:00, from which it neither comes nor stays by itself."""
    quiet_until: Clock | None = None
    """Local time until which; before `quiet_from` it is one of the next day."""

    @model_validator(mode="after")
    def _whole(self) -> PolicyConfig:
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise PydanticCustomError("way_in", "needs quiet_from and quiet_until, or neither")
        return self


class UpdatesConfig(Section):
    """When the machine may be updated and restarted: while nobody is in a call, and then."""

    window_from: Clock | None = None
    """Local time, as in 02:00, from which an update may begin; any time if left out."""
    window_until: Clock | None = None
    """Local time until which one may begin; before `window_from` it is one of the next day."""
    reboot: Literal["when_idle", "never"] = "when_idle"
    """Whether the machine is restarted where an update asks for that."""

    @model_validator(mode="after")
    def _whole(self) -> UpdatesConfig:
        if (self.window_from is None) != (self.window_until is None):
            raise PydanticCustomError("way_in", "needs window_from and window_until, or neither")
        return self


class CalendarConfig(Section):
    """The calendar of the room, and what the device does about it; see calendar.md."""

    url: CalendarUrl | None = None
    """Where it is, https; none if left out.  Some services put a secret into it: mode 0600."""
    kind: Literal["ics", "caldav"] = "ics"
    """A file (`ics`), or a collection of a CalDAV server."""
    user: Name | None = None
    """Who asks for it; needs a password."""
    password_file: FilePath | None = None
    """A file with that user's password, mode 0600."""
    password_credential: CredentialName | None = None
    """The name of a systemd credential with the same."""
    ca_file: FilePath | None = None
    """The only certificates (PEM) that the server is believed by; else those of the system."""
    address: MailAddress | None = None
    """The mail address under which the room is invited; what it has declined is no meeting."""
    refresh_minutes: Annotated[int, Field(ge=1, le=1440)] = 5
    """Minutes between two looks; the wait grows while nobody answers."""
    auto_join: bool = True
    """Whether the device comes into its room when a meeting begins."""
    join_before_minutes: Annotated[int, Field(ge=0, le=60)] = 10
    """From how long before a meeting the screen asks for the press that joins it."""
    leave_after_minutes: Annotated[int, Field(ge=0, le=240)] = 5
    """Minutes after the end until it leaves, if it came for the meeting and is alone."""
    no_show_minutes: Annotated[int, Field(ge=0, le=240)] = 15
    """Minutes alone in a meeting after which that counts as ended; 0 for never."""
    release: bool = False
    """Whether a meeting that ended early is made shorter on the server; with `caldav` only."""
    show_titles: bool = True
    """Whether titles are shown; those of private events never are."""
    hosts: list[HostPort] = Field(default_factory=list)
    """Further names, `HOST` or `HOST:PORT`, under which people link to the room server."""

    @model_validator(mode="after")
    def _whole(self) -> CalendarConfig:
        ways = (self.password_file, self.password_credential)
        given = sum(way is not None for way in ways)
        if given > 1 or (given == 1) != (self.user is not None):
            raise PydanticCustomError(
                "way_in", "needs user with one of password_file and password_credential, or neither"
            )
        if self.release and self.kind != "caldav":
            raise PydanticCustomError("way_in", 'with release = true needs kind = "caldav"')
        return self


class NetworkConfig(Section):
    """How the room's media find this device, where the room server's own hints do not do."""

    stun_url: StunUrl | None = None
    """The server that tells the device its public address, `stun:HOST:PORT`; with it or `turn_url`,
    those that the room server names are not asked."""
    turn_url: TurnUrl | None = None
    """The relay, `turn:HOST:PORT?transport=udp` (or `tcp`), or `turns:HOST:PORT` over TLS."""
    turn_user: Name | None = None
    """Who asks for it; needed with `turn_url`, and a password too."""
    turn_password_file: FilePath | None = None
    """A file with that user's password, mode 0600."""
    turn_password_credential: CredentialName | None = None
    """The name of a systemd credential with the same."""
    interfaces: list[Interface] = Field(default_factory=list)
    """Names of network interfaces, or addresses of this machine, by which alone media go; any of
    them while none of these has an address."""

    @model_validator(mode="after")
    def _whole(self) -> NetworkConfig:
        ways = (self.turn_password_file, self.turn_password_credential)
        given = sum(way is not None for way in ways)
        relay = self.turn_url is not None
        if given != relay or (self.turn_user is not None) != relay:
            raise PydanticCustomError(
                "way_in",
                "needs turn_url, turn_user and one of turn_password_file and"
                " turn_password_credential, or none of them",
            )
        return self


class MetricsConfig(Section):
    """Figures for Prometheus."""

    listen: MetricsAddress | None = None
    """Address and port, as in 127.0.0.1:9464, or unix:/run/roomlet/metrics.sock; none if left
    out."""


class LogConfig(Section):
    """How much is told."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are told."""


class ProbeConfig(Section):
    """Measurements on the running device."""

    enabled: bool = False
    """Whether to measure; the panel tells the outcome at /api/report."""
    tones: list[Annotated[float, Field(ge=50, le=20_000)]] = Field(default_factory=list)
    """Frequencies in Hz of the tones of other devices, to be listened for."""


class ProvisioningConfig(Section):
    """Where new configurations come from, and how one is tried."""

    urls: list[FolderUrl] = Field(default_factory=list, max_length=8)
    """Folders of the fleet's files on web servers, https; tried in this order."""
    discover: list[Literal["dhcp", "dns"]] = Field(default_factory=list)
    """Further ways to find such a folder: `dhcp` (options 160 and 66), `dns` (SRV records)."""
    public_key: PublicKeyText | None = None
    """The minisign key that signs the fleet's files; needed with `urls`, `discover` and `usb`."""
    ca_file: FilePath | None = None
    """The only certificates (PEM) that servers are believed by; else those of the system."""
    proxy: ProxyUrl | None = None
    """The proxy to the web servers, `http://HOST:PORT`."""
    usb: bool = False
    """Whether signed files on a USB stick are taken."""
    interval: Annotated[int, Field(ge=60, le=604_800)] = 900
    """Seconds between two looks at the web servers; the wait grows while none answers."""
    probation: Annotated[int, Field(ge=10, le=3600)] = 90
    """Seconds in which a new configuration has to lead to a working device."""

    @model_validator(mode="after")
    def _signed(self) -> ProvisioningConfig:
        if (self.urls or self.discover or self.usb) and self.public_key is None:
            raise PydanticCustomError(
                "way_in", "with urls, discover or usb needs public_key; see roomlet provision keys"
            )
        return self
