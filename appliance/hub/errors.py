"""What can go wrong with the room server.

::

    HubError
    +-- ListenError    (OSError)      the address cannot be listened on
    +-- DataError      (OSError)      the data directory cannot be used
    +-- StoreError                    the database cannot be read or written just now
    +-- SettingError   (ValueError)   a setting that cannot be
    +-- TokenError     (ValueError)   a token that is not accepted
    |   +-- TokenMalformed            no token of ours at all
    |   +-- TokenForged               its signature is not ours
    |   +-- TokenExpired              its time to join is over
    |   +-- TokenEarly                its time to join has not come
    +-- RecordingError                a recording that cannot go on (`recorder`)
    +-- PlaybackError                 a playback that cannot do that now (`player`)
    +-- FilmError                     a film that cannot be read (`film`)
    +-- UrlError       (ValueError)   an address that may not be opened (`urls`)
    +-- Refused                       a request that is answered with a code and a reason

Every message is one line with cause and remedy. None holds a token or a key.
"""

from __future__ import annotations

from typing import Final


class HubError(Exception):
    """Any failure of the room server."""


class ListenError(HubError, OSError):
    """The address cannot be listened on."""


class DataError(HubError, OSError):
    """The data directory cannot be used."""


class StoreError(HubError):
    """The hub's database cannot be read or written just now."""


class SettingError(HubError, ValueError):
    """A setting is wrong, such as a certificate that cannot be read."""


class TokenError(HubError, ValueError):
    """A room token is not accepted."""


class TokenMalformed(TokenError):
    """It is no room token."""


class TokenForged(TokenError):
    """It was signed with another key, or changed after it was signed."""


class TokenExpired(TokenError):
    """Its time to join is over."""


class TokenEarly(TokenError):
    """Its time to join has not come yet."""


class Refused(HubError):
    """A request that the caller may not make, or that names what is not there.

    `code` is a text of three digits, as it goes on the wire.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code: Final = code
        self.message: Final = message
