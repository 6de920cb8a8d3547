"""From the exec of a wrapper to the exec of its guest, and the memory that the wrapper keeps, side by side with peers."""

import hashlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from host import CLOCK, RESULTS, SUPERVISOR, Host, save

ROUNDS = int(sys.argv[1])


def start_times(host, make, rounds):
    """Milliseconds from the spawn of each command to its guest's first instruction; the median."""
    times = []
    for number in range(rounds):
        file = host.place / "began"
        file.unlink(missing_ok=True)
        command, environment = make(file, number)
        began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        process = subprocess.Popen(
            [str(word) for word in command], env=dict(host.environment, **environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.wait()
        deadline = time.monotonic() + 5
        while not file.exists() or not file.read_text().endswith("\n"):
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {command[0]} did not start its guest")
            time.sleep(0.0005)
        times.append((int(file.read_text()) - began) / 1e6)
        end_conmon(host)
        # The daemon gives leases back after the exit; sanlock's own tool fails where it is asked too soon.
        time.sleep(0.04 if "client" not in map(str, command) else 0.15)
    return statistics.median(times)


def end_conmon(host):
    for name in ("conmon.pid", "container.pid"):
        path = host.place / name
        if path.exists():
            try:
                os.kill(int(path.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                pass
            path.unlink()


def conmon(host, file, seconds):
    (host.place / "bundle").mkdir(exist_ok=True)
    command = [
        "conmon", "--api-version", "1", "-c", "bench", "-u", "bench", "-r", CLOCK, "-b", host.place / "bundle",
        "-p", host.place / "container.pid", "--conmon-pidfile", host.place / "conmon.pid", "-n", "bench",
        "--exit-dir", host.place, "--socket-dir-path", host.place, "--full-attach", "-l", "none"]
    return command, {"CLOCK_FILE": str(file), "CLOCK_SECONDS": str(seconds)}


def private_kilobytes(pids):
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                total += int(line.split()[1])
    return total


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(host, command, pids, environment={}):
    file = host.place / "began"
    file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [str(word) for word in command], env=dict(host.environment, **environment),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not file.exists():
        time.sleep(0.01)
    time.sleep(1)
    size = private_kilobytes(pids(process.pid))
    process.terminate()
    process.wait()
    end_conmon(host)
    return size


def measure(host):
    supervisor = SUPERVISOR
    names = ["/bench/disk%d" % number for number in range(8)]
    digests = [hashlib.md5(name.encode()).hexdigest() for name in names]
    libvirts = [host.lease(f"libvirt{number}") for number in range(8)]
    small = host.lease("small", hosts=30)
    disks = [word for name in names for word in ("--disk", name)]
    host.run([supervisor, *disks, "--", "true"])
    assert all((host.leases / digest).exists() for digest in digests)
    leases = [word for spelling in libvirts for word in ("-r", spelling)]

    def sanlock(spellings):
        return lambda file, number: (["sanlock", "client", "command", *spellings, "-c", CLOCK, file], {})

    rows = [
        ("nothing", lambda file, number: ([CLOCK, file], {})),
        ("tini", lambda file, number: (["tini", "-s", "--", CLOCK, file], {})),
        ("conmon", lambda file, number: conmon(host, file, 0)),
        ("leasehold, nop driver", lambda file, number: ([supervisor, "--driver", "nop", "--", CLOCK, file], {})),
        ("sanlock client command, 1 lease, libvirt's file", sanlock(leases[:2])),
        ("sanlock client command, 1 lease, for 30 hosts", sanlock(["-r", small])),
        ("leasehold, 1 lease, libvirt's file",
         lambda file, number: ([supervisor, "--lease", libvirts[0], "--", CLOCK, file], {})),
        ("leasehold, 1 lease, our file", lambda file, number: ([supervisor, *disks[:2], "--", CLOCK, file], {})),
        ("leasehold, 1 lease, file to be made",
         lambda file, number: ([supervisor, "--disk", f"/bench/new{number}", "--", CLOCK, file], {})),
        ("sanlock client command, 8 leases, libvirt's files", sanlock(leases)),
        ("leasehold, 8 leases, our files", lambda file, number: ([supervisor, *disks, "--", CLOCK, file], {})),
    ]
    # Rounds of all, so that a slow moment of the machine falls on everyone.
    times = {name: [] for name, _ in rows}
    for _ in range(max(1, ROUNDS // 10)):
        for name, make in rows:
            counter = len(times[name]) * 10
            times[name].append(start_times(host, lambda file, n: make(file, counter + n), 10))
    sizes = {
        "tini": memory(host, ["tini", "-s", "--", CLOCK, host.place / "began", "60"], lambda pid: [pid]),
        "conmon": memory(host, *conmon_for_memory(host)),
        "leasehold, nop driver": memory(
            host, [supervisor, "--driver", "nop", "--", CLOCK, host.place / "began", "60"],
            lambda pid: [pid, children(pid)[0]]),
        "leasehold, 1 lease, our file": memory(
            host, [supervisor, *disks[:2], "--", CLOCK, host.place / "began", "60"],
            lambda pid: [pid, children(pid)[0]]),
    }
    return [{"name": name, "milliseconds": round(statistics.median(times[name]), 2), "privateKilobytes": sizes.get(name)}
            for name, _ in rows]


def conmon_for_memory(host):
    command, environment = conmon(host, host.place / "began", 60)
    return command, lambda pid: [int((host.place / "conmon.pid").read_text())], environment


def draw(rows, path):
    """A bar a row, in plain SVG."""
    longest = max(row["milliseconds"] for row in rows)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{30 * len(rows) + 50}" '
             'font-family="sans-serif" font-size="13">',
             '<text x="10" y="20">Exec of the wrapper to exec of the guest, milliseconds (median)</text>']
    for index, row in enumerate(rows):
        y = 35 + 30 * index
        width = max(1, row["milliseconds"] / longest * 400)
        color = "#2a7" if row["name"].startswith("leasehold") else "#999"
        lines.append(f'<text x="350" y="{y + 15}" text-anchor="end">{row["name"]}</text>'
                     f'<rect x="360" y="{y}" width="{width:.1f}" height="20" fill="{color}"/>'
                     f'<text x="{365 + width:.1f}" y="{y + 15}">{row["milliseconds"]}</text>')
    path.write_text("\n".join(lines) + "\n</svg>\n")


def main():
    place = Path(tempfile.mkdtemp(prefix="leasehold-bench."))
    host = None
    try:
        host = Host(place)
        rows = measure(host)
    finally:
        if host:
            host.end()
        shutil.rmtree(place)
    width = max(len(row["name"]) for row in rows)
    print(f'{"WRAPPER":{width}}  MS TO GUEST  PRIVATE MEMORY')
    for row in rows:
        size = "" if row["privateKilobytes"] is None else f'{row["privateKilobytes"]} kB'
        print(f'{row["name"]:{width}}  {row["milliseconds"]:11.2f}  {size:>14}')
    save("start", ROUNDS, rows)
    draw(rows, RESULTS / "start.svg")


main()
