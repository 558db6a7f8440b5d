"""What can go wrong between a device and the wire.

::

    MediaError
    +-- NegotiationError  (ValueError)       an offer or answer that cannot be used
    +-- TransportError    (ConnectionError)  no path to the other side
    +-- CodecError        (ValueError)       a picture or sound that no codec takes
"""


class MediaError(Exception):
    """Any failure of the media path; its text is one line with cause and remedy."""


class NegotiationError(MediaError, ValueError):
    """The other side's SDP is malformed, or nothing in it can be used here."""


class TransportError(MediaError, ConnectionError):
    """No way was found to carry media to the other side."""


class CodecError(MediaError, ValueError):
    """The codec refused its parameters or its input."""
