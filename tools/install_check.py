# SPDX-License-Identifier: Apache-2.0
"""Carry out the installation guide, literally, on a bare machine.

    sudo apt-get install debootstrap
    sudo python3 tools/install_check.py /var/tmp/bare [--suite bookworm]
    sudo python3 tools/install_check.py /var/tmp/bare --suite noble --mirror URL/ubuntu

The machine is a directory that debootstrap fills with Debian or Ubuntu and nothing else, with
processes, mounts and a loopback interface of its own. It gets the settings of apt (unless a mirror
is named) and of pip of this machine, and a clone of what is committed here. The commands are those
of the section "On Debian or Ubuntu, step by step" of doc/source/install/index.rst, as root and in
their order; watcher.conf is that of the section "Configuration". There is no systemd: what
``systemctl enable --now`` would start is started as the units say. It fails at the first command
that does, and unless the API answers, all three services are seen in the database, and each of them
stops on SIGTERM.
"""

import argparse
import configparser
import functools
import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
GUIDE = REPOSITORY / "doc/source/install/index.rst"
CLONE = "/root/watcher"
SERVICES = ("watcher-api", "watcher-decision-engine", "watcher-applier")

_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_UBUNTU = "gutsy"
"""The script for all releases of Ubuntu, of which debootstrap knows only those that are older."""
_SOURCES = (
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d/*.sources",
    "/etc/apt/sources.list.d/*.list",
)
_SETTINGS = (
    "/etc/pip.conf",
    "/etc/xdg/pip/*",
    "/etc/resolv.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/share/ca-certificates/*.crt",
)
_SECONDS = 120.0


class Failed(Exception):
    """The guide does not lead to running services; the sentence says at which step it fails."""


def section(title: str) -> str:
    """The text of a section of the guide, up to the next title."""
    match = re.search(
        rf"^{re.escape(title)}\n=+\n(.*?)(?=^\S[^\n]*\n=+\n|\Z)", GUIDE.read_text(), re.M | re.S
    )
    if match is None:
        raise Failed(f"{GUIDE} has no section {title!r}.")
    return match[1]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, without their indentation."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", text, re.M)
    return [re.sub(r"^   ", "", block, flags=re.M).strip() + "\n" for block in found]


def commands() -> Iterator[str]:
    """The commands that root executes, in their order."""
    for block in blocks(section("On Debian or Ubuntu, step by step"), "console"):
        for line in block.splitlines():
            if not line.startswith("# "):
                raise Failed(f"This line of the guide is no command of root: {line}")
            yield line.removeprefix("# ")


class Machine:
    """A bare Debian or Ubuntu in a directory, which runs as long as the ``with`` block."""

    def __init__(self, directory: Path, suite: str, mirror: str | None) -> None:
        self._bare, self._root = directory / suite, directory / "root"
        self._suite, self._mirror = suite, mirror
        self._services: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Machine":
        if not self._bare.exists():
            subprocess.run(["debootstrap", *self._bootstrap()], check=True)
        if self._root.exists():
            shutil.rmtree(self._root)
        subprocess.run(["cp", "-a", str(self._bare), str(self._root)], check=True)
        self._install_base()
        # With its first process the namespaces end, and all that runs in them.
        program = (
            f"ip link set lo up && mount --bind /dev {self._root}/dev && "
            f"mount -t tmpfs -o mode=1777 tmpfs {self._root}/dev/shm && "
            f"mount -t proc proc {self._root}/proc && echo ready && exec sleep infinity"
        )
        own = ["--net", "--mount", "--pid", "--fork", "--kill-child"]
        self._init = subprocess.Popen(
            ["unshare", *own, "sh", "-c", program], stdout=subprocess.PIPE
        )
        assert self._init.stdout is not None
        if not self._init.stdout.readline():
            raise Failed("No namespaces could be made; this needs root, and iproute2.")
        self._pid = str(_child(self._init.pid))
        return self

    def __exit__(self, *_: object) -> None:
        self._init.kill()
        self._init.wait()

    def _bootstrap(self) -> list[str]:
        """The arguments of debootstrap."""
        options = ["--variant=minbase", "--include=ca-certificates"]
        script = _SCRIPTS / self._suite
        if self._mirror and not script.exists():
            script = _SCRIPTS / _UBUNTU
        if script.resolve().name == _UBUNTU:
            options.append("--components=main,universe")  # where MariaDB is
        mirror = [self._mirror, str(script)] if self._mirror else []
        return [*options, self._suite, str(self._bare), *mirror]

    def _install_base(self) -> None:
        for pattern in (*_SETTINGS, *(() if self._mirror else _SOURCES)):
            for source in glob.glob(pattern):
                target = self._root / source.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        names = f"127.0.0.1 localhost controller {os.uname().nodename}\n"
        (self._root / "etc/hosts").write_text(names)
        # Debian's packages start their services; here there is nothing that could.
        policy = self._root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        clone = str(self._root / CLONE.lstrip("/"))
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", REPOSITORY, clone], check=True)

    def _inside(self, command: list[str], network: bool) -> list[str]:
        """*command* in the machine; with *network* it reaches the package servers."""
        own = ["--mount", "--pid"] + ([] if network else ["--net"])
        keep = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]
        return [
            *("nsenter", "--target", self._pid, *own, "chroot", str(self._root)),
            *("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"),
            *("DEBIAN_FRONTEND=noninteractive", *keep, *command),
        ]

    def run(self, command: str, network: bool = False) -> str:
        """Carry out a command in the clone.  Returns its output.  Failed unless its status is 0."""
        done = subprocess.run(
            self._inside(["sh", "-c", f"cd {CLONE} && {command}"], network),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        # The check before an upgrade warns by its status of what a new installation need not mind.
        if done.returncode > command.endswith("upgrade check"):
            raise Failed(f"{command}\nended with status {done.returncode}:\n{done.stdout}")
        return done.stdout

    def start_servers(self) -> None:
        """What the packages of MariaDB and RabbitMQ would have started."""
        self.run("install -d -o mysql -g mysql /run/mysqld && (mariadbd-safe >/dev/null 2>&1 &)")
        self.run("(runuser -u rabbitmq -- rabbitmq-server >/dev/null 2>&1 &)")
        self.until("MariaDB answers", lambda: self.run("mariadb -e 'SELECT 1'"))
        self.until("RabbitMQ answers", lambda: self.run("rabbitmqctl await_startup --timeout 30"))

    def start(self, name: str) -> None:
        """What ``systemctl start`` does, as far as the unit needs it here."""
        unit = configparser.ConfigParser(strict=True, interpolation=None)
        unit.read_string((self._root / f"etc/systemd/system/{name}.service").read_text())
        service = unit["Service"]
        identity = [f"--reuid={service['User']}", f"--regid={service['Group']}", "--init-groups"]
        program = shlex.split(service["ExecStart"])
        self._services[name] = subprocess.Popen(
            self._inside(["setpriv", *identity, *program], network=False),
        )

    def stop(self, name: str) -> None:
        """Stop the service.  Failed unless it ends without an error."""
        process = self._services[name]
        os.kill(_child(process.pid), signal.SIGTERM)
        try:
            status = process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"{name} does not stop.") from None
        if status:
            raise Failed(f"{name} ended with status {status}.")

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Wait until *condition* does not fail, and is not False."""
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                if condition() is not False:
                    return
                problem = ""
            except Failed as failure:
                problem = f": {failure}"
            for name, process in self._services.items():
                if process.poll() is not None:
                    raise Failed(f"{name} has ended with status {process.returncode}.")
            if time.monotonic() > deadline:
                raise Failed(f"Not within {_SECONDS:g} seconds: {what}{problem}")
            time.sleep(1)


def _child(pid: int) -> int:
    """The process that unshare or nsenter has started in a namespace."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def install(machine: Machine) -> None:
    """The commands of the guide."""
    configuration = blocks(section("Configuration"), "ini")[0]
    for command in commands():
        print(f"# {command}", flush=True)
        if command.startswith("chown root:watcher /etc/watcher/watcher.conf"):
            machine.run(f"cat > /etc/watcher/watcher.conf <<'END'\n{configuration}END")
        words = shlex.split(command)
        if words[0] != "systemctl":
            machine.run(command, network="apt-get" in words or "/pip" in command)
        elif words[1:3] == ["enable", "--now"]:
            for name in words[3:]:
                machine.start(name)
        if "mariadb-server" in words:
            machine.start_servers()


def verify(machine: Machine) -> None:
    """Failed unless the three services work."""
    python = "/opt/watcher/bin/python -c"
    request = "import urllib.request as r; print(r.urlopen('http://controller:9322/').read())"
    machine.until("the API answers", lambda: machine.run(f'{python} "{request}"'))
    for name in ("watcher-decision-engine", "watcher-applier"):
        machine.until(f"{name} is seen", functools.partial(_seen, machine, name))
    print(machine.run("runuser -u watcher -- /opt/watcher/bin/watcher-status show"))
    for name in SERVICES:
        machine.stop(name)
    print(
        machine.run(
            "ls -l /var/log/watcher; grep -h -E 'ERROR|CRITICAL' /var/log/watcher/* || true"
        )
    )


def _seen(machine: Machine, name: str) -> bool:
    return name in machine.run('mariadb -e "SELECT name FROM watcher.services"')


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "directory",
        type=Path,
        help="for the bare system, made if it is not there, and for the machine, made anew",
    )
    parser.add_argument("--suite", default="bookworm", help="%(default)s by default")
    parser.add_argument(
        "--mirror", metavar="URL", help="of the suite; by default the packages of this machine"
    )
    arguments = parser.parse_args()
    try:
        with Machine(arguments.directory.absolute(), arguments.suite, arguments.mirror) as machine:
            install(machine)
            verify(machine)
    except Failed as failure:
        print(f"install_check: {failure}", file=sys.stderr)
        return 1
    print("The guide leads to three services that run, and stop.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
