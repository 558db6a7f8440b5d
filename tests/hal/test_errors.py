from __future__ import annotations

import errno
from pathlib import Path

import av
import pytest

from hal import errors
from hal.errors import from_os


@pytest.mark.parametrize(
    ("code", "opened", "expected"),
    [
        (errno.ENOENT, False, errors.DeviceNotFound),
        (errno.ENODEV, False, errors.DeviceNotFound),
        (errno.ENODEV, True, errors.DeviceUnplugged),
        (errno.EIO, True, errors.DeviceUnplugged),
        (errno.ENOSPC, True, errors.DeviceUnplugged),
        (errno.EPROTO, True, errors.DeviceUnplugged),
        (errno.EBUSY, False, errors.DeviceBusy),
        (errno.EACCES, False, errors.DeviceForbidden),
        (errno.ETIMEDOUT, False, errors.DeviceStalled),
        (errno.EINVAL, False, errors.FormatUnsupported),
        (errno.ENOTTY, False, errors.DeviceNotFound),
    ],
)
def test_os_errors_find_their_place_in_the_tree(
    code: int, opened: bool, expected: type[errors.HalError]
) -> None:
    error = from_os(OSError(code, "text"), "camera X", group="video", opened=opened)
    assert type(error) is expected
    assert str(error).startswith("camera X ")
    assert "\n" not in str(error)
    assert ";" in str(error), "names a remedy"


def test_forbidden_names_the_group() -> None:
    error = from_os(OSError(errno.EACCES, ""), "camera X", group="video")
    assert "group video" in str(error)


def test_pyav_errors_are_understood(tmp_path: Path) -> None:
    rubbish = tmp_path / "film.mp4"
    rubbish.write_bytes(b"no film at all" * 100)
    with pytest.raises(av.FFmpegError) as damaged:
        av.open(str(rubbish))
    assert isinstance(from_os(damaged.value, "file"), errors.FormatUnsupported)
    with pytest.raises(av.FFmpegError) as missing:
        av.open(str(tmp_path / "nothing.mp4"))
    assert isinstance(from_os(missing.value, "file"), errors.DeviceNotFound)


def test_each_error_is_also_a_builtin_one() -> None:
    pairs: list[tuple[type[Exception], type[Exception]]] = [
        (errors.DeviceNotFound, LookupError),
        (errors.DeviceBusy, OSError),
        (errors.DeviceForbidden, PermissionError),
        (errors.DeviceUnplugged, OSError),
        (errors.DeviceStalled, TimeoutError),
        (errors.FormatUnsupported, ValueError),
        (errors.OptionInvalid, ValueError),
        (errors.BackendUnavailable, ImportError),
    ]
    for ours, builtin in pairs:
        assert issubclass(ours, errors.HalError)
        assert issubclass(ours, builtin)
        assert str(ours("one line")) == "one line"
