import Foundation
import TestSupport
import Testing

/// Lease files of a disk in every bad state: a clear error or a mended file, never a hang, never a crash.
@Suite struct DamagedLeaseFileTests {
    private static let bytesEach = 1 << 20

    /// A lease's file as the product makes it.
    private func wholeFile(_ disk: String, _ station: Station, _ hosts: TwoHosts) throws -> Data {
        try station.start(["--disk", disk], named: "maker").stop()
        return try #require(FileManager.default.contents(atPath: try hosts.leasePath(disk)))
    }

    private func write(_ data: Data, _ path: String) {
        #expect(FileManager.default.createFile(atPath: path, contents: data), "\(path)")
    }

    /// The daemon is the one that it was, and its other leases work.
    private func expectUnhurt(_ station: Station, _ pid: pid_t, _ disk: String, _ what: String) throws {
        #expect(station.daemon.isRunning && station.daemon.pid == pid, "\(what): the daemon is gone")
        #expect(try station.attempt(disk, what) == .ran, "a good disk after \(what)")
    }

    private func expectMended(
        _ path: String, _ before: FileSight?, _ disk: String, _ hosts: TwoHosts, _ attempt: Attempt?, _ what: String
    ) throws {
        guard attempt == .ran else {
            Issue.record("\(what): not mended but \(attempt.map { "\($0)" } ?? "neither")")
            return
        }
        let now = try #require(FileSight(path), "\(what)")
        #expect(now.number != before?.number, "\(what): written in place")
        #expect(now.bytes == Self.bytesEach, "\(what)")
        #expect(now.permissions == 0o660, "\(what)")
        let reading = try hosts.second.daemon.sanlock("direct", "read_leader", "-r", try hosts.leaseText(disk))
        #expect(reading.succeeded, "\(what): \(reading)")
    }

    /// Files to be mended: nothing of a lease, or the beginning of one.
    private func unfinished(_ hosts: TwoHosts, _ station: Station) throws -> [(what: String, disk: String)] {
        let zeros = [0, 1, 511, 512, 513, 4095, 4096, 65536, Self.bytesEach - 1, Self.bytesEach]
        let cut = [1, 256, 511, 512, 513, 4096, 65536, 131_072, Self.bytesEach - 1]
        var files = try zeros.map { length in
            let disk = try hosts.disk()
            write(Data(count: length), try hosts.leasePath(disk))
            return ("\(length) zeros", disk)
        }
        for length in cut {
            let disk = try hosts.disk()
            write(try wholeFile(disk, station, hosts).prefix(length), try hosts.leasePath(disk))
            files.append(("cut to \(length)", disk))
        }
        let disk = try hosts.disk()
        let path = try hosts.leasePath(disk)
        write(try wholeFile(disk, station, hosts), path)
        try station.daemon.sanlock("direct", "init", "-r", try hosts.leaseText(disk), "-z", "1").expecting(.exit(0))
        return files + [("cleared", disk)]
    }

