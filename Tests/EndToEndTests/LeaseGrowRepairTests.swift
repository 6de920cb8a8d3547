import Foundation
import TestSupport
import Testing

/// `lease grow`: room for hosts with higher ids.
@Suite struct LeaseGrowTests {
    /// Host 1 makes leases for five hosts, and host 7 came later.
    private func withSmallLeases(_ body: (_ first: Station, _ seventh: Station, Scratch) throws -> Void) throws {
        try withScratch { scratch in
            let leases = try scratch.directory("leases")
            let stations = try [1, 7].map { id in
                let daemon = try SanlockDaemon(hostName: "host\(id)", runDirectory: scratch.file("s\(id)"))
                scratch.atEnd { daemon.end() }
                return try Station(daemon, id: id, leaseDirectory: leases, scratch, settings: ["lease_hosts": "5"])
            }
            try body(stations[0], stations[1], scratch)
        }
    }

    @Test func aHostWhoseIdDoesNotFitIsToldTheWayOutAndItWorks() throws {
        try withSmallLeases { first, seventh, scratch in
            let disk = try scratch.disk("disk")
            let path = "\(first.leaseDirectory)/\(try leaseName(disk))"
            let guest = try first.start(["--disk", disk], named: "small")
            #expect(try first.lease(of: disk).facts["Room for"] == "host ids up to 5")

            // Whether or not it is in use.
            let words = [disk, path, "up to 5", "host id 7", "lease grow '\(disk)'"]
            try seventh.refused(["--disk", disk], code: 78, naming: words)
            try guest.waitUntilRecorded(disk)
            for station in [first, seventh] {
                let code: Int32 = station.daemon.hostName == "host1" ? 75 : 78
                let line = try station.leasehold(refusing: "lease", "grow", disk, code: code, naming: [disk])
                #expect(code == 78 || line.contains("guest small on host host1"), "\(line)")
            }
            #expect(guest.running.isRunning)
            #expect(try guest.leases().count == 1)
            try guest.stop()
            try seventh.refused(["--disk", disk], code: 78, naming: words)
            // Only a host with room for itself can make more.
            try seventh.leasehold(
                refusing: "lease", "grow", disk, code: 78, naming: [disk, path, "up to 5", "host id 7"])

            let before = FileSight(path)
            let grown = try first.leasehold("lease", "grow", disk).expecting(.exit(0))
            #expect(grown.output == "the lease of \(disk) has room for host ids up to 7\n" && grown.errors == "")
            #expect(FileSight(path) == before)
            let json = try first.lease(of: disk).json
            #expect(json["hosts"] == 7 && json["state"] == "free")
            let late = try seventh.start(["--disk", disk], named: "late")
            try late.waitUntilRecorded(disk)
            try first.refused(["--disk", disk], code: 75, naming: [disk, "guest late on host host7 (host id 7)"])
            try late.stop()

            // Where there is room, nothing is done, whoever asks and whatever the setting says.
            let version = try first.lease(of: disk).json["version"]
            for station in [first, seventh] {
                #expect(try station.leasehold("lease", "grow", disk).expecting(.exit(0)).output.contains("up to 7"))
            }
            #expect(try first.lease(of: disk).json["version"] == version)
            // A disk that is new has it from the start.
            let next = try scratch.disk("next")
            try first.start(["--disk", next], named: "next").stop()
            #expect(try first.lease(of: next).json["hosts"] == 7)
        }
    }

