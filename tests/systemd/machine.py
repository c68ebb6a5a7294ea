"""A fresh Debian with systemd as its first process, in namespaces of its own, beside this machine's network.

No container engine: those come with a systemd of their own ideas, or without one. What the machine writes goes to a
layer over a folder that debootstrap made, and is gone with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.compose.images import AUTHORITIES
from tests.compose.podman import CACHE, REPOSITORY, CommandFailed, run
from tests.compose.scenario import until

# libnss-systemd: a service's user of the moment has a name by it. The next two: the service managers of users.
_PACKAGES = (
    "systemd,systemd-sysv,dbus,libnss-systemd,libpam-systemd,dbus-user-session,python3,python3-venv,ca-certificates"
)
_FOR_PIP = ("PIP_INDEX_URL", "PIP_TRUSTED_HOST", "https_proxy", "HTTPS_PROXY")

# Run in new namespaces. pivot_root and not chroot: who is in a chroot may make no user namespaces (PrivateUsers=). The
# root is shared with what is mounted in it later, as systemd hands out credentials by mounts.
_BOOT = """
set -e
mount -t overlay -o lowerdir="$1",upperdir="$2/upper",workdir="$2/work" overlay "$2/root"
cd "$2/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm .before
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
ln -s /proc/self/fd dev/fd
pivot_root . .before
exec </dev/null
umount -l .before
mount --make-rshared /
exec env -i container=other /lib/systemd/systemd --system --log-target=journal-or-kmsg systemd.unit=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """The running machine: ``pid`` is its systemd's, as this machine counts; ``root`` are its files, seen from here."""

    pid: int

    @property
    def root(self) -> Path:
        """Its files, seen from here."""
        return Path(f"/proc/{self.pid}/root")

    def run(self, *command: str) -> str:
        """A command as its root, standard output; raises CommandFailed."""
        for_pip = [f"{name}={os.environ[name]}" for name in _FOR_PIP if name in os.environ]
        inside = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", "-r", "-w"]
        kept = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8"]
        return run([*inside, "env", "-i", *kept, f"PIP_CERT={AUTHORITIES}", *for_pip, *command])

    def succeeds(self, *command: str) -> bool:
        """Whether it ends with 0."""
        try:
            self.run(*command)
        except CommandFailed:
            return False
        return True

    def property(self, unit: str, name: str) -> str:
        """What systemd says of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, unit: str) -> str:
        """What a unit of the machine or of a user has said, and what was said of it."""
        fields = ("_SYSTEMD_UNIT", "UNIT", "_SYSTEMD_USER_UNIT", "USER_UNIT")
        either = " + ".join(f"{field}={unit}" for field in fields).split()
        return self.run("journalctl", "--no-pager", "--output=cat", *either)

    def write(self, file: str, text: str, mode: int = 0o644) -> None:
        """A file of its root; missing folders are made."""
        path = self.root / file.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode)
        path.chmod(mode)
        path.write_text(text, "utf-8")


def bootstrap() -> Path:
    """The files of a fresh Debian bookworm; made once, and kept. Raises CommandFailed."""
    trusted = hashlib.sha256(AUTHORITIES.read_bytes() + _PACKAGES.encode()).hexdigest()[:12]
    kept = CACHE / f"bookworm-systemd-{trusted}"
    if not kept.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            root = Path(folder) / "root"
            run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)])
            shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
            root.rename(kept)
    return kept


@contextmanager
def booted(files: Path) -> Iterator[Machine]:
    """The machine, until the end. Raises CommandFailed when it does not come up."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder, _own_cgroups() as cgroups:
        layers = [Path(folder) / name for name in ("upper", "work", "root")]
        for each in layers:
            each.mkdir(mode=0o755)
        said = Path(folder) / "said.txt"
        process = _boot(files, folder, cgroups, said)
        try:
            yield _wait_for_systemd(process, said)
        finally:
            first = _child_of(process.pid)
            with suppress(ProcessLookupError):
                os.kill(first or process.pid, signal.SIGKILL)  # everything in its namespace goes with it
            process.wait(60)


def _boot(files: Path, folder: str, cgroups: list[Path], said: Path) -> subprocess.Popen[bytes]:
    join = "".join(f"echo $$ > {each}/cgroup.procs\n" for each in cgroups)
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup"]
    command = ["sh", "-ec", f'{join}exec "$@"', "sh", *apart, "sh", "-c", _BOOT, "boot", str(files), folder]
    with said.open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


def _wait_for_systemd(process: subprocess.Popen[bytes], said: Path) -> Machine:
    def is_up() -> bool:
        first = _child_of(process.pid)
        return first is not None and Machine(first).succeeds("systemctl", "is-system-running", "--wait")

    try:
        until("systemd is up", is_up)
    except AssertionError as error:
        error.add_note(said.read_text("utf-8"))
        raise
    first = _child_of(process.pid)
    assert first is not None
    return Machine(first)


def copy_checkout(machine: Machine, folder: str) -> None:
    """The files that git knows, as they are here, and new ones; as a clone would have them. Raises CommandFailed."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"]).splitlines()
    for name in listed:
        file = REPOSITORY / name
        if file.is_file():
            there = machine.root / folder.lstrip("/") / name
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)


def _child_of(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(children[0]) if children else None


@contextmanager
def _own_cgroups() -> Iterator[list[Path]]:
    """A group in each hierarchy that takes a process as it is; gone afterwards, with all that was made inside."""
    made = []
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in {"cgroup", "cgroup2"}:
            group = Path(before.split()[4]) / f"hostup-rotator-test-{os.getpid()}"
            group.mkdir()
            made.append(group)
    try:
        yield [each for each in made if not (each / "cpuset.cpus").exists()]  # that one wants its CPUs told first
    finally:
        for group in made:
            until(f"nothing runs in {group}", partial(_is_empty, group))
            for folder in (*sorted((each for each in group.rglob("*") if each.is_dir()), reverse=True), group):
                folder.rmdir()


def _is_empty(group: Path) -> bool:
    return not any(each.read_text("ascii") for each in group.rglob("cgroup.procs"))
