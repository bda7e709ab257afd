# SPDX-License-Identifier: Apache-2.0
"""An alarm of a real aodh leads to live migrations in a real nova."""

import shutil
import subprocess
import uuid as uuidlib

from watcher.tests.lab.services import ServicesTestCase


class AlarmTest(ServicesTestCase):
    def test_an_event_alarm_moves_servers(self) -> None:
        emit = shutil.which("emit-event")
        if emit is None:
            self.skipTest("emit-event, which lets aodh hear of an event, is not on the PATH.")
        audit = self.audit(
            "workload_stabilization", "EVENT", thresholds={"instance_cpu_usage": 0.05}
        )
        event_type = f"watcher.test.{uuidlib.uuid4().hex}"
        self.alarm(event_type, alarm_actions=[f"{self.services.endpoint}/v1/webhooks/{audit.uuid}"])
        subprocess.run([emit, event_type], check=True, capture_output=True)
        self.check_moves(self.carried_out(audit))

    def alarm(self, event_type: str, **actions: object) -> None:
        session = self.admin().session
        aodh = session.get_endpoint(service_type="alarming").rstrip("/")
        values = {
            "name": event_type,
            "type": "event",
            "event_rule": {"event_type": event_type},
            **actions,
        }
        alarm = session.post(f"{aodh}/v2/alarms", json=values).json()
        self.addCleanup(session.delete, f"{aodh}/v2/alarms/{alarm['alarm_id']}")
