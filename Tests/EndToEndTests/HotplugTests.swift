import Foundation
import TestSupport
import Testing

/// Disks that come and go while a real QEMU runs.
@Suite(.serialized) struct HotplugTests {
    @Test func aDiskIsTheGuestsBeforeItIsPluggedInAndUntilItIsGone() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let disk = try hosts.disk()
            let attached = try guest.leasehold("attach-disk", disk, "--json").expecting(.exit(0)).json()
            #expect(attached[0]?["disk"]?.string == disk && attached[0]?["state"] == "held")
            #expect(try there.attempt(disk).status == .exit(75))
            try guest.plug(disk, as: "b")

            // The guest has it: nobody takes the lease away.
            let refused = try guest.leasehold("detach-disk", disk)
            expectOneLine(refused, code: 75, naming: [disk, "node b", "unplug"])
            try guest.unplugDevice("b")
            expectOneLine(try guest.leasehold("detach-disk", disk), code: 75, naming: ["node b"])
            #expect(try there.attempt(disk).status == .exit(75))
            #expect(try guest.disks()[disk] == "exclusive")

            try guest.monitor.execute("blockdev-del", ["node-name": "b"])
            try guest.leasehold("detach-disk", disk).expecting(.exit(0))
            #expect(try there.attempt(disk).status == .exit(0))
            #expect(try guest.disks() == [guest.disk: "exclusive"])
            try guest.waitUntilWriting()
            expectOneLine(try guest.leasehold("detach-disk", disk), code: 66, naming: [disk, "no lease"])
            let stop = try guest.leasehold("stop")
            #expect(stop.succeeded, "\(stop)")
        }
    }

    @Test func aBusyDiskIsRefusedByNameAndTheGuestIsUnharmed() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let (free, busy) = (try hosts.disk(), try hosts.disk())
            let holder = try there.start(["--no-auto-disks", "--disk", busy], named: "db7")
            try holder.waitUntilRecorded(busy)
            let version = try guest.version()
            let refused = try guest.leasehold("attach-disk", busy)
            expectOneLine(refused, code: 75, naming: [busy, "db7", "host2"])
            // Of several all or none.
            let both = try ControlConnection("\(here.runDirectory)/guests/guest/control").ask(
                "Acquire",
                [
                    "disks": [
                        ["path": .string(free), "mode": "exclusive"], ["path": .string(busy), "mode": "exclusive"],
                    ]
                ])
            #expect(both["error"]?.string == "io.leasehold.Supervisor.Busy")
            #expect(both["parameters"]?["disk"]?.string == busy)
            #expect(both["parameters"]?["holder"]?["guest"]?.string == "db7")
            #expect(try there.attempt(free).status == .exit(0))
            #expect(try guest.disks() == [guest.disk: "exclusive"])
            #expect(try guest.version() == version)
            try guest.waitUntilWriting()

            // One that gets free is had by who waits.
            let waiting = try here.scratch.start(
                Program(
                    try Products.cli(), ["attach-disk", "guest", busy, "--wait", "20s"], environment: here.environment))
            pause(milliseconds: 400)
            #expect(waiting.isRunning)
            holder.running.signal(SIGKILL)
            #expect(try waiting.wait(timeout: 15) == .exit(0), "\(waiting.errors)")
            #expect(try guest.disks()[busy] == "exclusive")
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    /// Whoever waits and goes away leaves no lease.
    @Test func anAbandonedAttemptTakesNothing() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let busy = try hosts.disk()
            let holder = try there.start(["--no-auto-disks", "--disk", busy], named: "db7")
            try holder.waitUntilRecorded(busy)
            let waiting = try here.scratch.start(
                Program(
                    try Products.cli(), ["attach-disk", "guest", busy, "--wait", "60s"], environment: here.environment))
            try waiting.waitUntilItAwaitsAnAnswer()
            expectOneLine(try guest.leasehold("suspend"), code: 69, naming: ["under way"])
            waiting.signal(SIGINT)
            _ = try waiting.wait(timeout: 5)
            holder.running.signal(SIGKILL)
            _ = try holder.running.wait(timeout: 5)
            try eventually(within: 10) { try there.attempt(busy).status == .exit(0) }
            pause(milliseconds: 500)
            #expect(try guest.disks() == [guest.disk: "exclusive"])
            #expect(try guest.leasehold("suspend").succeeded)
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    @Test func aLeaseIsSharedAndTakenBackAlone() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let version = try guest.version()
            #expect(try there.attempt(guest.disk, ["--shared-disk", guest.disk]).status == .exit(75))
            let ownRecord = ["\(try leaseName(guest.disk)).json"]
            try eventually(within: 5) { try here.records(of: guest.disk) == ownRecord }
            try guest.leasehold("attach-disk", guest.disk, "--shared").expecting(.exit(0))
            #expect(try guest.disks() == [guest.disk: "shared"])
            let sharedRecord = ["\(try leaseName(guest.disk)).1-\(guest.running.pid).json"]
            try eventually(within: 5) { try here.records(of: guest.disk) == sharedRecord }
            let other = try there.start(["--no-auto-disks", "--shared-disk", guest.disk], named: "other")
            let refused = try guest.leasehold("attach-disk", guest.disk)
            #expect(refused.status == .exit(75), "\(refused)")
            #expect(try guest.disks() == [guest.disk: "shared"])
            try other.stop()
            try eventually(within: 10) { try guest.leasehold("attach-disk", guest.disk).succeeded }
            #expect(try guest.disks() == [guest.disk: "exclusive"])
            #expect(try guest.version() > version)
            try eventually(within: 5) { try here.records(of: guest.disk) == ownRecord }
            #expect(try there.attempt(guest.disk).status == .exit(75))
            // Nothing of it is taken for a loss.
            pause(milliseconds: 4500)
            try guest.waitUntilWriting()
            #expect(try guest.leasehold("kill").succeeded)
            #expect(try here.records(of: guest.disk) == [])
        }
    }

    /// All or none, also where it is the last of them that is refused.
    @Test func whatIsTakenBesidesAConversionThatIsRefusedIsGivenBack() throws {
        try Station.withTwo { hosts, here, there in
            let (shared, new) = (try hosts.disk(), try hosts.disk())
            let guest = try here.start(["--shared-disk", shared])
            let sharer = try there.start(["--shared-disk", shared], named: "sharer")
            let answer = try ControlConnection("\(here.runDirectory)/guests/guest/control").ask(
                "Acquire",
                [
                    "disks": [
                        ["path": .string(new), "mode": "exclusive"], ["path": .string(shared), "mode": "exclusive"],
                    ]
                ])
            #expect(answer["error"]?.string == "io.leasehold.Supervisor.Busy", "\(answer)")
            #expect(try there.attempt(new).status == .exit(0))
            #expect(try guest.leases().count == 1)
            try guest.stop()
            try sharer.stop()
        }
    }

    /// The daemon answers when nobody waits any more.
    @Test func whatIsTakenForNobodyIsGivenBack() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let here = try Station(on: hosts.first, of: hosts, scratch)
                let there = try Station(on: hosts.second, of: hosts, scratch)
                let guest = try here.start(["--disk", try hosts.disk()])
                let disk = try hosts.disk()
                try hosts.formatLease(disk)
                hosts.first.daemon.stop()
                let attach = try scratch.start(
                    Program(try Products.cli(), ["attach-disk", "guest", disk], environment: here.environment))
                pause(milliseconds: 500)
                attach.signal(SIGKILL)
                try attach.wait()
                pause(milliseconds: 200)
                hosts.first.daemon.cont()
                try eventually(within: 10, every: 200, "the lease being free") {
                    try there.attempt(disk).status == .exit(0)
                }
                #expect(try guest.leases().count == 1)
                try guest.stop()
            }
        }
    }

    @Test func aMonitorThatIsYetToComeIsWaitedFor() throws {
        try Station.withTwo { hosts, here, there in
            let socket = here.scratch.file("qmp")
            let slow = ["sh", "-c", "sleep 2; exec \"$@\"", "sh"] + QEMU.command(qmpSocket: socket)
            let guest = try here.start(["--qmp", socket], slow)
            let disk = try hosts.disk()
            try here.leasehold("attach-disk", "guest", disk).expecting(.exit(0))
            let detach = try here.leasehold("detach-disk", "guest", disk).expecting(.exit(0))
            #expect(detach.seconds > 0.5)
            #expect(try there.attempt(disk).status == .exit(0))
            try guest.stop()
        }
    }

    @Test func moreThanEightDisksComeAndGo() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let disks = try (0..<20).map { _ in try hosts.disk() }
            let control = try ControlConnection("\(here.runDirectory)/guests/guest/control")
            let list = JSONValue.array(disks.map { ["path": .string($0), "mode": "exclusive"] })
            let taken = try control.ask("Acquire", ["disks": list])
            #expect(taken["parameters"]?["acquired"]?.array?.count == 20, "\(taken)")
            #expect(try there.attempt(disks[19]).status == .exit(75))
            pause(milliseconds: 2500)
            let gone = try control.ask("Release", ["disks": .array(disks.map(JSONValue.string))])
            #expect(gone["error"] == nil, "\(gone)")
            #expect(try there.attempt(disks[19]).status == .exit(0))
            pause(milliseconds: 2500)
            try guest.waitUntilWriting()
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    /// A snapshot: the guest goes over to a new image, and the old one becomes its backing file.
    @Test func anImageIsChangedUnderLeasesAllTheWhile() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let (first, overlay) = (try hosts.disk(), try hosts.disk())
            try guest.leasehold("attach-disk", first).expecting(.exit(0))
            try guest.plug(first, as: "b")
            // A command that fails leaves all as it was.
            let failed = try guest.leasehold("change-disk", first, overlay, "--", "sh", "-c", "exit 9")
            #expect(failed.status == .exit(9), "\(failed)")
            #expect(try guest.disks() == [guest.disk: "exclusive", first: "exclusive"])
            // One that does nothing leaves QEMU on the old image.
            expectOneLine(
                try guest.leasehold("change-disk", first, overlay, "--", "true"), code: 75, naming: [first, "node b"])
            #expect(try guest.disks() == [guest.disk: "exclusive", first: "exclusive"])

            let script = try here.scratch.write(snapshotScript, to: "snapshot.py")
            let changed = try guest.leasehold(
                "change-disk", first, overlay, "--", "python3", script, guest.spareSocket, "b", overlay)
            #expect(changed.succeeded, "\(changed)")
            #expect(try guest.disks() == [guest.disk: "exclusive", overlay: "exclusive"])
            #expect(try there.attempt(overlay).status == .exit(75))
            #expect(try there.attempt(first).status == .exit(0))
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    private let snapshotScript = """
        import json, socket, sys
        path, node, overlay = sys.argv[1:]
        monitor = socket.socket(socket.AF_UNIX)
        monitor.connect(path)
        lines = monitor.makefile("rw")
        lines.readline()
        def execute(command, arguments):
            lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\\n")
            lines.flush()
            while True:
                answer = json.loads(lines.readline())
                if "error" in answer: sys.exit(answer["error"]["desc"])
                if "return" in answer: return
        execute("qmp_capabilities", {})
        execute("blockdev-snapshot-sync", {
            "node-name": node, "snapshot-file": overlay, "snapshot-node-name": "overlay", "format": "qcow2"})

        """

    /// Whatever its caller ignores, and whatever the terminal sends: what the command ends with is answered, and the leases seen to.
    @Test func aChangeThatIsInterruptedLeavesTheLeasesAsTheyWere() throws {
        try Station.withTwo { hosts, here, there in
            let (old, new) = (try hosts.disk(), try hosts.disk())
            let guest = try here.start(["--no-auto-disks", "--disk", old])
            let ready = here.scratch.file("ready")
            func change(_ script: String) throws -> Program {
                let words = [try Products.cli(), "change-disk", "guest", old, new, "--", "sh", "-c", script]
                return Program(
                    "/bin/sh", ["-c", "trap '' CHLD; exec \"$@\"", "sh"] + words, environment: here.environment)
            }
            let interrupted = try here.scratch.start(try change("echo $$ > \(ready); exec sleep 30"))
            let command = try eventuallyFound(within: 10) { () -> ProcessIdentity? in
                let text = FileManager.default.contents(atPath: ready).map { String(decoding: $0, as: UTF8.self) }
                return text?.last == "\n" ? pid_t(text?.dropLast() ?? "").flatMap { ProcessIdentity(living: $0) } : nil
            }
            #expect(try there.attempt(new).status == .exit(75))
            for number in [SIGINT, SIGQUIT] { interrupted.signal(number) }
            pause(milliseconds: 200)
            #expect(interrupted.isRunning && command.exists)
            command.signal(SIGINT)
            #expect(try interrupted.wait(timeout: 10) == .exit(130))
            #expect(try there.attempt(new).status == .exit(0))
            #expect(try there.attempt(old).status == .exit(75))
            let same = Program(
                try Products.cli(), ["change-disk", "guest", old, old, "--", "true"], environment: here.environment)
            expectOneLine(try same.run(), code: 64, naming: ["the same", old])
            #expect(try there.attempt(old).status == .exit(75))
            // With the same caller, and an end that is none.
            try change("exit 0").run(timeout: 20).expecting(.exit(0))
            #expect(try there.attempt(old).status == .exit(0))
            #expect(try there.attempt(new).status == .exit(75))
            try guest.stop()
        }
    }

    @Test func explicitLeasesComeAndGo() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let disk = try hosts.disk()
            try hosts.formatLease(disk)
            let lease = try hosts.leaseText(disk)
            try guest.leasehold("attach-lease", lease).expecting(.exit(0))
            #expect(try there.attempt(disk).status == .exit(75))
            try guest.leasehold("detach-lease", lease).expecting(.exit(0))
            #expect(try there.attempt(disk).status == .exit(0))
            expectOneLine(try guest.leasehold("detach-lease", lease), code: 66, naming: ["no lease"])
            for verb in ["attach-lease", "detach-lease"] {
                expectOneLine(try guest.leasehold(verb, "nonsense"), code: 64, naming: ["nonsense", "LOCKSPACE"])
                expectOneLine(try guest.leasehold(verb, "\(lease):7"), code: 64, naming: ["where only SH"])
            }
            let missing = "\(TwoHosts.lockspace):none:\(here.scratch.file("none")):0"
            let answer = try ControlConnection("\(here.runDirectory)/guests/guest/control").ask(
                "Acquire", ["leases": [.string(missing)]])
            #expect(answer["error"] == "io.leasehold.Supervisor.InvalidResource")
            #expect(answer["parameters"]?["resource"]?.string == missing, "\(answer)")
            // sanlock itself would let one of two that share it on a host have it alone.
            let shared = try hosts.leaseText(disk, shared: true)
            let sharer = try here.start(["--no-auto-disks", "--lease", shared], named: "sharer")
            try guest.leasehold("attach-lease", shared).expecting(.exit(0))
            expectOneLine(try guest.leasehold("attach-lease", lease), code: 75, naming: ["\(sharer.pid)"])
            try sharer.stop()
            try guest.leasehold("attach-lease", lease).expecting(.exit(0))
            #expect(try there.attempt(disk).status == .exit(75))
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    /// A disk is detached just when its storage has failed: that its lease can't be marked free is told, and harms no guest.
    @Test func aLeaseThatCannotBeMarkedFreeIsTheGuestsNoMore() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let disk = try hosts.disk()
            try hosts.formatLease(disk)
            let lease = try hosts.leaseText(disk)
            try guest.leasehold("attach-lease", lease).expecting(.exit(0))
            try FileManager.default.removeItem(atPath: try hosts.leasePath(disk))
            expectOneLine(
                try guest.leasehold("detach-lease", lease), code: 69,
                naming: [try leaseName(disk), "were not all given back", "ENOENT"])
            #expect(try guest.status()["leases"]?.array?.count == 1)
            // Some looks at the leases later.
            pause(milliseconds: 4500)
            #expect(try guest.status()["state"] == "running")
            try guest.waitUntilWriting()
            // The others are given back and taken again as ever.
            try guest.leasehold("suspend", "--release").expecting(.exit(0))
            try guest.leasehold("resume").expecting(.exit(0))
            try guest.waitUntilWriting()
            #expect(try guest.leasehold("kill", "--json").expecting(.exit(0)).json()["leasesFree"] == false)
        }
    }

    /// A guest that started without any lease is watched from its first one.
    @Test func theFirstLeaseOfAGuestIsWatched() throws {
        try withTwoHosts { hosts in
            let scratch = try Scratch()
            defer { scratch.remove() }
            let here = try Station(on: hosts.first, of: hosts, scratch)
            let guest = try here.start(["--no-auto-disks"], try Probe.command("sleep", "60"))
            let disk = try hosts.disk()
            try here.leasehold("attach-disk", "guest", disk).expecting(.exit(0))
            pause(milliseconds: 2500)
            let status = try guest.status()
            #expect(status["lockspaces"]?[0]?["name"]?.string == TwoHosts.lockspace)
            hosts.first.daemon.kill()
            #expect(try guest.running.wait(timeout: 8) == .exit(74))
        }
    }

    /// No monitor tells of it: the kernel does, whatever the file is called.
    @Test func aDiskThatAnyProcessOfTheGuestHasOpenToWriteIsKept() throws {
        try Station.withTwo { hosts, here, there in
            let (disk, scratch) = (try hosts.disk(), here.scratch)
            let link = scratch.file("another-name")
            try FileManager.default.linkItem(atPath: disk, toPath: link)
            let step = { (mark: String) in "until [ -e \(scratch.file(mark)) ]; do sleep 0.05; done" }
            let script = """
                setsid sh -c '\(step("open")); exec 3<>\(link); : > \(scratch.file("is-open")); \(step("close")); exec 3>&-
                : > \(scratch.file("is-closed")); sleep 60' & sleep 60
                """
            let guest = try here.start([], ["sh", "-c", script])
            try here.leasehold("attach-disk", "guest", disk).expecting(.exit(0))
            try scratch.write("", to: "open")
            try eventually(within: 10) { FileManager.default.fileExists(atPath: scratch.file("is-open")) }
            expectOneLine(try here.leasehold("detach-disk", "guest", disk), code: 75, naming: [disk, "open to write"])
            #expect(try there.attempt(disk).status == .exit(75))
            try scratch.write("", to: "close")
            try eventually(within: 10) { FileManager.default.fileExists(atPath: scratch.file("is-closed")) }
            try here.leasehold("detach-disk", "guest", disk).expecting(.exit(0))
            #expect(try there.attempt(disk).status == .exit(0))
            try guest.stop()
        }
    }

    @Test func withoutAnyLeaseLeftNothingIsLost() throws {
        try Station.withTwo { hosts, here, _ in
            let disk = try hosts.disk()
            let guest = try here.start(["--no-auto-disks", "--disk", disk], try Probe.command("sleep", "60"))
            try here.leasehold("detach-disk", "guest", disk).expecting(.exit(0))
            pause(milliseconds: 16_000)
            #expect(guest.running.isRunning)
            #expect(try guest.status()["state"] == "running")
            try guest.stop()
        }
    }
}
