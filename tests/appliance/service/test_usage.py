from __future__ import annotations

import os
import time

import psutil
import pytest

from appliance.service.usage import Usage


def test_work_is_seen_and_rest_is_not() -> None:
    usage = Usage()
    busy = time.process_time()
    while time.process_time() - busy < 0.3:
        pass
    assert usage.cpu_percent > 5
    assert usage.rss_mib > 5


def test_a_process_that_is_gone_cannot_be_watched() -> None:
    pid = os.spawnv(os.P_NOWAIT, "/bin/true", ["true"])
    os.waitpid(pid, 0)
    with pytest.raises(psutil.NoSuchProcess):
        Usage(pid)
