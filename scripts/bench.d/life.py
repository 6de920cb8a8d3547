"""What is done to a guest that runs, and how long each thing takes; QEMU's own migration beside ours."""

import json
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from host import BIN, CLOCK, SUPERVISOR, Host, save

ROUNDS = int(sys.argv[1])
CLI = BIN / "leasehold"


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1e6


def until(condition, what, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: no {what} within {seconds} s")
        time.sleep(0.0005)


SPAWNED = []


def spawn(host, command):
    SPAWNED.append(subprocess.Popen([str(word) for word in command], env=host.environment, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return SPAWNED[-1]


def took(host, *command):
    began = now()
    host.run([CLI, *command])
    return now() - began


class Guest:
    """A supervised program, or a QEMU, that runs."""

    def __init__(self, host, name, options, command=None):
        self.host, self.name = host, name
        self.place = host.place / "run/guests" / name
        self.supervisor = spawn(host, [SUPERVISOR, "--name", name, *options, "--",
                                       *(command or [CLOCK, host.place / f"began-{name}", "600"])])
        pid = self.place / "child.pid"
        until(lambda: pid.exists() and pid.read_text().endswith("\n"), f"guest {name}")
        self.child = int(pid.read_text())

    def control(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.place / "control"))
        return connection

    def end(self):
        if self.supervisor.poll() is None:
            self.host.run([CLI, "kill", self.name])
        self.supervisor.wait()


def milliseconds_to_death(pid, cause):
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    began = now()
    cause()
    if not poll.poll(15000):
        raise SystemExit("bench: a guest did not die")
    os.close(descriptor)
    return began, now() - began


def killed_supervisors(host):
    deaths, nexts = [], []
    for number in range(ROUNDS):
        guest = Guest(host, f"killed{number}", ["--disk", "/bench/killed"])
        file = host.place / f"next{number}"
        follower = spawn(host, [SUPERVISOR, "--name", f"next{number}", "--wait", "10s", "--disk", "/bench/killed", "--",
                                CLOCK, file])
        time.sleep(0.3)
        began, death = milliseconds_to_death(guest.child, guest.supervisor.kill)
        deaths.append(death)
        follower.wait()
        nexts.append(int(file.read_text()) / 1e6 - began)
        guest.supervisor.wait()
    return [("supervisor SIGKILLed to guest dead", deaths, 50),
            ("the same to a waiting guest's first instruction, 1 lease", nexts, None)]


def killed_daemons(place):
    deaths = []
    for number in range(max(3, ROUNDS // 10)):
        host = Host(place / f"d{number}")
        try:
            guest = Guest(host, "bereft", ["--disk", "/bench/bereft"])
            time.sleep(0.2)
            deaths.append(milliseconds_to_death(guest.child, host.daemon.kill)[1])
            guest.supervisor.wait()
        finally:
            host.end()
    return [("sanlock daemon SIGKILLed to guest dead, poweroff", deaths, 1000)]


def commands(host):
    guest = Guest(host, "asked", ["--disk", "/bench/asked"])
    host.run([CLI, "attach-disk", "asked", "/bench/more"])
    host.run([CLI, "detach-disk", "asked", "/bench/more"])
    children, statuses, attaches, detaches, upgrades, slowest = [], [], [], [], [], []
    for _ in range(ROUNDS):
        children.append(took(host, "child-pid", "asked"))
        statuses.append(took(host, "status", "asked"))
        attaches.append(took(host, "attach-disk", "asked", "/bench/more"))
        detaches.append(took(host, "detach-disk", "asked", "/bench/more"))
    call = b'{"method":"io.leasehold.Supervisor.GetChild"}\0'
    connection = guest.control()
    answers = []
    for _ in range(10 * ROUNDS):
        began = now()
        connection.sendall(call)
        while not connection.recv(4096).endswith(b"\0"):
            pass
        answers.append(now() - began)
    # Many at once, by the processor time that they cost the supervisor.
    calls, batch = 0, 100
    ticks = processor_ticks(guest.supervisor.pid)
    while processor_ticks(guest.supervisor.pid) - ticks < 50:
        connection.sendall(call * batch)
        left = batch
        while left > 0:
            left -= connection.recv(65536).count(b"\0")
        calls += batch
    seconds = (processor_ticks(guest.supervisor.pid) - ticks) / os.sysconf("SC_CLK_TCK")
    for _ in range(max(3, ROUNDS // 10)):
        upgrade = spawn(host, [CLI, "upgrade", "asked"])
        began, longest = now(), 0
        while upgrade.poll() is None:
            longest = max(longest, took_to_answer(guest, call))
        upgrades.append(now() - began)
        slowest.append(longest)
    guest.end()
    return [("child-pid, as a command", children, 15), ("status, as a command", statuses, 15),
            ("GetChild on an open connection", answers, 1), ("attach-disk, as a command", attaches, None),
            ("detach-disk, as a command", detaches, None), ("upgrade, as a command", upgrades, None),
            ("the longest that a caller waits during an upgrade", slowest, None),
            ("GetChild, 1000 on one core", [1000 * 1000 * seconds / calls], 50)]


def processor_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def took_to_answer(guest, call):
    began = now()
    try:
        with guest.control() as connection:
            connection.sendall(call)
            while not connection.recv(4096).endswith(b"\0"):
                pass
    except OSError:
        # It was told to connect again.
        pass
    return now() - began


class Monitor:
    """A QEMU's second monitor: what it says, and when."""

    def __init__(self, path):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        until(lambda: connection.connect_ex(str(path)) == 0, f"monitor {path}")
        self.stream = connection.makefile("rw")
        self.stream.readline()
        self.events = {}
        self.execute("qmp_capabilities")

    def read(self):
        line = json.loads(self.stream.readline())
        if "event" in line:
            stamp = line["timestamp"]
            self.events[line["event"]] = stamp["seconds"] * 1e3 + stamp["microseconds"] / 1e3
        return line

    def execute(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            line = self.read()
            if "event" not in line:
                return line.get("return")

    def wait(self, event):
        while event not in self.events:
            self.read()
        return self.events.pop(event)


def qemu(place, name, more=()):
    return ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none",
            "-qmp", f"unix:{place / name}.ours,server=on,wait=off", "-qmp", f"unix:{place / name}.test,server=on,wait=off",
            "-drive", f"file={place / 'disk'},format=raw,if=virtio,file.locking=off", *more]


def migrations(place, first):
    """From the source's standstill to the target's first instruction, the same QEMUs with and without a supervisor."""
    with open(place / "disk", "wb") as disk:
        disk.truncate(1 << 20)
    hosts = [first, Host(place / "second", 2, first.leases)]
    ours, plain, commands = [], [], []
    rounds = max(4, ROUNDS // 10)
    try:
        uuid = "7f3c0d6e-52f0-4d0b-9d64-8f4f1f2f3a01"

        def start(number, more=()):
            name = f"mover{number}"
            guest = Guest(hosts[number % 2], name, ["--uuid", uuid, "--qmp", f"{place / name}.ours"],
                          qemu(place, name, more))
            return guest, Monitor(place / f"{name}.test")

        source, monitor = start(0)
        for number in range(1, rounds + 1):
            uri = f"unix:{place}/in{number}"
            target, arriving = start(number, ["-incoming", uri])
            until(lambda: b"incoming" in subprocess.run([CLI, "list"], env=target.host.environment,
                                                        capture_output=True).stdout, "incoming target")
            control = target.place / "control"
            monitor.events.clear()
            commands.append(took(source.host, "migrate", "run", source.name, "--to", control))
            stopped = monitor.wait("STOP")
            ours.append(arriving.wait("RESUME") - stopped)
            source.supervisor.wait()
            source, monitor = target, arriving
        source.end()
        running = []
        for number in range(rounds + 1):
            name, uri = f"plain{number}", f"unix:{place}/plain-in{number}"
            running.append(spawn(first, qemu(place, name, ["-incoming", uri] if number else [])))
            arriving = Monitor(place / f"{name}.test")
            if number:
                monitor.events.clear()
                monitor.execute("migrate", uri=uri)
                stopped = monitor.wait("STOP")
                plain.append(arriving.wait("RESUME") - stopped)
                running[number - 1].kill()
            monitor = arriving
        for one in running:
            one.kill()
            one.wait()
    finally:
        hosts[1].end()
    return [("migration: neither side runs, QEMU alone", plain, None),
            ("migration: neither side runs, leasehold migrate run", ours, None),
            ("migration: leasehold migrate run, as a command", commands, None)]


def main():
    place = Path(tempfile.mkdtemp(prefix="lh-bench."))
    host = None
    try:
        host = Host(place / "first")
        found = killed_supervisors(host) + commands(host) + migrations(place, host) + killed_daemons(place)
    finally:
        for one in SPAWNED:
            one.kill()
            one.wait()
        if host:
            host.end()
        shutil.rmtree(place)
    rows = [{"name": name, "milliseconds": round(statistics.median(times), 3), "worst": round(max(times), 3),
             "toReach": limit} for name, times, limit in found]
    width = max(len(row["name"]) for row in rows)
    print(f'{"WHAT":{width}}  MS (MEDIAN)    WORST  TO REACH')
    for row in rows:
        limit = "" if row["toReach"] is None else row["toReach"]
        print(f'{row["name"]:{width}}  {row["milliseconds"]:11.2f}  {row["worst"]:7.1f}  {limit:>8}')
    save("life", ROUNDS, rows)


main()
