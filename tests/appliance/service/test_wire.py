from __future__ import annotations

import struct

import numpy as np

from appliance.media.opus import FRAME, OpusEncoder, Samples
from appliance.service.wire import SentSound, audio_ssrc, rtp_payload
from hal.audio.spectrum import rms_dbfs

OFFER = "v=0\r\nm=video 9 X 97\r\na=ssrc:7 cname:x\r\nm=audio 9 X 96\r\na=ssrc:42 cname:x\r\n"
TONE = (8000 * np.sin(2 * np.pi * 1000 * np.arange(FRAME) / 48_000)).astype(np.int16)
SILENCE = np.zeros(FRAME, np.int16)


def rtp(payload: bytes, *, ssrc: int = 42, first: int = 0x80, extra: bytes = b"") -> bytes:
    return struct.pack("!BBHII", first, 96, 1, 960, ssrc) + extra + payload


def test_the_ssrc_of_the_sound_is_found() -> None:
    assert audio_ssrc(OFFER) == 42
    assert audio_ssrc("v=0\r\nm=audio 9 X 96\r\n") is None


def test_payloads_are_cut_out_of_every_shape_of_packet() -> None:
    assert rtp_payload(rtp(b"sound"), 42) == b"sound"
    csrc = rtp(b"sound", first=0x82, extra=bytes(8))
    assert rtp_payload(csrc, 42) == b"sound"
    extension = rtp(b"sound", first=0x90, extra=struct.pack("!HH", 0xBEDE, 2) + bytes(8))
    assert rtp_payload(extension, 42) == b"sound"
    padded = rtp(b"sound" + b"\0\0\3", first=0xA0)
    assert rtp_payload(padded, 42) == b"sound"


def test_what_is_not_our_sound_is_left_alone() -> None:
    assert rtp_payload(rtp(b"picture", ssrc=7), 42) is None
    assert rtp_payload(rtp(b"sound"), None) is None
    assert rtp_payload(b"\x80\xc8" + bytes(20), 0) is None  # an RTCP sender report
    assert rtp_payload(b"\x80", 42) is None
    assert rtp_payload(rtp(b""), 42) is None


def send(sent: SentSound, encoder: OpusEncoder, samples: Samples, times: int) -> None:
    for _ in range(times):
        sent.sent(rtp(bytes(encoder.encode(samples))))


def test_audible_packets_are_counted_and_dated() -> None:
    sent, encoder = SentSound(), OpusEncoder()
    sent.begin(OFFER)
    send(sent, encoder, SILENCE, 5)
    assert (sent.packets, sent.audible, sent.last_audible) == (5, 0, None)
    send(sent, encoder, TONE, 5)
    assert sent.audible >= 4
    last = sent.last_audible
    encoder.reset()
    # The first of them has the end of the tone in a decoder that goes on from it.
    send(sent, encoder, SILENCE, 11)
    assert sent.last_audible == last
    assert sent.packets == 21


def test_a_quiet_tone_is_heard_in_each_packet() -> None:
    sent, encoder = SentSound(), OpusEncoder()
    sent.begin(OFFER)
    quiet = (TONE * 10 ** (-35 / 20)).astype(np.int16)
    assert -55 < rms_dbfs(quiet) < -45
    send(sent, encoder, quiet, 20)
    assert sent.audible >= 19


def test_garbage_of_our_own_ssrc_counts_for_nothing() -> None:
    sent = SentSound()
    sent.begin(OFFER)
    sent.sent(rtp(b"\xff" * 3))
    assert sent.audible == 0
