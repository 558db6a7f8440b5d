from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "lab"
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.lab.test_gpio" name="test_a" time="1.25"/>
<testcase classname="tests.lab.test_gpio" name="test_b[x|y]" time="2"><failure/></testcase>
<testcase classname="tests.lab.test_gpio" name="test_c" time="0"><error/></testcase>
<testcase classname="tests.lab.test_hid" name="test_d" time="0"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def report() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lab_report", SCRIPTS / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    path = tmp_path / "results.xml"
    path.write_text(JUNIT)
    return path


def test_results_are_counted_by_driver(report: ModuleType, junit: Path) -> None:
    results = report.read(junit)
    assert [result.outcome for result in results] == ["passed", "failed", "failed", "skipped"]
    lines = report.table([], results).splitlines()
    assert "| controls `gpio` | – | 1 passed, **2 failed** |" in lines
    assert "| controls `hid` | – | 0 passed, 1 skipped |" in lines
    assert "| hot plug | – | – |" in lines


def test_the_page_names_versions_and_tests(report: ModuleType, junit: Path) -> None:
    results = report.read(junit)
    page = report.page(results, results, "systemd 257\nav 18.1.0\n", "7.3.4")
    assert "| systemd | 257 |" in page
    assert "kernel 7.3.4" in page
    assert "| test_gpio | test_b[x y] | failed | 2.0 |" in page


def test_the_table_goes_between_the_marks(report: ModuleType) -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    new = report.put_table(page, "new")
    assert new == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.put_table(new, "new") == new
    with pytest.raises(ValueError, match="has no"):
        report.put_table("nothing", "new")


def test_the_page_on_hardware_has_the_marks_and_the_modules_are_there(report: ModuleType) -> None:
    tests = SCRIPTS.parents[1] / "tests"
    page = (SCRIPTS.parents[1] / "docs" / "hardware.md").read_text()
    for driver, modules in report.DRIVERS.items():
        report.put_table(page, "")
        for module in modules:
            assert (tests / (module.replace(".", "/") + ".py")).exists(), f"{driver}: {module}"
