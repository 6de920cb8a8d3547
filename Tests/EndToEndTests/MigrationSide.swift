import Foundation
import TestSupport

/// One side of a migration: a supervisor and the emulator below it, on one of the two hosts.
struct MigrationSide {
    let guest: Guest
    /// 0 or 1: which host.
    let place: Int
    let emulator: ProcessIdentity
    /// A monitor for the test.
    let monitor: QMP
    /// Where it takes a migration in.
    let uri: String
    /// Where its guest tells what it sees.
    let report: String
    let watch: RunnerWatch

    var name: String { guest.name }
    var supervisor: RunningProgram { guest.running }
    var station: Station { guest.station }
    /// Its control socket.
    var control: String { "\(station.runDirectory)/guests/\(name)/control" }

    /// Runs `leasehold` on its host.
    func leasehold(_ arguments: String..., timeout: Double = 30) throws -> Outcome {
        try cli(arguments).run(timeout: timeout)
    }

    func cli(_ arguments: [String]) throws -> Program {
        Program(try Products.cli(), arguments, environment: station.environment)
    }

    /// The word of its status.
    func state() throws -> String? { try guest.status()["state"]?.string }

    /// The version of its first lease, as its status tells.
    func version(_ index: Int = 0) throws -> Int? { try guest.status()["leases"]?[index]?["version"]?.integer }

    /// Waits for a word of its status.
    func wait(for state: String, within seconds: Double = 15) throws {
        var last: String?
        do {
            try eventually(within: seconds, every: 20) {
                last = try self.state()
                return last == state
            }
        } catch {
            throw TestFailure("\(name) on host \(place + 1) is \(last ?? "?"), not \(state): \(supervisor.errors)")
        }
    }

    /// The events that its supervisor has logged, in order.
    var events: [String] {
        supervisor.errors.split(separator: "\n").compactMap { line in
            let message = (try? JSONValue(parsing: String(line)))?["message"]?.string
            return message.flatMap { MigrationSide.eventNames.contains($0) ? $0 : nil }
        }
    }

    private static let eventNames: Set<String> = [
        "registered", "acquired", "started", "paused", "resumed", "attached", "detached", "leaseWarning", "requested",
        "leaseLost", "exited", "released",
    ]

    /// The record of its end.
    func exitRecord() throws -> JSONValue {
        let path = "\(station.runDirectory)/exits/\(name).json"
        return try eventuallyFound(within: 5, "the exit record of \(name)") {
            try FileManager.default.contents(atPath: path).map { try JSONValue(parsing: $0) }
        }
    }

    /// The ticket of `prepare` or `out`.
    func ticket(_ step: String, _ more: String..., timeout: Double = 30) throws -> JSONValue {
        try cli(["migrate", step, name] + more).run(timeout: timeout).expecting(.exit(0)).json()
    }

    /// Calls the migration back from here. A storage that is slow under the tests' load is asked again.
    func callBack() throws -> Outcome {
        for _ in 0..<4 {
            let outcome = try leasehold("migrate", "out", name, "--cancel")
            guard outcome.errors.contains("the lease storage failed") else { return outcome }
            pause(milliseconds: 500)
        }
        return try leasehold("migrate", "out", name, "--cancel")
    }

    /// Has the emulator migrate, and waits for the end of that.
    func migrate(to uri: String) throws {
        try monitor.execute("migrate", ["uri": .string(uri)])
        try eventually(within: 30, every: 10, "the end of QEMU's migration") {
            let state = try monitor.execute("query-migrate")["status"]?.string
            if state == "failed" { throw TestFailure("QEMU's migration failed") }
            return state == "completed"
        }
    }

    /// From now on a migration of it is so slow that it doesn't end.
    func slowDown() throws { try monitor.execute("migrate-set-parameters", ["max-bandwidth": 20000]) }

    /// And from now on it does.
    func hurry() throws { try monitor.execute("migrate-set-parameters", ["max-bandwidth": 1_000_000_000]) }
}
