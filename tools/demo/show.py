# SPDX-License-Identifier: Apache-2.0
"""One alarm becomes an action plan, end to end, on a simulated cloud.

Starts watcher-all-in-one, creates an EVENT audit with python-watcherclient and then
only watches: the cloud's alarm rule posts to the audit's webhook when a host runs
hot, and Watcher plans migrations and carries them out.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from watcherclient import client as watcherclient

from tools.demo import interrupt, picture
from tools.demo.recording import Recording
from tools.demo.service import Failed, Service, command
from tools.demo.story import OVER, Story, deviation

AUDIT = "react-to-hot-host"
"""The audit whose webhook the example cloud's alarm rule posts to."""

_API_VERSION = "1.5"
_TICK = 0.1

_NEXT = """
To try next, the first command in a terminal of its own:

  {programs}/watcher-all-in-one
  {programs}/openstack --os-auth-type none --os-endpoint http://127.0.0.1:9322 \\
      optimize audit create --audit_type EVENT --name {audit} --auto-trigger \\
      --goal workload_balancing --strategy workload_stabilization
  {programs}/openstack --os-auth-type none --os-endpoint http://127.0.0.1:9322 \\
      optimize actionplan list"""


class Demonstration:
    """The story from the first step to the verdict."""

    def __init__(self, service: Service, story: Story, shown: picture.Picture) -> None:
        self._service, self._story, self._shown = service, story, shown

    def run(self) -> None:
        """Failed if the plan was not carried out, or has not reached its aim; Interrupted."""
        story = self._story
        self._until(self._service.ready, "watcher-all-in-one starts", seconds=60)
        self._until(lambda: bool(story.now), "the simulated cloud starts", seconds=60)
        story.add(
            f"watcher-all-in-one listens on {self._service.endpoint}; "
            f"its simulated cloud has {len(story.now)} hosts"
        )
        self._create_audit()
        self._until(
            lambda: story.alarm is not None,
            f"Audit {AUDIT} waits for an alarm; a host will run hot in a moment",
            seconds=60,
        )
        self._until(lambda: story.plan is not None, "The audit runs", seconds=60)
        self._until(self._plan_is_over, "The plan is carried out", seconds=120)
        ended = time.time()
        self._until(lambda: self._cloud_saved_after(ended), "The cloud is measured", seconds=60)
        self._judge(ended)

    def _until(self, done: Callable[[], bool], waiting: str, seconds: float) -> None:
        """Watch, and show the story, until *done*."""
        story = self._story
        story.waiting = waiting
        deadline = time.monotonic() + seconds
        while not done():
            interrupt.check()
            if time.monotonic() > deadline:
                raise Failed(f"Nothing came of this within {seconds:g} seconds: {waiting}.")
            self._look()
            time.sleep(_TICK)
        self._look()
        story.waiting = None

    def _look(self) -> None:
        self._service.check()
        saved = self._service.cloud()
        if saved is not None:
            self._story.take_cloud(saved[1])
        # The steps of the audit are added after its creation, which the client reports late.
        if self._story.audit is not None:
            for at, line in self._service.log():
                self._story.take_log(at, line)
        self._shown.show(self._story)

    def _create_audit(self) -> None:
        thresholds = json.dumps({"instance_cpu_usage": self._story.threshold})
        arguments = ["optimize", "audit", "create", "--audit_type", "EVENT", "--name", AUDIT]
        arguments += ["--goal", "workload_balancing", "--strategy", "workload_stabilization"]
        arguments += ["--parameter", f"thresholds={thresholds}", "--auto-trigger"]
        self._story.add(f"$ openstack {shlex.join(arguments)}")
        environment = {
            **os.environ,
            "OS_AUTH_TYPE": "none",
            "OS_ENDPOINT": self._service.endpoint,
            "OS_INFRA_OPTIM_API_VERSION": _API_VERSION,
        }
        with subprocess.Popen(
            [command("openstack"), *arguments, "-f", "json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                self._until(
                    lambda: process.poll() is not None, "openstack creates the audit", seconds=60
                )
            except BaseException:
                process.kill()
                raise
            out, error = process.communicate()
        if process.returncode:
            raise Failed(f"The audit could not be created: {error.strip()}")
        self._story.take_audit(json.loads(out))

    def _plan_is_over(self) -> bool:
        """Ask the API for the plan and its actions."""
        story, client = self._story, self._client
        plan = client.action_plan.get(story.plan)
        actions = client.action.list(action_plan=story.plan, detail=True)
        story.take_actions(actions, self._service.migrations())
        story.plan_state = plan.state
        return plan.state in OVER

    @property
    def _client(self) -> Any:
        return watcherclient.get_client(
            "1",
            os_auth_token="none",
            os_endpoint_override=self._service.endpoint,
            os_infra_optim_api_version=_API_VERSION,
        )

    def _cloud_saved_after(self, moment: float) -> bool:
        saved = self._service.cloud()
        return saved is not None and saved[0] > moment

    def _judge(self, ended: float) -> None:
        story = self._story
        assert story.alarm
        before, now = deviation(story.before), deviation(story.now)
        carried_out = story.plan_state == "SUCCEEDED"
        story.add(
            f"The plan is {story.plan_state}, {ended - story.alarm.at:.1f} s after the alarm",
            ended,
            carried_out,
        )
        story.add(
            f"The standard deviation of the host loads went from {before:.3f} to {now:.3f}; "
            f"the audit's threshold is {story.threshold:g}",
            good=now < story.threshold,
        )
        self._shown.show(story)
        if not carried_out:
            raise Failed(f"The plan was not carried out: it is {story.plan_state}.")
        if now >= story.threshold:
            raise Failed("The load is not as even as the audit wants it.")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tox -e demo --", description=__doc__)
    parser.add_argument(
        "--cloud",
        metavar="FILE",
        help=f"a simulated cloud with an alarm rule for the audit {AUDIT}, YAML or JSON; "
        "by default etc/watcher/demo-cloud.yaml",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.1,
        help="standard deviation of the host loads that is to be reached, 0 to 1; by default 0.1",
    )
    parser.add_argument("--record", metavar="FILE.svg", help="save it as a picture that moves")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    story = Story(arguments.threshold)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="watcher-demo-") as directory,
            picture.opened() as shown,
            Service(directory, arguments.cloud) as service,
        ):
            recording = Recording(shown)
            Demonstration(service, story, recording if arguments.record else shown).run()
        if arguments.record:
            recording.save(arguments.record)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    except interrupt.Interrupted:
        print("Interrupted.", file=sys.stderr)
        return 130
    print(_NEXT.format(programs=os.path.relpath(os.path.dirname(sys.executable)), audit=AUDIT))
    return 0
