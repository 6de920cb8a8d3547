import Foundation
import Synchronization
import TestSupport
import Testing

/// What is no regular file, or a held lease's file that somebody spoilt, under a lease's name.
@Suite struct StrangeLeaseFileTests {
    /// Something that is under a lease's name instead of the file, and what a start may do with it.
    private struct Spoiler {
        let name: String
        let mayRun: Bool
        let make: (_ path: String) throws -> Void
    }

    private func node(_ path: String, _ kind: mode_t, _ device: dev_t) throws {
        guard mknod(path, kind | 0o660, device) == 0 else {
            throw TestFailure("mknod \(path): \(String(cString: strerror(errno)))")
        }
    }

    private func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    }

    private func device(_ major: UInt64, _ minor: UInt64) -> dev_t { dev_t(major << 8 | minor) }

    private func spoilers(_ scratch: Scratch, good: String) throws -> [Spoiler] {
        let directory = try scratch.directory("folder")
        let zeros = try scratch.disk("zeros")
        return [
            Spoiler(name: "directory", mayRun: false) {
                try FileManager.default.createDirectory(atPath: $0, withIntermediateDirectories: false)
            },
            Spoiler(name: "full directory", mayRun: false) {
                try FileManager.default.createDirectory(atPath: "\($0)/below", withIntermediateDirectories: true)
            },
            Spoiler(name: "fifo", mayRun: false) { try node($0, S_IFIFO, 0) },
            Spoiler(name: "socket", mayRun: false) { try node($0, S_IFSOCK, 0) },
            Spoiler(name: "null", mayRun: false) { try node($0, S_IFCHR, device(1, 3)) },
            Spoiler(name: "zero", mayRun: false) { try node($0, S_IFCHR, device(1, 5)) },
            Spoiler(name: "full", mayRun: false) { try node($0, S_IFCHR, device(1, 7)) },
            Spoiler(name: "random", mayRun: false) { try node($0, S_IFCHR, device(1, 8)) },
            Spoiler(name: "no such block device", mayRun: false) { try node($0, S_IFBLK, device(240, 77)) },
            Spoiler(name: "link to nothing", mayRun: true) { try link($0, to: scratch.file("nothing")) },
            Spoiler(name: "link to no folder", mayRun: false) { try link($0, to: scratch.file("none/below")) },
            Spoiler(name: "link to itself", mayRun: false) { try link($0, to: $0) },
            Spoiler(name: "link to /dev/zero", mayRun: false) { try link($0, to: "/dev/zero") },
            Spoiler(name: "link to a directory", mayRun: false) { try link($0, to: directory) },
            Spoiler(name: "link to another disk's lease", mayRun: false) { try link($0, to: good) },
            Spoiler(name: "link to zeros", mayRun: true) { try link($0, to: zeros) },
        ]
    }

    @Test func whatIsNoFileIsNamedAndHurtsNobody() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let goodDisk = try hosts.disk()
            try hosts.formatLease(goodDisk)
            let good = try hosts.leasePath(goodDisk)
            let pid = station.daemon.pid
            for spoiler in try spoilers(scratch, good: good) {
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                try spoiler.make(path)
                defer { try? FileManager.default.removeItem(atPath: path) }
                let before = FileSight(path)
                // Twice: the first one must not spoil more.
                for _ in 0..<2 {
                    let attempt = try station.attempt(disk, spoiler.name)
                    if !spoiler.mayRun { #expect(attempt == .refused(73), "\(spoiler.name)") }
                    if attempt != .ran { #expect(FileSight(path) == before, "\(spoiler.name)") }
                }
                #expect(station.daemon.pid == pid && station.daemon.isRunning, "\(spoiler.name)")
                #expect(try station.attempt(goodDisk, "after \(spoiler.name)") == .ran)
            }
            #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory).allSatisfy { !$0.contains(".\(pid).") })
        }
    }

    @Test func aLinkToAGoodFileIsAGoodFile() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.second, of: hosts, scratch)
            let disk = try hosts.disk()
            let path = try hosts.leasePath(disk)
            try hosts.formatLease(disk)
            let elsewhere = scratch.file("elsewhere")
            try FileManager.default.moveItem(atPath: path, toPath: elsewhere)
            try link(path, to: elsewhere)
            let before = FileSight(path)
            #expect(try station.attempt(disk, "link") == .ran)
            #expect(FileSight(path) == before)
        }
    }

    @Test func aBlockDeviceIsALeaseOrIsNamed() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            for isFormatted in [false, true] {
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                let loop = try LoopDevice(try scratch.disk("image-\(isFormatted)", mebibytes: 1), scratch)
                try link(path, to: loop.path)
                if isFormatted {
                    try station.daemon.sanlock("direct", "init", "-r", try hosts.leaseText(disk)).expecting(.exit(0))
                }
                let before = FileSight(path)
                let attempt = try station.attempt(disk, "block device")
                if isFormatted { #expect(attempt == .ran) }
                if attempt != .ran || isFormatted { #expect(FileSight(path) == before) }
                unlink(path)
            }
        }
    }

    /// How a held lease's file is spoilt while its guest runs.
    enum Spoiling: CaseIterable {
        case cutToASector, cutToAPage, cutByAByte, wrongMagic, cleared, withoutRecord

        func spoil(_ path: String) throws {
            var length = 1 << 20
            switch self {
            case .cutToASector: length = 512
            case .cutToAPage: length = 4096
            case .cutByAByte: length -= 1
            case .wrongMagic: try overwrite(path, [0x61, 0x61, 0x61, 0x61])
            case .cleared: try overwrite(path, [0x16, 0x20, 0x28, 0x11])
            case .withoutRecord:
                length = 512
                let record = "/.leasehold/\((path as NSString).lastPathComponent).json"
                unlink((path as NSString).deletingLastPathComponent + record)
            }
            guard truncate(path, off_t(length)) == 0 else { throw TestFailure("can't truncate \(path)") }
        }

        private func overwrite(_ path: String, _ bytes: [UInt8]) throws {
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try file.write(contentsOf: Data(bytes))
            try file.close()
        }
    }

    @Test func aHeldLeaseWhoseFileIsSpoiltIsGivenToNobodyBeforeItsGuestHasEnded() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let stations = try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, scratch) }
            let held = try Spoiling.allCases.flatMap { spoiling in
                try stations.map { station in
                    let disk = try hosts.disk()
                    let guest = try station.start(["--disk", disk], named: "holder-\(UUID().uuidString.prefix(8))")
                    try guest.waitUntilRecorded(disk)
                    try spoiling.spoil(try hosts.leasePath(disk))
                    return (spoiling: spoiling, disk: disk, guest: guest)
                }
            }
            for (spoiling, disk, guest) in held {
                for station in stations {
                    let attempt = try station.attempt(disk, codes: [73, 75], naming: disk, "\(spoiling), held")
                    #expect(attempt != .ran || !guest.running.isRunning, "two holders after \(spoiling)")
                }
                // The supervisor noticed.
                #expect(try guest.running.wait(timeout: 10) == .exit(74), "\(spoiling)")
            }
        }
    }

    @Test func aHeldLeaseOfAnotherProgramWhoseFileIsSpoiltIsGivenToNobody() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let holders = try [hosts.first, hosts.second].map { host in
                let disk = try hosts.disk()
                try hosts.formatLease(disk)
                let holder = try host.hold(try hosts.leaseText(disk))
                try Spoiling.cutToASector.spoil(try hosts.leasePath(disk))
                return (disk: disk, holder: holder)
            }
            try LeaseDirectory.waitUntilOld(try holders.map { try hosts.leasePath($0.disk) })
            for (disk, holder) in holders {
                let attempt = try station.attempt(disk, codes: [73, 75], naming: disk, "held by \(holder)")
                #expect(attempt != .ran, "two holders")
                #expect(holder.isRunning)
                holder.end()
            }
        }
    }
}

/// A loop device over a file; detached at the end, or by the kernel as soon as nobody uses it any more.
final class LoopDevice: Sendable {
    let path: String
    // Once let go of, its number may be another test's.
    private let isOurs = Mutex(true)

    init(_ image: String, sectorBytes: Int = 512, _ scratch: Scratch) throws {
        let outcome = try Program.run("losetup", ["--sector-size", "\(sectorBytes)", "--find", "--show", image])
        path = try outcome.expecting(.exit(0)).output.trimmingCharacters(in: .whitespacesAndNewlines)
        scratch.atEnd { [self] in try? detach() }
    }

    /// Has it detached when its last user is gone, however the test ends.
    func detach() throws {
        guard
            isOurs.withLock({ isOurs in
                defer { isOurs = false }
                return isOurs
            })
        else { return }
        try Program.run("losetup", ["--detach", path]).expecting(.exit(0))
    }
}
