import Foundation
import TestSupport
import Testing

/// A daemon and a lease directory on an ext4 of its own, which a test may fill, spoil or make read-only.
final class BrokenHost: Sendable {
    let scratch: Scratch
    let daemon: SanlockDaemon
    let mountPoint: String
    let leaseDirectory: String

    /// - Parameter isJoined: whether the lockspace is made and joined, which takes three seconds.
    init(isJoined: Bool, mebibytes: Int = 24) throws {
        let scratch = try Scratch()
        self.scratch = scratch
        let mountPoint = try scratch.directory("m")
        self.mountPoint = mountPoint
        leaseDirectory = "\(mountPoint)/leases"
        let image = try scratch.disk("image", mebibytes: mebibytes)
        do {
            daemon = try SanlockDaemon(hostName: "broken", runDirectory: scratch.file("s"))
            try Program.run("mkfs.ext4", ["-q", "-m", "0", image]).expecting(.exit(0))
            try Program.run("mount", ["-o", "loop", image, mountPoint]).expecting(.exit(0))
        } catch {
            scratch.remove()
            throw error
        }
        scratch.atEnd { _ = try? Program.run("umount", ["-l", mountPoint]) }
        let daemon = self.daemon
        scratch.atEnd { daemon.end() }
        try FileManager.default.createDirectory(atPath: leaseDirectory, withIntermediateDirectories: true)
        if isJoined { try station().start(["--disk", "/first"], named: "first").stop() }
    }

    func station() throws -> Station { try Station(daemon, id: 5, leaseDirectory: leaseDirectory, scratch) }

    func remount(_ mode: String) throws {
        try Program.run("mount", ["-o", "remount,\(mode)", mountPoint]).expecting(.exit(0))
    }

    /// Leaves this many free blocks of 1 KiB at most.
    func fill() throws {
        _ = try Program.run("dd", ["if=/dev/zero", "of=\(mountPoint)/filler", "bs=64k"])
        _ = try Program.run("dd", ["if=/dev/zero", "of=\(mountPoint)/filler2", "bs=1k"])
    }

    func files() throws -> [String] {
        // The locks of those who had to look twice.
        try FileManager.default.subpathsOfDirectory(atPath: leaseDirectory).sorted().filter { $0 != ".leasehold/lock" }
    }
}

/// Runs `body` with a host that may be broken, which is gone afterwards.
func withBrokenHost(isJoined: Bool = true, _ body: (BrokenHost) throws -> Void) throws {
    let host = try BrokenHost(isJoined: isJoined)
    defer { host.scratch.remove() }
    try body(host)
}

/// What is wrong with the host: the lease directory, the daemon, the run directory.
@Suite struct BrokenHostTests {
    @Test(arguments: [false, true])
    func aFullDiskIsNamedAndNothingHalfMadeStays(isJoined: Bool) throws {
        try withBrokenHost(isJoined: isJoined) { host in
            let station = try host.station()
            try host.fill()
            let before = try host.files()
            let options = ["--disk", "/first", "--disk", "/second"]
            for _ in 0..<2 {
                let words = [isJoined ? "/second" : TwoHosts.lockspace, "No space left", host.leaseDirectory]
                try station.refused(options, code: 73, naming: words)
                #expect(try host.files().filter { $0 != ".leasehold" } == before.filter { $0 != ".leasehold" })
            }
            // A guest whose files are all there needs no space.
            if isJoined { try station.start(["--disk", "/first"], named: "again").stop() }
            try FileManager.default.removeItem(atPath: "\(host.mountPoint)/filler")
            try station.start(options, named: "later").stop()
        }
    }

    @Test(arguments: [false, true])
    func aReadOnlyLeaseDirectoryIsNamed(isJoined: Bool) throws {
        try withBrokenHost(isJoined: isJoined) { host in
            let station = try host.station()
            let before = try host.files()
            // The daemon has the lockspace open for writing where it is joined: sanlock keeps no descriptor of leases.
            if isJoined { try host.daemon.leave(hostID: 5, path: "\(host.leaseDirectory)/\(TwoHosts.lockspace)") }
            try host.remount("ro")
            try station.refused(
                ["--disk", "/first"], code: 73, naming: [host.leaseDirectory, "Read-only file system"])
            try station.refused(["--disk", "/second"], code: 73, naming: [host.leaseDirectory])
            try host.remount("rw")
            #expect(try host.files() == before)
        }
    }

