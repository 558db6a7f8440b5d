from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from hal.controls import pin_factory


@pytest.fixture(autouse=True)
def no_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)


def choice(monkeypatch: pytest.MonkeyPatch, factory: Any, *says: str) -> None:
    """Make gpiozero warn of what failed, and end at this factory."""

    def choose(_: type[gpiozero.Device]) -> None:
        for text in says:
            warnings.warn(text, gpiozero.PinFactoryFallback, stacklevel=1)
        gpiozero.Device.pin_factory = factory

    monkeypatch.setattr(gpiozero.Device, "ensure_pin_factory", classmethod(choose))


class NativeFactory(MockFactory):
    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


def test_the_experimental_library_is_not_taken_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    native = NativeFactory()
    choice(monkeypatch, native, "Falling back from lgpio: no chip", "Falling back from rpigpio: no")
    with pytest.raises(gpiozero.BadPinFactory, match="lgpio: no chip"):
        pin_factory.ensure(gpiozero)
    assert native.closed
    assert gpiozero.Device.pin_factory is None


def test_the_experimental_library_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    native = NativeFactory()
    choice(monkeypatch, native)
    pin_factory.ensure(gpiozero)
    assert gpiozero.Device.pin_factory is native
    native.reset()


def test_a_library_that_works_is_kept_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    mock = MockFactory()
    choice(monkeypatch, mock, "Falling back from lgpio: no chip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pin_factory.ensure(gpiozero)
    assert gpiozero.Device.pin_factory is mock
    mock.reset()


def test_lgpio_is_imported_where_it_may_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It opens a pipe by a name without a folder, which must be gone afterwards."""
    source = "import os\nos.mkfifo('pipe')\nwhere = os.getcwd()\n"
    (tmp_path / "lgpio.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lgpio", raising=False)
    choice(monkeypatch, MockFactory())
    before = Path.cwd()
    try:
        pin_factory.ensure(gpiozero)
        loaded: ModuleType = sys.modules["lgpio"]
        assert Path(loaded.where) not in (before, tmp_path)
        assert not os.path.lexists(loaded.where)
        assert Path.cwd() == before
        assert not os.path.lexists("pipe")
    finally:
        sys.modules.pop("lgpio", None)


def test_a_broken_lgpio_is_left_to_gpiozero(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lgpio.py").write_text("raise OSError('no such library')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lgpio", raising=False)
    mock = MockFactory()
    choice(monkeypatch, mock)
    pin_factory.ensure(gpiozero)
    assert gpiozero.Device.pin_factory is mock
    mock.reset()
