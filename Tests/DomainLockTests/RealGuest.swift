import DomainLock
import Foundation
import LockManager
import TestSupport

/// A QEMU guest that an application has started through the library, with a monitor of the application's own.
struct RealGuest {
    let stage: Stage
    let lock: DomainLock
    let monitor: QMP

    /// Starts it; with a URI, so that it waits for a migration from there.
    init(_ stage: Stage, _ identity: GuestIdentity? = nil, disks: [String], incoming: String? = nil) throws {
        self.stage = stage
        let mark = UUID().uuidString.prefix(6)
        let (own, supervisors) = (stage.place.scratch.file("a\(mark)"), stage.place.scratch.file("q\(mark)"))
        let more = ["-qmp", "unix:\(supervisors),server=on,wait=off"] + (incoming.map { ["-incoming", $0] } ?? [])
        let command = QEMU.command(disks: disks, qmpSocket: own, more: more)
        let options = ["--qmp", supervisors]
        let resources = disks.map { Resource.disk($0) }
        let run: ([String]) throws -> Int32 = { try stage.place.start($0).pid }
        let guest = try identity ?? stage.identity()
        if incoming == nil {
            lock = try DomainLock.start(
                guest, stage.plugin, resources: resources, options: options, command: command, run: run)
        } else {
            lock = try DomainLock.startIncoming(
                guest, stage.plugin, resources: resources, options: options, command: command, run: run)
        }
        monitor = try QMP(own)
        if incoming == nil { try waitUntilItRuns() }
    }

    func waitUntilItRuns() throws {
        try eventually(within: 10, every: 20, "the guest running") {
            try monitor.status() == "running" && lock.manager.status().state == .running
        }
    }

    var isRunning: Bool { get throws { try monitor.status() == "running" } }

    /// Opens a disk as a guest's hotplug does.
    func open(_ disk: String, as name: String) throws {
        try monitor.execute(
            "blockdev-add",
            ["node-name": .string(name), "driver": "raw", "file": ["driver": "file", "filename": .string(disk)]])
    }

    func close(_ name: String) throws { try monitor.execute("blockdev-del", ["node-name": .string(name)]) }

    /// Sends the guest away, and returns when it has arrived.
    func send(to uri: String) throws {
        try monitor.execute("migrate", ["uri": .string(uri)])
        try eventually(within: 30, every: 20, "the migration") {
            let state = try monitor.execute("query-migrate")["status"]?.string
            if state == "failed" || state == "cancelled" { throw TestFailure("the migration has \(state ?? "")") }
            return state == "completed"
        }
    }

    /// The disks whose leases it has.
    func held() throws -> Set<String> { Set(try versions().keys) }

    /// The versions of its disks' leases.
    func versions() throws -> [String: Int] {
        var versions: [String: Int] = [:]
        for lease in try lock.manager.inquire() where lease.state == .held {
            versions[lease.disk ?? ""] = lease.version
        }
        return versions
    }
}