    @Test func aFreeFileThatNobodyFinishedIsMended() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let good = try hosts.disk()
            _ = try wholeFile(good, station, hosts)
            let pid = station.daemon.pid
            let files = try unfinished(hosts, station)
            try LeaseDirectory.waitUntilOld(try files.map { try hosts.leasePath($0.disk) })
            for (what, disk) in files {
                let path = try hosts.leasePath(disk)
                let before = FileSight(path)
                let attempt = try station.attempt(disk, what)
                // sanlock may find all that it needs in one that isn't much too short.
                let isLong = (before?.bytes ?? 0) > 65536 && what.hasPrefix("cut")
                if isLong, attempt == .ran, FileSight(path) == before { continue }
                try expectMended(path, before, disk, hosts, attempt, what)
            }
            try expectUnhurt(station, pid, good, "unfinished files")
        }
    }

    @Test func everyBitOfTheLeaderMayFlip() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disk = try hosts.disk()
            let path = try hosts.leasePath(disk)
            let good = try hosts.disk()
            let whole = try wholeFile(disk, station, hosts)
            let pid = station.daemon.pid
            var ran: [Int] = []
            // One bit a field at the least: the fields are of two bytes and more, but 37 is of no power of two.
            for bit in Rounds.some(Array(0..<2048), sample: 37) {
                var flipped = whole
                flipped[bit / 8] ^= 1 << (bit % 8)
                write(flipped, path)
                if try station.attempt(disk, "bit \(bit)") == .ran { ran.append(bit) }
            }
            // The checksum covers the first 168 bytes and is in the next 4. A wrong magic number may count as cleared.
            #expect(ran.filter { (32..<172 * 8).contains($0) } == [], "started although sanlock should refuse")
            try expectUnhurt(station, pid, good, "flipped bits")
        }
    }

    @Test func bitsBehindTheLeaderMayFlip() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disk = try hosts.disk()
            let path = try hosts.leasePath(disk)
            let whole = try wholeFile(disk, station, hosts)
            let pid = station.daemon.pid
            // The request record, and the blocks of the hosts 1, 2 and 250: their ballots and their modes.
            let sectors = [1, 2, 3, 251].flatMap { sector in (0..<128).map { sector * 512 + $0 } }
            for byte in Rounds.some(sectors + sectors.map { $0 + 128 }, sample: 12) {
                var flipped = whole
                flipped[byte] ^= 1 << (byte % 8)
                write(flipped, path)
                // A mode block may say now that another host shares the lease.
                _ = try station.attempt(disk, codes: [73, 75], naming: disk, "byte \(byte)")
            }
            try expectUnhurt(station, pid, try hosts.disk(), "flipped bits behind the leader")
        }
    }

    @Test func aLeaseOfSomethingElseIsRefusedByName() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.second, of: hosts, scratch)
            let good = try hosts.disk()
            let other = try wholeFile(good, station, hosts)
            let pid = station.daemon.pid
            func formatted(_ resource: String, _ options: [String] = []) throws -> Data {
                let file = try scratch.disk("formatted-\(UUID().uuidString.prefix(8))", mebibytes: 8)
                try station.daemon.sanlock(["direct", "init", "-r", "\(resource):\(file):0"] + options)
                    .expecting(.exit(0))
                return try #require(FileManager.default.contents(atPath: file))
            }
            let lockspace = try #require(FileManager.default.contents(atPath: hosts.lockspacePath))
            let spoilers: [(String, (String) throws -> Data)] = [
                ("another resource", { _ in other }),
                ("another lockspace", { try formatted("ELSEWHERE:\($0)").prefix(Self.bytesEach) }),
                (
                    "sectors of 4096 bytes",
                    { try formatted("\(TwoHosts.lockspace):\($0)", ["-Z", "4096", "-A", "8M"]) }
                ),
                ("text", { _ in Data(repeating: 0x61, count: Self.bytesEach) }),
                ("ones", { _ in Data(repeating: 0xff, count: Self.bytesEach) }),
                ("a lockspace", { _ in lockspace }),
                ("short text", { _ in Data(repeating: 0x61, count: 700) }),
            ]
            for (what, content) in spoilers {
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                let data = try content(try leaseName(disk))
                write(data, path)
                let before = FileSight(path)
                let attempt = try station.attempt(disk, what)
                // Nobody throws away what he doesn't know; only a file that is too short for a lease isn't one.
                if what != "short text" {
                    #expect(attempt == .refused(73), "\(what)")
                    #expect(FileSight(path) == before && FileManager.default.contents(atPath: path) == data, "\(what)")
                }
            }
            try expectUnhurt(station, pid, good, "foreign files")
        }
    }

    @Test func aHugeFileIsNoHang() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            for (what, data) in [("zeros", Data()), ("text", Data(repeating: 0x61, count: 4096))] {
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                write(data, path)
                #expect(truncate(path, 1 << 42) == 0)
                let attempt = try station.attempt(disk, "4 TiB of \(what)")
                if what == "text" { #expect(attempt == .refused(73)) }
                unlink(path)
            }
        }
    }
}
