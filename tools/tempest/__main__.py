# SPDX-License-Identifier: Apache-2.0
"""tox -e tempest: the suites one after another, and their counts."""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.drill.processes import listens
from tools.tempest.cloud import Cloud
from tools.tempest.services import running

SUITES = {
    "api": "watcher_tempest_plugin.tests.api",
    "client": "watcher_tempest_plugin.tests.client_functional",
    "events": "",
    "scenario": "watcher_tempest_plugin.tests.scenario",
}
"""Suite to the tests of the plug-in that it has; ``events`` are our own, in this package."""

_EVENTS = Path(__file__).with_name("events")
_COUNT = re.compile(r"^ - (Passed|Skipped|Failed): (\d+)$", re.M)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tox -e tempest --", description=__doc__)
    parser.add_argument(
        "--suite", choices=SUITES, action="append", help="may be repeated; by default all"
    )
    parser.add_argument("--datasource", choices=("gnocchi", "prometheus"), default="gnocchi")
    parser.add_argument("--regex", help="only tests that match this")
    arguments = parser.parse_args()
    for name in ("OS_AUTH_URL", "OS_PASSWORD"):
        if name not in os.environ:
            parser.error(f"{name} is not set: OS_* have to lead to a cloud, as its administrator")
    # SIGTERM, too, has to end the services and drop their database.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cloud = Cloud()
    suites = arguments.suite or list(SUITES)
    if "scenario" in suites and cloud.servers:
        parser.error(
            f"the scenarios want a cloud without servers, and this one has {cloud.servers}"
        )
    host, port = cloud.endpoint
    with contextlib.ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="watcher-tempest-"))
        if listens(port):
            print(f"Something listens on port {port} of this machine already: that is tested.")
        else:
            stack.enter_context(running(host, port, directory, arguments.datasource))
        print(f"Watcher at {host}:{port}; all logs are in {directory}.", flush=True)
        failed = 0
        for suite in suites:
            counts = _run(cloud, suite, directory, arguments)
            failed += counts["Failed"] or not counts["Passed"]
            print(
                f"{suite:10}{counts['Passed']:>5} passed{counts['Skipped']:>5} skipped"
                f"{counts['Failed']:>5} failed",
                flush=True,
            )
    return 1 if failed else 0


def _run(
    cloud: Cloud, suite: str, directory: Path, arguments: argparse.Namespace
) -> dict[str, int]:
    workspace = directory / suite
    tempest = str(Path(sys.executable).with_name("tempest"))
    # Without a path of its own, tempest would add this workspace to the list of the user for ever.
    init = [tempest, "init", "--workspace-path", str(directory / "workspaces"), str(workspace)]
    begun = subprocess.run(init, capture_output=True, text=True)
    if begun.returncode:
        raise SystemExit(f"tempest init failed:\n{begun.stdout}{begun.stderr}")
    cloud.write_configuration(
        workspace / "etc" / "tempest.conf", arguments.datasource, suite == "scenario"
    )
    environment = dict(os.environ)
    if not cloud.networks:
        environment["PYTHONPATH"] = str(Path(__file__).with_name("no_network"))
    command = [tempest, "run", "--concurrency", "1", "--regex", arguments.regex or SUITES[suite]]
    if suite == "events":
        environment["TEMPEST_CONFIG_DIR"] = str(workspace / "etc")
        stestr = str(Path(sys.executable).with_name("stestr"))
        command = [stestr, "--test-path", str(_EVENTS), "--top-dir", str(_EVENTS), "run"]
        command += ["--concurrency", "1", arguments.regex or ""]
    done = subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, check=False
    )
    (workspace / "output").write_text(done.stdout + done.stderr)
    for line in done.stdout.splitlines():
        if line.endswith("FAILED"):
            print(line)
    counts = dict.fromkeys(("Passed", "Skipped", "Failed"), 0)
    return counts | {name: int(count) for name, count in _COUNT.findall(done.stdout)}


if __name__ == "__main__":
    sys.exit(main())
