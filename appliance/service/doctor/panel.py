"""The panel's door: can the PIN be read, and how long do the certificates last?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cryptography import x509

from appliance.panel import Tls, TlsError
from appliance.provisioning import Config
from appliance.provisioning.values import is_loopback
from appliance.service.doctor.check import Finding, Verdict, fail, ok, warn
from appliance.service.doctor.network import look_at_dates

_RENEW: Final = "put a new one there, then: systemctl reload roomlet"
_OTHERS: Final = 0o007
"""The bits of a mode that let everybody at a file."""


async def look_at_panel(
    config: Config, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
) -> Finding:
    """What keeps strangers out, looked at in the files; who serves it is not asked.  Raises
    ConfigError."""
    panel = config.panel
    ways = ["a PIN"] if config.read_pin() is not None else []
    ways += [] if panel.client_ca is None else ["client certificates"]
    text = f"{panel.listen} with {' and '.join(ways)}" if ways else f"{panel.listen}, for everybody"
    if panel.pin_file is not None and panel.pin_file.stat().st_mode & _OTHERS:
        return warn(
            f"{panel.pin_file} can be read by everybody here", f"chmod 600 {panel.pin_file}"
        )
    if panel.tls_cert is None or panel.tls_key is None:
        if not is_loopback(panel.listen):
            remedy = "give panel.tls_cert and panel.tls_key"
            return warn(f"{text}: the network can read along", remedy)
        return ok(text)
    tls = Tls(panel.tls_cert, panel.tls_key, panel.client_ca)
    try:
        tls.options()
    except TlsError as error:
        reason, _, remedy = str(error).partition("; ")
        return fail(f"panel.{error.key}: {reason}", remedy)
    found = list(_certificates(config, tls, now()))
    for verdict in (Verdict.FAIL, Verdict.WARN):
        for finding in found:
            if finding.verdict is verdict:
                return finding
    return ok(f"{text}; {found[0].text}")


def _certificates(config: Config, tls: Tls, moment: dt.datetime) -> Iterator[Finding]:
    shown = _read(tls.cert)[0]
    yield look_at_dates(tls.cert, shown, moment, _RENEW)
    for authority in [] if tls.client_ca is None else _read(tls.client_ca):
        yield look_at_dates(tls.client_ca, authority, moment, _RENEW)
    if tls.key.stat().st_mode & _OTHERS:
        yield warn(f"{tls.key} can be read by everybody here", f"chmod 640 {tls.key}")
    known = _names(shown)
    for host in config.panel.hosts:
        if known and host.lower() not in known:
            remedy = "have one made for all of panel.hosts"
            yield warn(f"{tls.cert} is not for {host}, so browsers refuse it there", remedy)


def _read(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def _names(certificate: x509.Certificate) -> set[str]:
    """The names that it is for; none where a pattern among them makes that hard to say."""
    try:
        kind = x509.SubjectAlternativeName
        names = certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return set()
    found = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    found |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return set() if any("*" in name for name in found) else found