    @Test func whatIsNoLeaseDoesNotGrow() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disk = try hosts.disk()
            let path = try hosts.leasePath(disk)
            try station.leasehold(refusing: "lease", "grow", disk, code: 73, naming: [disk, path, "missing"])
            #expect(FileSight(path) == nil)
            for content in [Data(), Data(count: 1 << 20), Data(repeating: 0x61, count: 1 << 20)] {
                try content.write(to: URL(fileURLWithPath: path))
                let before = FileSight(path)
                try station.leasehold(refusing: "lease", "grow", disk, code: 73, naming: [disk, path])
                #expect(FileSight(path) == before)
            }
            try FileManager.default.removeItem(atPath: path)
            for arguments in [[], [""], [disk, disk]] {
                expectOneLine(try station.leasehold(["lease", "grow"] + arguments), code: 64)
            }
        }
    }

    /// The short hold of a lease that grows is no reason for a start to fail.
    @Test func aStartThatMeetsAGrowingLeaseSucceeds() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let small = try Station(on: hosts.first, of: hosts, scratch, settings: ["lease_hosts": "5"])
            let large = try Station(on: hosts.first, of: hosts, scratch)
            let other = try Station(on: hosts.second, of: hosts, scratch)
            let disks = try (0..<8).map { _ in try hosts.disk() }
            for disk in disks { try small.start(["--disk", disk], named: "maker").stop() }
            for (index, disk) in disks.enumerated() {
                #expect(try large.lease(of: disk).json["hosts"] == 5)
                let growing = try scratch.start(
                    Program(try Products.cli(), ["lease", "grow", disk], environment: large.environment))
                pause(milliseconds: Double(index) * 1.5)
                let starting = try scratch.start(
                    try (index % 2 == 0 ? other : large)
                        .supervised(["--name", "meeting", "--disk", disk], Probe.command("sleep", "0.05")))
                #expect(try starting.finish().status == .exit(0), "\(starting.errors)")
                // Who came first is chance.
                let grown = try growing.finish()
                #expect(grown.succeeded || grown.status == .exit(75) && grown.errors.contains(disk), "\(grown)")
                // Of one that lost to the start nothing is said.
                if grown.succeeded { #expect(try large.lease(of: disk).json["hosts"] == 250) }
            }
        }
    }

    /// A host that loses the ballot writes the lease down for the winner, as it was when it read it: a slow one long after
    /// the winner has looked.
    @Test func whatASlowHostWritesLeavesNoLeaseThatWasSaidToHaveGrownSmall() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let small = try Station(on: hosts.first, of: hosts, scratch, settings: ["lease_hosts": "5"])
                let large = try Station(on: hosts.first, of: hosts, scratch)
                let slow = try Station(on: hosts.second, of: hosts, scratch)
                let disks = try (0..<10).map { _ in try hosts.disk() }
                for disk in disks { try small.start(["--disk", disk], named: "maker").stop() }
                try slow.daemon.slowDown(microseconds: 40_000, scratch)
                for (index, disk) in disks.enumerated() {
                    let starting = try scratch.start(
                        try slow.supervised(["--name", "slow", "--disk", disk], Probe.command("sleep", "0.05")))
                    pause(milliseconds: Double(index) * 15)
                    let grown = try large.leasehold("lease", "grow", disk)
                    #expect(grown.succeeded || grown.status == .exit(75) && grown.errors.contains(disk), "\(grown)")
                    _ = try starting.finish()
                    guard grown.succeeded else { continue }
                    #expect(try large.lease(of: disk).json["hosts"] == 250, "after \(index * 15) ms")
                }
            }
        }
    }
}

/// `lease repair`: a new lease in the place of one that is damaged.
@Suite struct LeaseRepairTests {
    private static let flag = "--i-know-nobody-uses-it"

