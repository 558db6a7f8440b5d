"""The order of an answer's sections."""

from __future__ import annotations

from appliance.media.sdp import audio_first

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1"
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:0"


def test_audio_moves_before_video() -> None:
    given = "\r\n".join([HEAD, VIDEO, AUDIO]) + "\r\n"
    assert audio_first(given) == "\r\n".join([HEAD, AUDIO, VIDEO]) + "\r\n"


def test_an_answer_in_order_is_unchanged() -> None:
    given = "\r\n".join([HEAD, AUDIO, VIDEO]) + "\r\n"
    assert audio_first(given) == given


def test_one_section_is_enough() -> None:
    given = "\r\n".join([HEAD, VIDEO]) + "\r\n"
    assert audio_first(given) == given
