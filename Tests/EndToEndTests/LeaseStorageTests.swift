import Foundation
import TestSupport
import Testing

/// A file system for the lease directory that is nobody else's.
struct LeaseStorage: CustomTestStringConvertible, Sendable {
    let kind: String
    let sectorBytes: Int

    var testDescription: String { "\(kind), sectors of \(sectorBytes)" }

    /// What the other tests don't run on anyway.
    static let others = [
        LeaseStorage(kind: "xfs", sectorBytes: 512), LeaseStorage(kind: "ext4", sectorBytes: 4096),
        LeaseStorage(kind: "xfs", sectorBytes: 4096),
    ]

    /// xfs wants 300 MiB; the image is sparse.
    private var mebibytes: Int { kind == "xfs" ? 320 : 64 }

    /// What `sanlock` has to be told where it formats a lease for this storage.
    var formatOptions: [String] { sectorBytes == 512 ? [] : ["-Z", "\(sectorBytes)", "-A", "8M"] }

    /// The size of a lease.
    var leaseBytes: Int { sectorBytes == 512 ? 1 << 20 : 8 << 20 }

    /// Makes and mounts it. It is unmounted with the scratch directory, and its device goes with the mount.
    func mount(at mountPoint: String, _ scratch: Scratch) throws {
        let image = try scratch.disk("image-\(UUID().uuidString.prefix(8))", mebibytes: mebibytes)
        let device = try LoopDevice(image, sectorBytes: sectorBytes, scratch)
        try Program.run("mkfs.\(kind)", ["-q", device.path]).expecting(.exit(0))
        try Program.run("mount", [device.path, mountPoint]).expecting(.exit(0))
        scratch.atEnd { _ = try? Program.run("umount", ["-l", mountPoint]) }
        try device.detach()
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
        let guests: [Guest] = try zip(disks, stations).map { disk, station in
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
    @Test(arguments: LeaseStorage.others)
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
        for guest in try hosts.start(disks.reversed(), stations) { try guest.stop() }

        // Broken files: empty, cut short, cleared.
        for (disk, length) in zip(disks, [0, storage.sectorBytes]) {
            #expect(truncate(try hosts.path(disk), off_t(length)) == 0)
        }
        let third = "/disks/three"
        let lease = "\(TwoHosts.lockspace):\(try leaseName(third)):\(try hosts.path(third)):0"
        #expect(
            FileManager.default.createFile(atPath: try hosts.path(third), contents: Data(count: storage.leaseBytes)))
        try hosts.daemons[0].sanlock(["direct", "init", "-r", lease, "-z", "1"] + storage.formatOptions)
            .expecting(.exit(0))
        let all = disks + [third]
        try LeaseDirectory.waitUntilOld(try all.map { try hosts.path($0) })
        let before = try all.map { FileSight(try hosts.path($0))?.number }
        for guest in try hosts.start(disks, stations) { try guest.stop() }
        #expect(try stations[1].attempt(third, "cleared") == .ran)
        for (disk, number) in zip(all, before) {
            let now = try #require(FileSight(try hosts.path(disk)))
            #expect(now.number != number && now.bytes == storage.leaseBytes)
        }
        #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory) == [])
    }

    @Test func explicitLeasesOnADeviceWithLargeSectorsWork() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let storage = LeaseStorage(kind: "raw", sectorBytes: 4096)
        let device = try LoopDevice(try scratch.disk("image", mebibytes: 32), sectorBytes: 4096, scratch)
        let daemons = try (1...2).map { id in
            let daemon = try SanlockDaemon(hostName: "host\(id)", runDirectory: scratch.file("s\(id)"))
            scratch.atEnd { daemon.end() }
            return daemon
        }
        let leases = (1...2).map { "RAW:R\($0):\(device.path):\($0 * storage.leaseBytes)" }
        try daemons[0].sanlock(["direct", "init", "-s", "RAW:0:\(device.path):0", "-o", "1"] + storage.formatOptions)
            .expecting(.exit(0))
        for lease in leases {
            try daemons[0].sanlock(["direct", "init", "-r", lease] + storage.formatOptions).expecting(.exit(0))
        }
        let joining = try daemons.enumerated().map { index, daemon in
            try scratch.start(
                Program(
                    "sanlock", ["client", "add_lockspace", "-s", "RAW:\(index + 1):\(device.path):0", "-o", "1"],
                    environment: daemon.environment))
        }
        for one in joining { try one.finish(timeout: 30).expecting(.exit(0)) }
        try device.detach()
        let directory = try scratch.directory("leases")
        let stations = try daemons.enumerated().map { index, daemon in
            try Station(daemon, id: index + 1, leaseDirectory: directory, scratch)
        }
        let options = leases.map { ["--lease", $0] }
        let guests = try zip(stations, options).map { try $0.start($1) }
        #expect(try guests.allSatisfy { try $0.leases().count == 1 })
        for (station, other) in zip(stations, options.reversed()) {
            try station.refused(other, code: 75, naming: ["RAW:R"])
        }
        for guest in guests { #expect(try guest.stop().status == .signal(SIGTERM)) }
        try stations[1].start(options[0] + options[1]).stop()
        try stations[0].refused(["--lease", leases[0] + "4096"], code: 73, naming: [device.path])
    }

    @Test(arguments: [LeaseStorage(kind: "ext4", sectorBytes: 512), LeaseStorage(kind: "xfs", sectorBytes: 4096)])
    func onAFullFileSystemNothingIsHalfMadeOrReplaced(storage: LeaseStorage) throws {
        let hosts = try StorageHosts(storage)
        defer { hosts.scratch.remove() }
        let station = try hosts.stations()[0]
        try station.start(["--disk", "/disks/good"], named: "first").stop()
        // One is short, one was never made: neither has its whole size.
        let short = try hosts.path("/disks/short")
        #expect(FileManager.default.createFile(atPath: short, contents: Data(count: 4096)))
        try LeaseDirectory.waitUntilOld([short])
        let filler = "\(hosts.mountPoint)/filler"
        for size in ["1M", "64k", "4k"] {
            _ = try Program.run("dd", ["if=/dev/zero", "of=\(filler)-\(size)", "bs=\(size)", "oflag=direct"])
        }
        let before = (FileSight(short), try LeaseDirectory.visibleFiles(hosts.leaseDirectory))
        for disk in ["/disks/short", "/disks/new"] {
            try station.refused(["--disk", disk], code: 73, naming: [try hosts.path(disk), "No space left"])
            #expect(before == (FileSight(short), try LeaseDirectory.visibleFiles(hosts.leaseDirectory)))
            #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory) == [])
        }
        // A guest whose file is there needs no space.
        try station.start(["--disk", "/disks/good"], named: "again").stop()
        unlink("\(filler)-1M")
        for disk in ["/disks/short", "/disks/new"] { #expect(try station.attempt(disk, "space again") == .ran) }
    }
}
