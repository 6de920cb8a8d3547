import Foundation
import TestSupport

/// A guest under `--on-lease-loss pause` whose monitor is one of the hostile ones, and all that was told about it.
struct MonitorStage {
    let stage: KillStage
    let monitor: HostileMonitor
    let program: RunningProgram
    let guest: ProcessIdentity
    private let follower: EventFollower

    /// Starts the guest; returns once it writes and, where it serves one, its supervisor has tried its monitor.
    init(_ behaviour: HostileMonitor.Behaviour, on hosts: TwoHosts) throws {
        stage = try KillStage(hosts)
        let scratch = hosts.scratch
        let monitor = HostileMonitor(behaviour, socket: scratch.file("q\(stage.tag)"), disk: stage.disk)
        self.monitor = monitor
        // What is not a write of the guest's goes.
        guard truncate(stage.disk, 0) == 0 else { throw TestFailure("can't empty \(stage.disk)") }
        let options = ["--name", "guest", "--disk", stage.disk, "--qmp", monitor.socket, "--on-lease-loss", "pause"]
        let program = try scratch.start(try stage.supervised(options, try monitor.command()))
        self.program = program
        try eventually(within: 10, every: 5, "\(behaviour) writing: \(program.errors)") {
            try monitor.writes().count > 5
        }
        let stage = stage
        guest = try eventuallyFound(within: 5, "\(behaviour) running") {
            let child = try stage.leasehold("child-pid", "guest").output.dropLast()
            return pid_t(child).flatMap { ProcessIdentity(living: $0) }
        }
        follower = try EventFollower("\(stage.runDirectory)/guests/guest/control")
    }

    /// What the supervisor says of the guest.
    func status() throws -> JSONValue {
        try stage.leasehold("status", "guest", "--json").expecting(.exit(0)).json()
    }

    /// The version of its one lease.
    func version() throws -> Int {
        guard let version = try status()["leases"]?[0]?["version"]?.integer else {
            throw TestFailure("no version of a lease: \(try status())")
        }
        return version
    }

    /// The events told since the start.
    func events() -> [JSONValue] { follower.events() }

    /// Their names.
    func eventNames() -> [String] { events().compactMap { $0["event"]?.string } }

    /// The commands that its monitor has taken in.
    var commands: [String] { HostileMonitor.commands(in: program.output) }

    /// Waits until it was paused for the first time, or as often as this.
    func waitUntilPaused(_ times: Int = 1) throws {
        try program.waitUntilPaused(within: 15) { eventNames().count { $0 == "paused" } == times }
    }

    /// Waits until an event of this name was told.
    @discardableResult
    func waitForEvent(_ name: String, within seconds: Double) throws -> JSONValue {
        try eventuallyFound(
            within: seconds, "\(monitor.behaviour): event \(name); \(eventNames()); \(program.errors)"
        ) {
            events().last { $0["event"]?.string == name }
        }
    }

    /// The writes after a moment, in seconds after it.
    func writes(after moment: UInt64) throws -> [Double] {
        try monitor.writes().filter { $0 > moment }.map { Double($0 - moment) / 1e9 }
    }
}

/// Collects a guest's events. For one thread.
private final class EventFollower {
    private let connection: ControlConnection
    private var collected: [JSONValue] = []

    /// Returns once it follows.
    init(_ control: String) throws {
        connection = try ControlConnection(control)
        try connection.send("Monitor", more: true)
        guard try connection.receive()?["parameters"]?["status"] != nil else { throw TestFailure("no status") }
        var limit = timeval(tv_sec: 0, tv_usec: 1000)
        setsockopt(connection.descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func events() -> [JSONValue] {
        while let reply = try? connection.receive() {
            if let event = reply["parameters"]?["event"] { collected.append(event) }
        }
        return collected
    }
}
