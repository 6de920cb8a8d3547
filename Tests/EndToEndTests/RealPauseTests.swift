import Foundation
import TestSupport
import Testing

/// QEMU under `--on-lease-loss pause` when its sanlock daemon vanishes.
@Suite(.serialized) struct RealPauseTests {
    @Test func goesOnByItselfWithAVersionOneHigherAndHoldsTheNewConnection() throws {
        try withPausedHosts { hosts in
            let stage = try EmulatorStage(BootSector.writer(), on: hosts)
            try stage.waitUntilWriting()
            let version = try stage.version()
            let connection = stage.sharedSockets
            #expect(connection.count == 1)
            hosts.first.daemon.kill()
            var clock = FairClock()
            var stopped = try stage.sectors()
            while clock.seconds < 1 {
                clock.pause(milliseconds: 5)
                stopped = try stage.sectors()
            }
            try stage.waitUntilPaused()
            pause(milliseconds: 1500)
            #expect(try stage.sectors() == stopped)
            #expect(stage.guest.exists)

            try hosts.first.daemon.restart()
            try eventually(within: 30, "QEMU going on: \(stage.program.errors)") { try stage.sectors() != stopped }
            try eventually(within: 5) { try stage.status()["state"] == "running" }
            #expect(try stage.version() == version + 1)
            #expect(try stage.status()["leases"]?[0]?["state"] == "held")
            let holders = try hosts.holders(of: stage.disk)
            #expect(holders.count == 1 && holders.first?.host.id == 1)
            // The lease stays held for as long as QEMU lives, whoever else ends.
            try eventually(within: 2) { stage.sharedSockets.count == 1 }
            #expect(stage.sharedSockets.isDisjoint(with: connection))
            #expect(try stage.stage.leasehold("stop", "guest").succeeded)
            try stage.stage.expectNothingLeft()
        }
    }

    /// With `cache=unsafe` QEMU itself flushes nothing, and the kernel would write for half a minute after the release.
    @Test func leavesNothingToBeWrittenWhenItsLeasesAreGivenBack() throws {
        try withPausedHosts { hosts in
            let stage = try EmulatorStage(BootSector.writer(), on: hosts, isUnsafe: true)
            try stage.waitUntilWriting()
            #expect(try stage.dirtyPages() > 0)
            hosts.first.daemon.kill()
            try stage.waitUntilPaused()
            #expect(try stage.dirtyPages() == 0)
            #expect(stage.guest.exists)
            #expect(try stage.stage.leasehold("kill", "guest").succeeded)
            try hosts.first.daemon.restart()
            try hosts.first.join()
            try stage.stage.expectNothingLeft()
        }
    }

    /// One daemon under them all.
    @Test func diesWhereItCannotBeHeld() throws {
        try withTwoHosts { hosts in
            // It is asleep, which QEMU's `stop` doesn't change.
            let asleep = try EmulatorStage(BootSector.sleeper, on: hosts)
            let sleeper = try QMP(asleep.otherSocket)
            try eventually(within: 20) { try sleeper.status() == "suspended" }
            // It has a write under way that doesn't end.
            let hanging = try EmulatorStage(BootSector.writer(), on: hosts)
            try hanging.waitUntilWriting()
            try QMP(hanging.otherSocket).execute(
                "human-monitor-command", ["command-line": "qemu-io boot \"break pwritev hanging\""])
            // It is stopped as a process, and answers nobody.
            let stopped = try EmulatorStage(BootSector.writer(), on: hosts)
            try stopped.waitUntilWriting()
            stopped.guest.signal(SIGSTOP)
            // Somebody else is served by the monitor.
            let taken = try EmulatorStage(BootSector.writer(), on: hosts, monitorIsTaken: true)
            try taken.waitUntilWriting()

            hosts.first.daemon.kill()
            let guests = [asleep, hanging, stopped, taken].map(\.guest)
            try eventually(within: 1, every: 1, "the end of \(guests.filter(\.exists))") {
                guests.allSatisfy { !$0.exists }
            }
            for stage in [asleep, hanging, stopped, taken] {
                #expect(try stage.program.wait(timeout: 8) == .exit(74), "\(stage.program.errors)")
                #expect(try stage.stage.exitRecord()["reason"] == "leaseLost")
            }
            try hosts.first.daemon.restart()
            try hosts.first.join()
            for stage in [asleep, hanging, stopped, taken] { try stage.stage.expectNothingLeft() }
        }
    }

