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

        func begin(_ arguments: String...) throws -> RunningProgram {
            try hosts.scratch.start(Program(try Products.cli(), arguments, environment: station.environment))
        }

        /// Every way to look, five times: each answers within 100 ms. (The quickest of the five counts: the machine has
        /// other things to do.)
        func expectQuickAnswers(_ name: String, _ state: String) throws {
            for command in [["status", name, "--json"], ["status", name], ["list"], ["child-pid", name]] {
                let program = Program(try Products.cli(), command, environment: station.environment)
                let outcomes = try (0..<5).map { _ in try program.run(timeout: 10).expecting(.exit(0)) }
                let seconds = outcomes.map(\.seconds)
                #expect((seconds.min() ?? 9) < 0.1 && (seconds.max() ?? 9) < 1, "\(command), \(state): \(seconds)")
                if command.contains("--json") {
                    #expect(try outcomes.last?.json()["state"]?.string == state, "\(outcomes)")
                }
            }
        }

        /// Ends a guest; it is dead within a second, and the command says so soon.
        func expectEnded(_ guest: Guest, by verb: String, _ reason: String, _ state: String) throws {
            let child = try guest.status()["childPid"]?.integer.flatMap { pid_t(exactly: $0) }
            let process = try #require(child.flatMap { ProcessIdentity(living: $0) })
            let asked = monotonicNanoseconds()
            let more = verb == "stop" ? ["--timeout", "500ms"] : []
            let command = try hosts.scratch.start(
                Program(
                    try Products.cli(), [verb, guest.name, "--json"] + more, environment: station.environment))
            try eventually(within: 10, every: 1, "\(verb) of \(guest.name), \(state)") { !process.exists }
            let deadAfter = secondsSince(asked)
            #expect(deadAfter < 1.5, "\(verb), \(state)")
            let outcome = try command.finish(timeout: 20).expecting(.exit(0))
            let exit = try outcome.json()
            #expect(exit["reason"]?.string == reason && exit["leasesFree"] == false, "\(exit)")
            #expect(outcome.seconds < 10, "\(verb), \(state)")
            print("\(verb) of a \(state) guest: dead after \(deadAfter) s, told after \(outcome.seconds) s")
        }
    }

    @Test(arguments: Hang.allCases) func lookingAndEndingWorkInEveryState(hang: Hang) throws {
        let hosts = try FaultHosts(.faulty)
        defer { hosts.end() }
        let desk = Desk(hosts: hosts)
        let running = try ["running-stop", "running-kill"].map { try desk.start($0, .poweroff) }
        let pausing = try ["paused-stop", "paused-kill"].map { try desk.start($0, .pause) }
        let stopping = try ["stopping-stop", "stopping-kill"].map { try desk.startStubborn($0) }

        try hosts.waitForRenewal(1)
        try hang.begin(hosts)
        for guest in stopping { _ = try desk.begin("stop", guest.name, "--timeout", "100s") }
        for guest in stopping {
            try eventually(within: 2, every: 10) { try guest.status()["state"] == "stopping" }
        }
        try desk.expectQuickAnswers(running[0].guest.name, "running")
        try desk.expectQuickAnswers(stopping[0].name, "stopping")
        for (verb, index, reason) in [("stop", 0, "stopped"), ("kill", 1, "killed")] {
            try desk.expectEnded(running[index].guest, by: verb, reason, "running")
            try desk.expectEnded(stopping[index], by: verb, reason, "stopping")
        }
        for guest in pausing {
            try eventually(within: 60, every: 50, "\(guest.guest.name) being paused") {
                guest.status?["state"] == "paused"
            }
        }
        try desk.expectQuickAnswers(pausing[0].guest.name, "paused")
        for (verb, index, reason) in [("stop", 0, "stopped"), ("kill", 1, "killed")] {
            try desk.expectEnded(pausing[index].guest, by: verb, reason, "paused")
        }
    }
}
