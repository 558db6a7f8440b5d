"""What is wrong with this device?  Everything that it needs is tried once, each by itself.

`examination` goes through all that there is to try; nothing that is wrong ends it.  Nothing of
what camera and microphone give leaves the process.
"""

from __future__ import annotations

from appliance.service.doctor.check import Finding, Outcome, Verdict
from appliance.service.doctor.checklist import Patient, examination, glance
from appliance.service.doctor.person import Person

__all__ = ["Finding", "Outcome", "Patient", "Person", "Verdict", "examination", "glance"]