    @Test func aMissingLeaseDirectoryIsNamedAndNotMade() throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "broken", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let file = try scratch.write("x", to: "file")
            try FileManager.default.createSymbolicLink(
                atPath: scratch.file("dangling"), withDestinationPath: scratch.file("nowhere"))
            for directory in [scratch.file("missing"), file, "\(file)/below", scratch.file("dangling"), "/dev/null"] {
                let station = try Station(daemon, id: 5, leaseDirectory: directory, scratch)
                try station.refused(["--disk", "/d"], code: 73, naming: ["lease directory \(directory)"])
            }
            #expect(!FileManager.default.fileExists(atPath: scratch.file("missing")))
            #expect(!FileManager.default.fileExists(atPath: scratch.file("nowhere")))
        }
    }

    @Test func whatIsNoLeaseUnderALeasesNameIsNamed() throws {
        try withBrokenHost { host in
            let station = try host.station()
            let manager = FileManager.default
            let spoilers: [(String, (String) throws -> Void)] = [
                ("directory", { try manager.createDirectory(atPath: $0, withIntermediateDirectories: false) }),
                ("fifo", { #expect(mkfifo($0, 0o660) == 0) }),
                (
                    "garbage",
                    { #expect(manager.createFile(atPath: $0, contents: Data(repeating: 0xa5, count: 1 << 20))) }
                ),
                ("loop", { try manager.createSymbolicLink(atPath: $0, withDestinationPath: $0) }),
                ("null", { try manager.createSymbolicLink(atPath: $0, withDestinationPath: "/dev/null") }),
                (
                    "other",
                    { try manager.copyItem(atPath: "\(host.leaseDirectory)/\(try leaseName("/first"))", toPath: $0) }
                ),
            ]
            for (name, spoil) in spoilers {
                let disk = "/disks/\(name)"
                let path = "\(host.leaseDirectory)/\(try leaseName(disk))"
                try spoil(path)
                let before = try host.files()
                try station.refused(
                    ["--name", "spoiled", "--disk", "/first", "--disk", disk], code: 73, naming: [disk, path])
                #expect(try host.files() == before)
                #expect(host.daemon.isRunning)
                // The good one is free again.
                try station.start(["--disk", "/first"], named: "good").stop()
            }
        }
    }

    @Test func aSpoiledLockspaceIsNamed() throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "broken", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let manager = FileManager.default
            let garbage = Data(repeating: 0x5a, count: 1 << 20)
            for name in ["garbage", "folder"] {
                let directory = try scratch.directory(name)
                let path = "\(directory)/\(TwoHosts.lockspace)"
                if name == "garbage" {
                    #expect(manager.createFile(atPath: path, contents: garbage))
                } else {
                    try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
                }
                let station = try Station(daemon, id: 5, leaseDirectory: directory, scratch)
                try station.refused(["--disk", "/d"], code: 69, naming: [path], within: 30)
                #expect(name == "folder" || manager.contents(atPath: path) == garbage)
            }
        }
    }

    @Test func explicitLeasesThatCannotBeHadAreNamed() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let lease = try ExplicitLease(in: hosts, offsets: 1)
            let missing = scratch.file("missing")
            try station.refused(
                ["--lease", "\(TwoHosts.lockspace):r:\(missing):0"], code: 73, naming: [missing, "r"])
            #expect(!FileManager.default.fileExists(atPath: missing))
            try station.refused(
                ["--lease", "elsewhere:r:\(lease.path.replacingOccurrences(of: " ", with: "\\ ")):0"], code: 69,
                naming: ["elsewhere"])
            try station.refused(
                ["--lease", lease.text(0).replacingOccurrences(of: ":R", with: ":X")], code: 73, naming: [lease.path])
            try station.refused(["--lease", lease.text(0) + "00007"], code: 73, naming: [lease.path])
            // All or none, also with a good one in front.
            let disk = try hosts.disk()
            try station.refused(
                ["--disk", disk, "--lease", "\(TwoHosts.lockspace):r:\(missing):0"], code: 73, naming: [missing])
            #expect(try hosts.holders(of: disk).isEmpty)
        }
    }

    @Test func withoutADaemonTheStartFailsAtOnce() throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "broken", runDirectory: scratch.file("s"))
            let leases = try scratch.directory("leases")
            daemon.kill()
            let station = try Station(daemon, id: 5, leaseDirectory: leases, scratch)
            for options in [["--disk", "/d"], ["--lease", "a:b:/c:0"], ["--disk", "/d", "--wait", "30"]] {
                let refusal = try station.refused(options, code: 69, naming: ["sanlock daemon", "SANLOCK_RUN_DIR"])
                #expect(refusal.outcome.seconds < 8)
            }
            // A stale socket, no socket, no directory.
            unlink("\(daemon.runDirectory)/sanlock.sock")
            try station.refused(["--disk", "/d"], code: 69, naming: ["sanlock daemon"])
            try FileManager.default.removeItem(atPath: daemon.runDirectory)
            try station.refused(["--disk", "/d"], code: 69, naming: ["sanlock daemon"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: leases) == [])
        }
    }
}
