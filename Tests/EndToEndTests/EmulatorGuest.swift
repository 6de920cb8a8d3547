import Foundation
import TestSupport

/// A real QEMU under a supervisor with a monitor of its own (`--qmp`), and a second monitor for the test, as its manager has one.
struct EmulatorGuest {
    let station: Station
    let name: String
    let disk: String
    let running: RunningProgram
    /// The test's monitor.
    let monitor: QMP
    /// A monitor for others.
    let spareSocket: String

    /// Starts one that writes its disk all the time, and waits until it does.
    ///
    /// - Parameters:
    ///   - options: further options of the supervisor.
    ///   - more: further arguments of QEMU. It has a SCSI controller `sc` to plug disks in.
    init(
        on station: Station, disk: String, named name: String = "guest", options: [String] = [], more: [String] = []
    ) throws {
        self.station = station
        self.name = name
        self.disk = disk
        let scratch = station.scratch
        let mark = UUID().uuidString.prefix(6)
        let (ours, manager) = (scratch.file("q\(mark)"), scratch.file("m\(mark)"))
        spareSocket = scratch.file("n\(mark)")
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: disk))
        try file.write(contentsOf: BootSector.writer())
        try file.close()
        let command = QEMU.command(
            qmpSocket: ours,
            more: [
                "-qmp", "unix:\(manager),server=on,wait=off", "-qmp", "unix:\(spareSocket),server=on,wait=off",
                "-device", "virtio-scsi-pci,id=sc",
                "-drive", "file=\(disk),format=raw,if=ide,file.locking=off",
            ] + more)
        running = try scratch.start(
            try station.supervised(["--name", name, "--qmp", ours, "--log-level", "info"] + options, command))
        monitor = try QMP(manager)
        try waitUntilWriting()
        try eventually(within: 10, "the supervisor having its monitor: \(running.errors)") {
            try leasehold("suspend").succeeded
        }
        try leasehold("resume").expecting(.exit(0))
    }

    /// Runs `leasehold WORDS[0] GUEST WORDS[1…]` on its host.
    func leasehold(_ words: String...) throws -> Outcome {
        try Program(
            try Products.cli(), [words[0], name] + words.dropFirst(), environment: station.environment
        ).run(timeout: 30)
    }

    func status() throws -> JSONValue { try leasehold("status", "--json").expecting(.exit(0)).json() }

    /// What the disk holds; it changes for as long as the guest writes.
    func content() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: disk)) }

    func waitUntilWriting() throws {
        let first = try content()
        try eventually(within: 20, "\(name) writing: \(running.errors)") { try content() != first }
    }

    /// Whether it leaves its disk alone for half a second.
    func isStill() throws -> Bool {
        let first = try content()
        pause(milliseconds: 500)
        return try content() == first
    }

    /// The version of its own disk's lease.
    func version() throws -> Int {
        let leases = try status()["leases"]?.array ?? []
        guard let version = leases.first(where: { $0["disk"]?.string == disk })?["version"]?.integer else {
            throw TestFailure("no version of \(disk): \(leases)")
        }
        return version
    }

    /// The disks of its leases, with `exclusive` or `shared`.
    func disks() throws -> [String: String] {
        let leases = try status()["leases"]?.array ?? []
        return Dictionary(
            uniqueKeysWithValues: leases.compactMap { lease in
                lease["disk"]?.string.flatMap { disk in lease["mode"]?.string.map { (disk, $0) } }
            })
    }

    /// Plugs a disk in, as a manager does; the id of device and node is given.
    func plug(_ disk: String, as id: String) throws {
        try monitor.execute(
            "blockdev-add",
            [
                "driver": "raw", "node-name": .string(id),
                "file": ["driver": "file", "filename": .string(disk), "locking": "off"],
            ])
        try monitor.execute(
            "device_add", ["driver": "scsi-hd", "drive": .string(id), "id": .string("d-\(id)"), "bus": "sc.0"])
    }

    /// Unplugs it. The node of its image stays open.
    func unplugDevice(_ id: String) throws {
        try monitor.execute("device_del", ["id": .string("d-\(id)")])
        _ = try monitor.waitForEvent("DEVICE_DELETED")
    }
}