    private func withStation(_ body: (TwoHosts, Station) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            try body(hosts, try Station(on: hosts.first, of: hosts, scratch))
        }
    }

    private func flipBit(_ path: String, byte: UInt64) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try file.seek(toOffset: byte)
        let old = try #require(try file.read(upToCount: 1)?.first)
        try file.seek(toOffset: byte)
        try file.write(contentsOf: Data([old ^ 0x10]))
        try file.close()
    }

    @Test func aDamagedLeaseIsNewAfterwards() throws {
        try withStation { hosts, station in
            // In the magic, the version, the sizes, the names and the checksum.
            for byte: UInt64 in [2, 6, 13, 17, 33, 60, 110, 169] {
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                try hosts.formatLease(disk)
                try flipBit(path, byte: byte)
                let words = [path, "leasehold lease repair '\(disk)' \(Self.flag)"]
                try station.refused(["--disk", disk], code: 73, naming: words)
                let before = FileSight(path)
                let line = try station.leasehold(refusing: "lease", "repair", disk, code: 64, naming: [Self.flag])
                #expect(line.contains("guest"))
                #expect(FileSight(path) == before)

                let outcome = try station.leasehold("lease", "repair", disk, Self.flag).expecting(.exit(0))
                #expect(outcome.output == "the lease of \(disk) is new\n" && outcome.errors == "", "byte \(byte)")
                #expect(FileSight(path)?.permissions == 0o660 && FileSight(path)?.bytes == 1 << 20)
                let (facts, json) = try station.lease(of: disk)
                #expect(facts["State"] == "free" && json["version"] == 0 && json["hosts"] == 250)
                let guest = try station.start(["--disk", disk], named: "after")
                try expectLeases(of: guest, [try ExpectedLease(disk, in: hosts.leaseDirectory)])
                try guest.stop()
            }
            #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory).allSatisfy { !$0.hasPrefix("new.1.") })
        }
    }

    @Test func aLeaseInOrderIsLeftAlone() throws {
        try withStation { hosts, station in
            let disk = try hosts.disk()
            try hosts.formatLease(disk)
            let before = FileSight(try hosts.leasePath(disk))
            let outcome = try station.leasehold("lease", "repair", Self.flag, disk).expecting(.exit(0))
            #expect(outcome.output == "the lease of \(disk) is in order; nothing was done\n" && outcome.errors == "")
            #expect(FileSight(try hosts.leasePath(disk)) == before)
        }
    }

    @Test func aHeldLeaseIsRefusedWithItsHolder() throws {
        try withStation { hosts, station in
            let other = try Station(on: hosts.second, of: hosts, station.scratch)
            let disks = try (0..<3).map { _ in try hosts.disk() }
            let guest = try other.start(["--disk", disks[0], "--shared-disk", disks[1]], named: "working")
            try guest.waitUntilRecorded(disks[0])
            try hosts.formatLease(disks[2])
            let stranger = try hosts.second.hold(try hosts.leaseText(disks[2]))
            for (index, disk) in disks.enumerated() {
                let before = FileSight(try hosts.leasePath(disk))
                let words = [disk, "on host host2 (host id 2)", index < 2 ? "guest working" : "no record"]
                for host in [station, other] {
                    try host.leasehold(refusing: "lease", "repair", disk, Self.flag, code: 75, naming: words)
                }
                #expect(FileSight(try hosts.leasePath(disk)) == before)
            }
            #expect(try guest.leases().count == 2)
            #expect(try station.record(of: disks[0])?["guest"] == "working")
            stranger.end()
            try guest.stop()
        }
    }

    @Test func whateverIsUnderTheNameIsReplacedOrNamed() throws {
        try withStation { hosts, station in
            let target = try station.scratch.write("somebody's\n", to: "target")
            let kinds: [(String, (String) throws -> Void)] = [
                ("nothing", { _ in }),
                ("empty", { try Data().write(to: URL(fileURLWithPath: $0)) }),
                ("garbage", { try Data(repeating: 0x61, count: 5000).write(to: URL(fileURLWithPath: $0)) }),
                ("fifo", { #expect(mkfifo($0, 0o600) == 0) }),
                ("link", { try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: target) }),
                (
                    "device",
                    { try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: "/dev/zero") }
                ),
            ]
            for (kind, make) in kinds {
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                try make(path)
                let outcome = try station.leasehold("lease", "repair", disk, Self.flag)
                #expect(outcome.output == "the lease of \(disk) is new\n", "\(kind): \(outcome)")
                #expect(try station.lease(of: disk).json["state"] == "free", "\(kind)")
                #expect(try station.attempt(disk, kind) == .ran)
            }
            #expect(try String(contentsOfFile: target, encoding: .utf8) == "somebody's\n")

            let disk = try hosts.disk()
            let path = try hosts.leasePath(disk)
            try FileManager.default.createDirectory(atPath: "\(path)/below", withIntermediateDirectories: true)
            let line = try station.leasehold(
                refusing: "lease", "repair", disk, Self.flag, code: 73, naming: [path, "directory"])
            #expect(!line.contains("free some space"), "\(line)")
            #expect(FileManager.default.fileExists(atPath: "\(path)/below"))
            try FileManager.default.removeItem(atPath: path)
            #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory).allSatisfy { !$0.hasPrefix("new.1.") })
            for arguments in [[Self.flag], [Self.flag, ""], [Self.flag, disk, disk]] {
                expectOneLine(try station.leasehold(["lease", "repair"] + arguments), code: 64)
            }
        }
    }

    @Test func ofManyRepairsAtOnceOneIsEnough() throws {
        try withStation { hosts, station in
            let other = try Station(on: hosts.second, of: hosts, station.scratch)
            let disk = try hosts.disk()
            let path = try hosts.leasePath(disk)
            try Data(repeating: 0x61, count: 1 << 20).write(to: URL(fileURLWithPath: path))
            let repairs = try (0..<6).map { index in
                try station.scratch.start(
                    Program(
                        try Products.cli(), ["lease", "repair", disk, Self.flag],
                        environment: (index % 2 == 0 ? station : other).environment))
            }
            let outcomes = try repairs.map { try $0.finish() }
            #expect(outcomes.allSatisfy { $0.succeeded && $0.errors == "" }, "\(outcomes)")
            // The others find it in order: a lease that somebody may have taken since.
            #expect(outcomes.filter { $0.output.contains("is new") }.count == 1, "\(outcomes)")
            #expect(try station.attempt(disk) == .ran)
        }
    }
}
