"""Private hosts for the benchmarks, and what is written of a run."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

BIN = Path(".build/release").resolve()
CLOCK = Path(".build/bench/clock").resolve()
SUPERVISOR = BIN / "leasehold-supervisor"
LOCKSPACE = "__LIBVIRT__DISKS__"
RESULTS = Path("docs/benchmarks")


class Host:
    """A private sanlock daemon with a joined lockspace, io_timeout 1."""

    def __init__(self, place, number=1, leases=None):
        place.mkdir(exist_ok=True)
        self.place = place
        self.leases = leases or place / "leases"
        self.leases.mkdir(exist_ok=True)
        (place / "sanlock").mkdir()
        configuration = place / "leasehold.conf"
        configuration.write_text(f'disk_lease_dir = "{self.leases}"\nhost_id = {number}\nio_timeout = 1\n')
        self.environment = dict(
            os.environ, SANLOCK_RUN_DIR=str(place / "sanlock"), LEASEHOLD_RUN_DIR=str(place / "run"),
            LEASEHOLD_CONFIG=str(configuration))
        self.daemon = subprocess.Popen(
            ["sanlock", "daemon", "-D", "-w", "0", "-l", "0", "-h", "0", "-U", "root", "-G", "root", "-e", f"bench{number}"],
            env=dict(self.environment, SANLOCK_PRIVILEGED="0"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (place / "sanlock" / "sanlock.sock").exists():
            time.sleep(0.01)
        self.run([BIN / "leasehold", "run", "--disk", "/join", "--", "true"])

    def end(self):
        self.daemon.kill()
        self.daemon.wait()

    def run(self, command, **more):
        subprocess.run([str(word) for word in command], env=self.environment, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)

    def lease(self, name, hosts=None):
        """A lease file; for 2000 hosts as libvirt makes it, or for some."""
        path = self.leases / name
        path.write_bytes(bytes(1 << 20))
        spelling = f"{LOCKSPACE}:{name}:{path}:0"
        number = [] if hosts is None else ["-n", str(hosts), "-m", str(hosts)]
        self.run(["sanlock", "direct", "init", "-r", spelling, *number])
        return spelling


def save(name, rounds, rows):
    machine = {"processor": platform.processor() or platform.machine(), "processors": os.cpu_count(),
               "kernel": platform.release(), "rounds": rounds}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