    /// A daemon that hangs keeps whatever was asked of it; that keeps no guest from standing still.
    @Test func standsStillWhileItsDaemonHangsOverSomethingElse() throws {
        try withPausedHosts { hosts in
            let (running, standing) = (
                try EmulatorStage(BootSector.writer(), on: hosts), try EmulatorStage(BootSector.writer(), on: hosts)
            )
            for stage in [running, standing] { try stage.waitUntilWriting() }
            try eventually(within: 10) { try standing.stage.leasehold("suspend", "guest").succeeded }
            let daemon = try #require(ProcessIdentity(living: hosts.first.daemon.pid))
            daemon.signal(SIGSTOP)
            defer { daemon.signal(SIGCONT) }
            // A disk more, and its own to be shared.
            let attaching = [(standing, [try hosts.disk()]), (running, [running.disk, "--shared"])]
            let attempts = try attaching.map { stage, words in
                try hosts.scratch.start(try stage.stage.cli(["attach-disk", "guest"] + words))
            }
            try eventually(within: 30, every: 20, "the loss: \(standing.program.errors)") {
                let status = try standing.status()
                #expect(status["state"] == "paused")
                return status["leases"]?[0]?["state"] == "lost"
            }
            try running.waitUntilPaused()
            let stood = try running.sectors()
            for attempt in attempts { #expect(try attempt.wait(timeout: 10) == .exit(74)) }
            pause(milliseconds: 2000)
            #expect(try running.sectors() == stood)
            for stage in [running, standing] {
                #expect(try stage.status()["state"] == "paused")
                #expect(stage.guest.exists)
            }
            // What was asked for nobody is undone: what it takes again is what it had, or nothing.
            daemon.signal(SIGCONT)
            try eventually(within: 90, every: 100, "the guest's own lease: \(running.program.errors)") {
                let status = try running.status()
                return status["leases"]?[0]?["state"] == "held" || running.program.errors.contains("stays stopped")
            }
            let lease = try running.status()["leases"]?[0]
            #expect(lease?["mode"] == "exclusive" && lease?["version"]?.integer != nil, "\(running.program.errors)")
            for stage in [running, standing] { #expect(try stage.stage.leasehold("kill", "guest").succeeded) }
        }
    }

    @Test func diesWhereSomebodyElseLetsItGoOn() throws {
        try withPausedHosts { hosts in
            let stage = try EmulatorStage(BootSector.writer(), on: hosts)
            try stage.waitUntilWriting()
            let other = try QMP(stage.otherSocket)
            hosts.first.daemon.kill()
            try stage.waitUntilPaused()
            _ = try? other.execute("cont", timeout: 1)
            try eventually(within: 1) { !stage.guest.exists }
            #expect(try stage.program.wait(timeout: 8) == .exit(74))
            #expect(try stage.stage.exitRecord()["reason"] == "leaseLost")
            try hosts.first.daemon.restart()
            try hosts.first.join()
            try stage.stage.expectNothingLeft()
        }
    }

    /// A guest that its manager had stopped before is the manager's to continue.
    @Test func isNotContinuedWhereItsManagerHadStoppedIt() throws {
        try withPausedHosts { hosts in
            let stage = try EmulatorStage(BootSector.writer(), on: hosts)
            try stage.waitUntilWriting()
            let version = try stage.version()
            let manager = try QMP(stage.otherSocket)
            try manager.execute("stop")
            let stopped = try stage.sectors()
            hosts.first.daemon.kill()
            try stage.waitUntilPaused()
            try hosts.first.daemon.restart()
            try eventually(within: 30) { try stage.version() == version + 1 }
            try eventually(within: 10) { try stage.status()["leases"]?[0]?["state"] == "held" }
            pause(milliseconds: 1000)
            #expect(try manager.status() == "paused")
            #expect(try stage.sectors() == stopped)
            try manager.execute("cont")
            try eventually(within: 5) { try stage.sectors() != stopped }
            #expect(stage.guest.exists)
            #expect(try stage.stage.leasehold("kill", "guest").succeeded)
            try stage.stage.expectNothingLeft()
        }
    }
}

/// A real QEMU with a guest of one sector, paused by its supervisor where its leases are lost.
private struct EmulatorStage {
    let stage: KillStage
    let disk: String
    let otherSocket: String
    let program: RunningProgram
    let guest: ProcessIdentity
    private let held: QMP?

    init(_ sector: Data, on hosts: TwoHosts, monitorIsTaken: Bool = false, isUnsafe: Bool = false) throws {
        let stage = try KillStage(hosts)
        self.stage = stage
        disk = try hosts.scratch.bootDisk("disks/k\(stage.tag)", sector)
        let socket = hosts.scratch.file("q\(stage.tag)")
        otherSocket = hosts.scratch.file("o\(stage.tag)")
        let cache = isUnsafe ? #","cache":{"no-flush":true}"# : ""
        let image = #"{"driver":"file","filename":"\#(disk)"\#(cache)}"#
        let node = #"{"driver":"blkdebug","node-name":"boot","image":\#(image)\#(cache)}"#
        let drive = ["-blockdev", node, "-device", "ide-hd,drive=boot,bus=ide.0,unit=0"]
        let command = QEMU.command(
            qmpSocket: monitorIsTaken ? nil : socket,
            more: ["-qmp", "unix:\(otherSocket),server=on,wait=off"] + drive)
        let program = try hosts.scratch.start(
            try stage.supervised(
                [
                    "--name", "guest", "--disk", disk, "--on-lease-loss", "pause",
                    "--qmp", socket,
                ], command))
        self.program = program
        guest = try eventuallyFound(within: 10, "QEMU running: \(program.errors)") {
            let child = try stage.leasehold("child-pid", "guest").output.dropLast()
            return pid_t(child).flatMap { ProcessIdentity(living: $0) }
        }
        // Only when it has its client the supervisor finds it.
        held = monitorIsTaken ? try QMP(otherSocket) : nil
        if monitorIsTaken, symlink(otherSocket, socket) != 0 { throw TestFailure("can't link \(socket)") }
        // By then the supervisor has connected to a monitor that serves it; one that isn't there at once is asked less often.
        pause(milliseconds: monitorIsTaken ? 2000 : 500)
    }

    /// The counters of a `BootSector.writer`, by sector.
    func sectors() throws -> [UInt8] {
        let data = try Data(contentsOf: URL(fileURLWithPath: disk))
        return stride(from: 512, to: data.count, by: 512).flatMap { data[$0..<$0 + 4] }
    }

    /// The pages of its disk that are yet to be written.
    func dirtyPages() throws -> Int {
        let output = try Probe.program("dirty-pages", disk).run().expecting(.exit(0)).output
        guard let count = Int(output.dropLast()) else { throw TestFailure("no number of pages: \(output)") }
        return count
    }

    func waitUntilWriting() throws {
        let first = try sectors()
        try eventually(within: 20, "QEMU writing: \(program.errors)") { try sectors() != first }
    }

    func status() throws -> JSONValue {
        try stage.leasehold("status", "guest", "--json").expecting(.exit(0)).json()
    }

    func waitUntilPaused() throws { try program.waitUntilPaused(within: 15) { try status()["state"] == "paused" } }

    func version() throws -> Int {
        try eventuallyFound(within: 5, "a version") { try status()["leases"]?[0]?["version"]?.integer }
    }

    /// The sockets that both supervisor and QEMU have open.
    var sharedSockets: Set<String> { sockets(of: program.pid).intersection(sockets(of: guest.pid)) }

    private func sockets(of process: pid_t) -> Set<String> {
        let directory = "/proc/\(process)/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let targets = names.compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)")
        }
        return Set(targets.filter { $0.hasPrefix("socket:") })
    }
}
