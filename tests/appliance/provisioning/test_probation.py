from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning import Health, Probation, Verdict
from appliance.provisioning.probation import STARTS

WELL, ILL = Health(True), Health(False, "not in its room: no answer")


def test_well_at_the_end_is_kept() -> None:
    trial = Probation(now=1000.0, duration=90)
    assert trial.deadline == 1090
    assert trial.observe(ILL, 1000) is Verdict.WAIT
    assert trial.observe(WELL, 1020) is Verdict.WAIT
    assert trial.observe(WELL, 1090) is Verdict.KEEP
    # What happens later is not the configuration's fault.
    assert trial.observe(ILL, 1091) is Verdict.KEEP
    assert trial.reason == ""


def test_ill_at_the_end_is_rolled_back_with_its_reason() -> None:
    trial = Probation(now=0, duration=90)
    assert trial.observe(WELL, 10) is Verdict.WAIT
    assert trial.observe(ILL, 90.5) is Verdict.ROLL_BACK
    assert trial.reason == "after 90 s: not in its room: no answer"
    assert trial.observe(WELL, 91) is Verdict.ROLL_BACK


def test_what_is_hopeless_is_not_waited_for() -> None:
    trial = Probation(now=0)
    assert trial.observe(Health(False, "no camera 'usb-7'", hopeless=True), 1) is Verdict.ROLL_BACK
    assert trial.reason == "no camera 'usb-7'"


def test_a_configuration_that_kills_the_service_is_rolled_back_at_its_start() -> None:
    for starts in range(1, STARTS + 1):
        assert Probation(now=0, starts=starts).verdict is Verdict.WAIT
    trial = Probation(now=0, starts=STARTS + 1)
    assert trial.verdict is Verdict.ROLL_BACK
    assert f"ended {STARTS} times" in trial.reason


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.floats(0, 40, allow_nan=False)), max_size=30
    ),
    st.floats(10, 200),
)
def test_there_is_one_verdict_and_it_is_true(
    steps: list[tuple[bool, bool, float]], duration: float
) -> None:
    trial, now, verdicts = Probation(now=0, duration=duration), 0.0, []
    hopeless_at = ended_well = None
    for well, hopeless, later in steps:
        now += later
        verdict = trial.observe(Health(well, "x", hopeless=hopeless), now)
        if verdicts and verdicts[-1] is not Verdict.WAIT:
            assert verdict is verdicts[-1]
        elif hopeless:
            assert verdict is Verdict.ROLL_BACK
            hopeless_at = now
        elif now >= duration:
            ended_well = well
            assert verdict is (Verdict.KEEP if well else Verdict.ROLL_BACK)
        else:
            assert verdict is Verdict.WAIT
        verdicts.append(verdict)
    assert hopeless_at is None or ended_well is None
    assert (trial.reason != "") == (trial.verdict is Verdict.ROLL_BACK)
