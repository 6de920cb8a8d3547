import Foundation
import TestSupport
import Testing

/// Which leases a guest holds, as the daemon itself lists them.
@Suite struct LeaseTests {
    @Test(arguments: [1, 3, 20])
    func qemuHoldsOneLeaseADisk(count: Int) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disks = try (0..<count).map { _ in try hosts.disk() }
            let guest = try station.start([], QEMU.command(disks: disks))
            try expectLeases(of: guest, try disks.map { try ExpectedLease($0, in: hosts.leaseDirectory) })
            try guest.stop()
            for disk in disks { #expect(try hosts.holders(of: disk).isEmpty) }
        }
    }

    @Test(arguments: [1, 3, 20, 64])
    func diskOptionsHoldOneLeaseADisk(count: Int) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.second, of: hosts, scratch)
            let disks = try (0..<count).map { _ in try hosts.disk() }
            let expected = try disks.map { try ExpectedLease($0, in: hosts.leaseDirectory) }
            let guest = try station.start(disks.flatMap { ["--disk", $0] })
            try expectLeases(of: guest, expected)
            #expect(try guest.leases().allSatisfy { $0.version == 1 })

            let told = try guest.status()["leases"]?.array ?? []
            #expect(told.count == count)
            #expect(told.compactMap { $0["disk"]?.string } == disks)
            #expect(told.compactMap { $0["resource"]?.string } == expected.map(\.name))
            #expect(told.allSatisfy { $0["version"] == 1 && $0["state"] == "held" && $0["mode"] == "exclusive" })

            try guest.stop()
            for disk in disks.prefix(3) { #expect(try hosts.holders(of: disk).isEmpty) }
        }
    }

    @Test func versionGrowsByOneAtEachStartOnEitherHost() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            for version in ClosedRange<UInt64>(uncheckedBounds: (1, 5)) {
                let host = version % 2 == 0 ? hosts.second : hosts.first
                let station = try Station(on: host, of: hosts, scratch)
                let guest = try station.start(["--disk", disk])
                #expect(try guest.leases().map(\.version) == [version])
                #expect(try guest.status()["leases"]?[0]?["version"]?.integer == Int(version))
                try guest.stop()
            }
        }
    }

    @Test func readOnlyDisksTakeNoLease() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let names = ["readonly", "cdrom", "blockdev", "snapshot", "option"]
            let disks = try Dictionary(uniqueKeysWithValues: names.map { ($0, try hosts.disk()) })
            func disk(_ name: String) -> String { disks[name] ?? "" }
            let written = try hosts.disk()
            let command = QEMU.command(
                disks: [written],
                more: [
                    "-drive", "file=\(disk("readonly")),format=raw,if=virtio,readonly=on",
                    "-drive", "file=\(disk("cdrom")),format=raw,media=cdrom",
                    "-blockdev", "driver=file,filename=\(disk("blockdev")),node-name=b,read-only=on",
                    "-drive", "file=\(disk("snapshot")),format=raw,if=virtio,snapshot=on",
                ])
            let guest = try station.start(["--readonly-disk", disk("option")], command)
            try expectLeases(of: guest, [try ExpectedLease(written, in: hosts.leaseDirectory)])
            for path in disks.values {
                #expect(!FileManager.default.fileExists(atPath: try hosts.leasePath(path)))
            }
            try guest.stop()
        }
    }

    @Test func sharedDisksAreHeldByBothHostsAndByNobodyAlone() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let here = try Station(on: hosts.first, of: hosts, scratch)
            let there = try Station(on: hosts.second, of: hosts, scratch)
            let disk = try hosts.disk()
            let drive = [
                "-blockdev", "driver=file,filename=\(disk),node-name=d,locking=off",
                "-device", "virtio-blk-pci,drive=d,share-rw=on",
            ]
            let shared = [try ExpectedLease(disk, in: hosts.leaseDirectory, shared: true)]
            let guests = [
                try here.start([], QEMU.command(more: drive), named: "one"),
                try there.start([], QEMU.command(more: drive), named: "two"),
                try there.start(["--shared-disk", disk], named: "three"),
            ]
            for guest in guests {
                try expectLeases(of: guest, shared)
                #expect(try guest.status()["leases"]?[0]?["mode"] == "shared")
            }
            for station in [here, there] { try station.refused(["--disk", disk], code: 75, naming: [disk]) }

            for guest in guests { try guest.stop() }
            let alone = try here.start(["--disk", disk], named: "alone")
            try expectLeases(of: alone, [try ExpectedLease(disk, in: hosts.leaseDirectory)])
            for station in [here, there] {
                try station.refused(["--shared-disk", disk], code: 75, naming: [disk, "guest alone", "host1"])
            }
            try alone.stop()
        }
    }

    @Test func aMixedGuestHoldsWhatEachDiskNeeds() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.second, of: hosts, scratch)
            let disks = try (0..<6).map { _ in try hosts.disk() }
            let explicit = try ExplicitLease(in: hosts, offsets: 2)
            let command = QEMU.command(
                disks: [disks[0]],
                more: [
                    "-drive", "file=\(disks[1]),format=raw,if=virtio,readonly=on",
                    "-drive", "file=\(disks[2]),format=raw,if=none,id=s",
                    "-device", "virtio-blk-pci,drive=s,share-rw=on",
                ])
            let guest = try station.start(
                [
                    "--disk", disks[3], "--shared-disk", disks[4], "--readonly-disk", disks[5],
                    "--lease", explicit.text(0), "--lease=\(explicit.text(1)):SH",
                ], command)
            try expectLeases(
                of: guest,
                [
                    try ExpectedLease(disks[0], in: hosts.leaseDirectory),
                    try ExpectedLease(disks[2], in: hosts.leaseDirectory, shared: true),
                    try ExpectedLease(disks[3], in: hosts.leaseDirectory),
                    try ExpectedLease(disks[4], in: hosts.leaseDirectory, shared: true),
                    explicit.expected(0), explicit.expected(1, shared: true),
                ])
            try guest.stop()
        }
    }

    @Test func explicitLeasesKeepTheirEscapes() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let explicit = try ExplicitLease(in: hosts, name: "a lease: of mine", offsets: 3)
            let guest = try station.start(["--lease", explicit.text(2), "--lease", explicit.text(1)])
            try expectLeases(of: guest, [explicit.expected(2), explicit.expected(1)])
            let told = try guest.status()["leases"]?.array ?? []
            #expect(told.map { $0["path"]?.string } == [explicit.path, explicit.path])
            #expect(told.map { $0["offset"]?.integer } == [2 << 20, 1 << 20])
            #expect(told.map { $0["version"]?.integer } == [1, 1])
            #expect(told.allSatisfy { $0["disk"] == nil || $0["disk"] == .null })
            // Another guest may have the one that is left, and not the one that is taken.
            try station.refused(["--lease", explicit.text(0), "--lease", explicit.text(2)], code: 75)
            let other = try station.start(["--lease", explicit.text(0)], named: "other")
            try expectLeases(of: other, [explicit.expected(0)])
            try other.stop()
            try guest.stop()
        }
    }

    @Test func withoutAutomaticDisksOnlyWhatIsNamedIsLeased() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let (inCommand, named) = (try hosts.disk(), try hosts.disk())
            let guest = try station.start(
                ["--no-auto-disks", "--disk", named], QEMU.command(disks: [inCommand]))
            try expectLeases(of: guest, [try ExpectedLease(named, in: hosts.leaseDirectory)])
            try guest.stop()
            let free = try station.start(["--no-auto-disks"], QEMU.command(disks: [inCommand]))
            try expectLeases(of: free, [])
            try free.stop()
        }
    }

    @Test func aDiskGivenTwiceTakesOneLeaseAndTheStrictestMode() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disks = try (0..<3).map { _ in try hosts.disk() }
            let command = QEMU.command(
                disks: [disks[0]], more: ["-drive", "file=\(disks[1]),format=raw,if=virtio,readonly=on"])
            let guest = try station.start(
                [
                    "--disk", disks[0], "--disk", disks[0], "--shared-disk", disks[0], "--readonly-disk", disks[0],
                    "--disk", disks[1], "--readonly-disk", disks[2], "--shared-disk", disks[2],
                ], command)
            try expectLeases(
                of: guest,
                [
                    try ExpectedLease(disks[0], in: hosts.leaseDirectory),
                    try ExpectedLease(disks[1], in: hosts.leaseDirectory),
                    try ExpectedLease(disks[2], in: hosts.leaseDirectory, shared: true),
                ])
            try guest.stop()
        }
    }
}

/// A file of explicit leases in libvirt's lockspace, under a name that sanlock's spelling has to escape.
struct ExplicitLease {
    let path: String
    private let name: String

    init(in hosts: TwoHosts, name: String = "explicit lease", offsets: Int) throws {
        path = try hosts.scratch.disk("disks/\(name) \(UUID().uuidString.prefix(8))", mebibytes: offsets)
        self.name = "R\(UUID().uuidString.prefix(8))"
        for index in 0..<offsets {
            try hosts.first.daemon.sanlock("direct", "init", "-r", text(index)).expecting(.exit(0))
        }
    }

    /// In sanlock's spelling.
    func text(_ index: Int) -> String {
        let escaped = path.replacingOccurrences(of: ":", with: "\\:").replacingOccurrences(of: " ", with: "\\ ")
        return "\(TwoHosts.lockspace):\(name)-\(index):\(escaped):\(index << 20)"
    }

    func expected(_ index: Int, shared: Bool = false) -> ExpectedLease {
        ExpectedLease(name: "\(name)-\(index)", path: path, offsetBytes: UInt64(index << 20), shared: shared)
    }
}
