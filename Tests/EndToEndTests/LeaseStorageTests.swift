import Foundation
import TestSupport
import Testing

/// A file system for the lease directory that is nobody else's.
struct LeaseStorage: CustomTestStringConvertible, Sendable {
    let kind: String
    let sectorBytes: Int

    var testDescription: String { "\(kind), sectors of \(sectorBytes)" }

    static let all = ["ext4", "xfs"].flatMap { kind in
        [512, 4096].map { LeaseStorage(kind: kind, sectorBytes: $0) }
    }

    /// xfs wants 300 MiB; the image is sparse.
    private var mebibytes: Int { kind == "xfs" ? 320 : 64 }

    /// Makes and mounts it. It is unmounted with the scratch directory, and its device goes with the mount.
    func mount(at mountPoint: String, _ scratch: Scratch) throws {
        let image = try scratch.disk("image-\(UUID().uuidString.prefix(8))", mebibytes: mebibytes)
        let device = try LoopDevice(image, sectorBytes: sectorBytes, scratch)
        try Program.run("mkfs.\(kind)", ["-q", device.path]).expecting(.exit(0))
        try Program.run("mount", [device.path, mountPoint]).expecting(.exit(0))
        scratch.atEnd { _ = try? Program.run("umount", ["-l", mountPoint]) }
        try device.detachLazily()
    }
}

/// Two hosts with their lease directory on a file system of its own. Nothing is set up yet.
private final class StorageHosts: Sendable {
    let scratch: Scratch
    let mountPoint: String
    let leaseDirectory: String
    let daemons: [SanlockDaemon]

    init(_ storage: LeaseStorage) throws {
        let scratch = try Scratch()
        self.scratch = scratch
        do {
            let mountPoint = try scratch.directory("m")
            self.mountPoint = mountPoint
            try storage.mount(at: mountPoint, scratch)
            leaseDirectory = try scratch.directory("m/leases")
            // Ended before the file system is unmounted.
            daemons = try (1...2).map { id in
                let daemon = try SanlockDaemon(hostName: "host\(id)", runDirectory: scratch.file("s\(id)"))
                scratch.atEnd { daemon.end() }
                return daemon
            }
        } catch {
            scratch.remove()
            throw error
        }
    }

    func stations(settings: [String: String] = [:]) throws -> [Station] {
        try daemons.enumerated().map { index, daemon in
            try Station(daemon, id: index + 1, leaseDirectory: leaseDirectory, scratch, settings: settings)
        }
    }

    func path(_ disk: String) throws -> String { "\(leaseDirectory)/\(try leaseName(disk))" }

    /// Starts a guest on each host at once.
    func start(_ disks: [String], _ stations: [Station]) throws -> [Guest] {
        let guests = try zip(disks, stations).map { disk, station in
            let program = try station.supervised(["--name", "guest", "--disk", disk], Probe.command("sleep", "60"))
            return Guest(running: try scratch.start(program), name: "guest", station: station)
        }
        for (guest, disk) in zip(guests, disks) {
            try guest.waitUntilRecorded(disk, within: 30)
            try expectLeases(of: guest, [try ExpectedLease(disk, in: leaseDirectory)])
        }
        return guests
    }
}

/// Lease files on file systems and devices of every kind.
@Suite struct LeaseStorageTests {
    @Test(arguments: LeaseStorage.all)
    func leasesOfTwoHostsWorkOnEachStorage(storage: LeaseStorage) throws {
        let hosts = try StorageHosts(storage)
        defer { hosts.scratch.remove() }
        let stations = try hosts.stations()
        let disks = ["/disks/one", "/disks/two"]
        for _ in 0..<2 {
            let guests = try hosts.start(disks, stations)
            for (disk, other) in zip(disks, stations.reversed()) {
                try other.refused(["--disk", disk], code: 75, naming: [disk, "guest guest"])
            }
            for guest in guests { #expect(try guest.stop().status == .signal(SIGTERM)) }
        }
        // The other way round, then with broken files.
        for guest in try hosts.start(disks.reversed(), stations) { try guest.stop() }
        for (disk, length) in zip(disks, [0, storage.sectorBytes]) {
            #expect(truncate(try hosts.path(disk), off_t(length)) == 0)
        }
        try hosts.daemons[0].sanlock("direct", "init", "-r", try cleared(hosts, storage), "-z", "1")
            .expecting(.exit(0))
        try LeaseDirectory.waitUntilOld(try (disks + ["/disks/three"]).map { try hosts.path($0) })
        let before = try disks.map { FileSight(try hosts.path($0))?.number }
        for guest in try hosts.start(disks, stations) { try guest.stop() }
        #expect(try stations[0].attempt("/disks/three", "cleared") == .ran)
        for (disk, number) in zip(disks, before) {
            let now = try #require(FileSight(try hosts.path(disk)))
            #expect(now.number != number && now.bytes == (storage.sectorBytes == 512 ? 1 << 20 : 8 << 20))
        }
        #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory) == [])
    }

    /// Makes a file for the third disk as another tool would have left it, and returns its lease.
    private func cleared(_ hosts: StorageHosts, _ storage: LeaseStorage) throws -> String {
        let disk = "/disks/three"
        let path = try hosts.path(disk)
        let mebibytes = storage.sectorBytes == 512 ? 1 : 8
        #expect(FileManager.default.createFile(atPath: path, contents: Data(count: mebibytes << 20)))
        return "\(TwoHosts.lockspace):\(try leaseName(disk)):\(path):0"
    }
}
