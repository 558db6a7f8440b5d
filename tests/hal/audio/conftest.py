from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_priority_is_left() -> Iterator[None]:
    """Whoever raises the thread of the tests puts it back."""
    before = os.sched_getparam(0).sched_priority
    yield
    assert os.sched_getparam(0).sched_priority == before


LIMIT_S = "60"
"""The sound server is ended after this long, whatever becomes of the test."""


@dataclass
class SoundServer:
    """A PulseAudio daemon of the test's own with one sink, and no sound card."""

    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def asoundrc(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ALSA know the PCMs in `text`, beside its own."""
    path = folder / "asoundrc"
    path.write_text(f"</usr/share/alsa/alsa.conf>\n{text}\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(path))


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PCMs without time: `wavout` writes out.wav, `rawin` reads in.raw, `nothing` is null;
    `stereo` writes out.wav too, but like many a card it knows two channels only."""
    asoundrc(
        tmp_path,
        f"""
        pcm.wavout {{ type file slave.pcm null file "{tmp_path}/out.wav" format wav }}
        pcm.rawin {{ type file slave.pcm null file /dev/null
                    infile "{tmp_path}/in.raw" format raw }}
        pcm.nothing {{ type null }}
        pcm.stereo {{ type multi slaves.a {{ pcm wavout channels 2 }}
                     bindings.0 {{ slave a channel 0 }} bindings.1 {{ slave a channel 1 }} }}
        """,
        monkeypatch,
    )
    return tmp_path


@pytest.fixture
def sound_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """PCM `spk` plays into the server's sink, PCM `mic` captures what it plays; each has its
    mixer."""
    socket = tmp_path / "pulse"
    asoundrc(
        tmp_path,
        f"""
        pcm.spk {{ type pulse server "unix:{socket}" device "spk" }}
        pcm.mic {{ type pulse server "unix:{socket}" device "spk.monitor" }}
        ctl.spk {{ type pulse server "unix:{socket}" device "spk" }}
        ctl.mic {{ type pulse server "unix:{socket}" device "spk.monitor" }}
        pcm.!default {{ type pulse server "unix:{socket}" device "spk"
                       hint {{ show on description "Room speaker" }} }}
        """,
        monkeypatch,
    )
    timeout, server = shutil.which("timeout"), shutil.which("pulseaudio")
    assert timeout, "install coreutils"
    assert server, "install pulseaudio and libasound2-plugins"
    folders = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"), str(tmp_path))
    process = subprocess.Popen(
        # norewinds: else the first write stalls for a second.
        [
            *(timeout, "--signal=KILL", LIMIT_S, server),
            *("--daemonize=no", "-n", "--exit-idle-time=-1", "--disallow-exit"),
            *("--use-pid-file=no", "--log-target=stderr", "--log-level=info"),
            *("-L", "module-null-sink sink_name=spk rate=48000 channels=1 norewinds=1"),
            *("-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1"),
        ],
        env={**os.environ, **folders},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    log = []
    for line in process.stderr:
        log.append(line)
        if "startup complete" in line:
            break
    else:
        pytest.fail(f"pulseaudio did not start: {''.join(log)}")
    drain = threading.Thread(target=process.stderr.read)
    drain.start()
    made = SoundServer(process)
    yield made
    made.kill()
    drain.join(10)
    process.stderr.close()
