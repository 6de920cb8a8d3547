import Foundation
import TestSupport
import Testing

/// With the daemon or its storage hanging, people can still look at guests and end them: running, paused and stopping.
@Suite struct HangingAnswersTests {
    enum Hang: String, CaseIterable, Sendable {
        case daemon
        case storage

        func begin(_ hosts: FaultHosts) throws {
            switch self {
            case .daemon: hosts.first.daemon.stop()
            case .storage: try hosts.faultFileSystem?.set(.hanging)
            }
        }
    }

    /// The guests of one host, and what was measured of them.
    private struct Desk {
        let hosts: FaultHosts
        var station: Station { hosts.first }

        /// A guest that ends at SIGTERM; with `pause` one that can be paused.
        func start(_ name: String, _ policy: LossPolicy) throws -> FaultGuest {
            let disk = try hosts.scratch.disk("disks/\(name)")
            let observer = try DiskObserver(disk)
            defer { observer.end() }
            return try FaultGuest(policy, on: hosts, disk: disk, observer: observer, hertz: 25, name: name)
        }

        /// A guest that ignores every signal it can.
        func startStubborn(_ name: String) throws -> Guest {
            let disk = try hosts.scratch.disk("disks/\(name)")
            let record = HostileRecord(hosts.scratch.file("\(name).pids"))
            let command = try Probe.command("hostile", "ignore-signals", record.path, "120")
            let guest = try station.start(["--disk", disk, "--stop-timeout", "100s"], command, named: name)
            try record.waitUntilReady()
            return guest
        }

        func begin(_ arguments: [String]) throws -> RunningProgram {
            try hosts.scratch.start(Program(try Products.cli(), arguments, environment: station.environment))
        }

        /// Every way to look.
        func expectQuickAnswers(_ name: String, _ state: String) throws {
            for command in [["status", name, "--json"], ["status", name], ["list"], ["child-pid", name]] {
                let program = Program(try Products.cli(), command, environment: station.environment)
                let last = try QuickAnswers.expect(program, "\(command), \(state)")
                if command.contains("--json") {
                    #expect(try last.json()["state"]?.string == state, "\(last)")
                }
            }
        }

        /// Ends guests, at once: each is dead within a second, and its command says so soon.
        func expectEnded(_ endings: [Ending]) throws {
            let victims = try endings.map { ending in
                let child = try ending.guest.status()["childPid"]?.integer.flatMap { pid_t(exactly: $0) }
                return try #require(child.flatMap { ProcessIdentity(living: $0) }, "\(ending.guest.name) has no child")
            }
            let commands = try endings.map { ending in
                let more = ending.verb == "stop" ? ["--timeout", "500ms"] : []
                return try begin([ending.verb, ending.guest.name, "--json"] + more)
            }
            for ((ending, victim), command) in zip(zip(endings, victims), commands) {
                let what = "\(ending.verb), \(ending.state)"
                try eventually(within: 10, every: 1, what) { !victim.exists }
                let deadAfter = secondsSince(command.startedNanoseconds)
                #expect(deadAfter < 4, "\(what)")
                print("\(what): dead after at most \(deadAfter) s")
            }
            for (ending, command) in zip(endings, commands) {
                let outcome = try command.finish(timeout: 20).expecting(.exit(0))
                let exit = try outcome.json()
                let reason = ending.verb == "stop" ? "stopped" : "killed"
                #expect(exit["reason"]?.string == reason && exit["leasesFree"] == false, "\(exit)")
                #expect(outcome.seconds < 10, "\(ending.verb), \(ending.state)")
            }
        }
    }

    /// A guest to be ended, and how.
    private struct Ending {
        let guest: Guest
        let verb: String
        let state: String

        static func both(_ guests: [Guest], _ state: String) -> [Ending] {
            zip(guests, ["stop", "kill"]).map { Ending(guest: $0, verb: $1, state: state) }
        }
    }

    /// What hangs has failed after eight seconds, and ends the guests. Where the machine needs them all to look at them, it is
    /// begun again.
    private struct Overtaken: Error {
        let seconds: Double
    }

    @Test(arguments: Hang.allCases) func lookingAndEndingWorkInEveryState(hang: Hang) throws {
        for _ in 0..<3 {
            do { return try lookAndEnd(hang) } catch let late as Overtaken {
                print("\(hang): \(late.seconds) s of looking: once more")
            }
        }
        try lookAndEnd(hang)
    }

    private func lookAndEnd(_ hang: Hang) throws {
        let hosts = try FaultHosts(.faulty)
        defer { hosts.end() }
        let desk = Desk(hosts: hosts)
        let running = try ["running-stop", "running-kill"].map { try desk.start($0, .poweroff) }
        let pausing = try ["paused-stop", "paused-kill"].map { try desk.start($0, .pause) }
        let stopping = try ["stopping-stop", "stopping-kill"].map { try desk.startStubborn($0) }

        try hosts.waitForRenewal(1)
        try hang.begin(hosts)
        let begun = monotonicNanoseconds()
        do {
            for guest in stopping { _ = try desk.begin(["stop", guest.name, "--timeout", "100s"]) }
            for guest in stopping {
                try eventually(within: 2, every: 10) { try guest.status()["state"] == "stopping" }
            }
            try desk.expectQuickAnswers(running[0].guest.name, "running")
            try desk.expectQuickAnswers(stopping[0].name, "stopping")
        } catch {
            throw secondsSince(begun) < 4 ? error : Overtaken(seconds: secondsSince(begun))
        }
        if secondsSince(begun) >= 4 { throw Overtaken(seconds: secondsSince(begun)) }
        try desk.expectEnded(
            Ending.both(running.map(\.guest), "running") + Ending.both(stopping, "stopping"))
        for guest in pausing {
            try eventually(within: 60, every: 50, "\(guest.guest.name) being paused") {
                guest.status?["state"] == "paused"
            }
        }
        try desk.expectQuickAnswers(pausing[0].guest.name, "paused")
        try desk.expectEnded(Ending.both(pausing.map(\.guest), "paused"))
    }
}
