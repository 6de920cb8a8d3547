import Foundation
import TestSupport
import Testing

/// The names of leases: libvirt's, whatever the path of the disk looks like.
@Suite struct LeaseNameTests {
    @Test func relativePathsAreNamedAgainstTheGuestsDirectory() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let folder = try scratch.directory("sub")
            for name in ["a.img", "b.img", "c.img"] { _ = try scratch.disk("sub/\(name)") }
            var program = try station.supervised(
                ["--name", "guest", "--disk", "b.img", "--disk", "file:./c.img"],
                QEMU.command(more: ["-drive", "file=file:a.img,format=raw,if=virtio"]))
            program.directory = folder
            let guest = Guest(running: try scratch.start(program), name: "guest", station: station)
            try eventually(within: 10) {
                let held = try guest.leases()
                return held.count == 3 && held.allSatisfy(\.remarks.isEmpty)
            }
            try expectLeases(
                of: guest,
                try ["\(folder)/a.img", "\(folder)/b.img", "\(folder)/./c.img"].map {
                    try ExpectedLease($0, in: hosts.leaseDirectory)
                })
            #expect(try guest.stop().status != .exit(64))
        }
    }

    @Test func pathsAreHashedAsTheyAre() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let folder = scratch.path
            let disk = try scratch.disk("disk")
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: disk)
            let paths = [
                "\(folder)/link", "\(folder)//disk", "\(folder)/./disk", "\(folder)/no such disk", "\(folder)/a,b:c",
                "\(folder)/ tab\tand\nline", "\(folder)/\u{1F40B}", "\(folder)/" + String(repeating: "x", count: 3000),
            ]
            let guest = try station.start(paths.flatMap { ["--disk", $0] })
            try expectLeases(of: guest, try paths.map { try ExpectedLease($0, in: hosts.leaseDirectory) })
            try guest.stop()
        }
    }

    @Test func disksThatDifferOnlyInUnicodeFormAreTwoDisks() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let folder = scratch.path
            let composed = try scratch.disk("\u{e9}")
            let paths = [composed, "\(folder)/e\u{301}", "/\u{301}\(UUID().uuidString)"]
            let guest = try station.start(["--disk", paths[1], "--disk", paths[2]], QEMU.command(disks: [composed]))
            try expectLeases(of: guest, try paths.map { try ExpectedLease($0, in: hosts.leaseDirectory) })
            try guest.stop()
        }
    }

    @Test func whatIsNoTextReachesTheGuestAsItIsAndIsRefusedAsADisk() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            // Swift's strings can't carry such bytes to the start, so a shell makes them.
            func shell(_ options: String, _ command: String) throws -> Program {
                let script = "bad=$(printf '\\377\\376'); exec \"$0\" \(options) -- \(command)"
                let program = try Products.supervisor()
                return Program("/bin/sh", ["-c", script, program], environment: station.environment)
            }
            let print = "sh -c 'printf \"%s %s\" \"$1\" \"$variable\" | od -An -tx1' - \"$bad\""
            var passing = try shell("--disk /d", "env variable=\"$bad\" \(print)")
            #expect(try passing.run().expecting(.exit(0)).output == " ff fe 20 ff fe\n")
            passing = try shell("--disk /d --name \"$(printf 'a\\377')\"", "true")
            try station.refused(passing, code: 64, naming: ["--name"])

            try station.refused(try shell("--disk \"/x/$bad\"", "true"), code: 64, naming: ["--disk", "/x/"])
            try station.refused(try shell("--lease \"a:b:/$bad:0\"", "true"), code: 64, naming: ["--lease"])
            let emulator = "qemu-system-x86_64 -drive \"file=/x/$bad,format=raw\""
            try station.refused(try shell("", emulator), code: 64, naming: ["-drive", "/x/"])
        }
    }
}

/// Lease files and settings that others made.
@Suite struct LeaseSettingsTests {
    @Test func leaseFilesOfLibvirtAreUsedAsTheyAre() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            try hosts.formatLease(disk)
            let path = try hosts.leasePath(disk)
            let before = try fileNumber(path)
            for host in [hosts.first, hosts.second] {
                let station = try Station(on: host, of: hosts, scratch)
                let guest = try station.start(["--disk", disk])
                try expectLeases(of: guest, [try ExpectedLease(disk, in: hosts.leaseDirectory)])
                try guest.stop()
            }
            #expect(try fileNumber(path) == before)
            #expect(try numberOfHosts(disk, hosts) == 2000)
            // One of ours is made for 250, and libvirt's tool can take it.
            let ours = try hosts.disk()
            let station = try Station(on: hosts.first, of: hosts, scratch)
            try station.start(["--disk", ours]).stop()
            #expect(try numberOfHosts(ours, hosts) == 250)
            try hosts.second.hold(try hosts.leaseText(ours)).end()
        }
    }

    private func fileNumber(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int
    }

    /// What the leader block says.
    private func numberOfHosts(_ disk: String, _ hosts: TwoHosts) throws -> Int? {
        let text = try hosts.first.daemon.sanlock("direct", "read_leader", "-r", try hosts.leaseText(disk)).output
        let line = text.split(separator: "\n").first { $0.hasPrefix("num_hosts") }
        return line?.split(separator: " ").last.flatMap { Int($0) }
    }

    @Test func leaseHostsSetsForHowManyHostsAFileIsMade() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let station = try Station(on: hosts.first, of: hosts, scratch, settings: ["lease_hosts": "12"])
            try station.start(["--disk", disk]).stop()
            #expect(try numberOfHosts(disk, hosts) == 12)
        }
    }

    @Test func nopDriverTakesNoLeaseAndNeedsNoDaemon() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            var station = try Station(on: hosts.first, of: hosts, scratch)
            station.more = ["SANLOCK_RUN_DIR": scratch.file("nowhere")]
            let disk = try hosts.disk()
            let guests = try ["one", "two"].map {
                try station.start(["--driver", "nop", "--disk", disk], named: $0)
            }
            #expect(try hosts.holders(of: disk).isEmpty)
            #expect(!FileManager.default.fileExists(atPath: try hosts.leasePath(disk)))
            #expect(try guests[0].status()["driver"] == "nop")
            for guest in guests { #expect(guest.running.errors == "") }
            for guest in guests { try guest.stop() }
        }
    }

    @Test func withoutAutomaticLeasesADiskTakesNoneAndAWarningSaysSo() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let settings = ["auto_disk_leases": "0", "require_lease_for_disks": "0"]
            let station = try Station(on: hosts.first, of: hosts, scratch, settings: settings)
            let guest = try station.start([], QEMU.command(disks: [disk]))
            try expectLeases(of: guest, [])
            try guest.running.waitForOutput("without a lease", in: .errors)
            try guest.stop()
            let explicit = try ExplicitLease(in: hosts, offsets: 1)
            let other = try station.start(["--lease", explicit.text(0)], QEMU.command(disks: [disk]))
            try expectLeases(of: other, [explicit.expected(0)])
            try other.stop()
        }
    }

    @Test func whereALeaseIsRequiredAGuestWithoutOneIsRefused() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            // Without auto_disk_leases it is required, as with libvirt.
            let manual = try Station(on: hosts.first, of: hosts, scratch, settings: ["auto_disk_leases": "0"])
            try manual.refused([], QEMU.command(disks: [disk]), code: 78, naming: ["require_lease_for_disks"])
            try manual.refused(["--disk", disk], code: 78, naming: ["require_lease_for_disks"])

            let strict = try Station(
                on: hosts.first, of: hosts, scratch, settings: ["require_lease_for_disks": "1"])
            try strict.refused([], QEMU.command(), code: 78, naming: ["no disk was found"])
            let guest = try strict.start([], QEMU.command(disks: [disk]))
            try expectLeases(of: guest, [try ExpectedLease(disk, in: hosts.leaseDirectory)])
            try guest.stop()
        }
    }

    @Test func aCommandWithoutADiskRunsWithOneWarning() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let outcome = try station.supervised([], Probe.command("sleep", "0.3")).run().expecting(.exit(0))
            let lines = outcome.errors.split(separator: "\n").filter { $0.contains("without a lease") }
            #expect(lines.count == 1, "\(outcome.errors)")
            for options in [["--no-auto-disks"], ["--readonly-disk", "/d"], ["--driver", "nop"]] {
                let quiet = try station.supervised(options, Probe.command("sleep", "0.3")).run().expecting(.exit(0))
                #expect(!quiet.errors.contains("a lease"), "\(options): \(quiet.errors)")
            }
        }
    }

    @Test func bothHostsStartAtOnceWhereNothingIsSetUp() throws {
        let hosts = try TwoHosts(joined: false)
        defer { hosts.end() }
        try FileManager.default.removeItem(atPath: hosts.lockspacePath)
        let scratch = hosts.scratch
        let disks = try (0..<4).map { _ in try hosts.disk() }
        // Each disk is wanted by these hosts; the last one by two guests of each.
        let wanted = [(0, 0), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (0, 3), (1, 3)]
        let stations = [
            try Station(on: hosts.first, of: hosts, scratch), try Station(on: hosts.second, of: hosts, scratch),
        ]
        let starts = try wanted.enumerated().map { index, want in
            (
                disk: want.1,
                running: try scratch.start(
                    try stations[want.0].supervised(
                        ["--name", "g\(index)", "--disk", disks[want.1]], Probe.command("sleep", "60")))
            )
        }
        func running(_ disk: Int) -> [RunningProgram] {
            starts.filter { $0.disk == disk }.map(\.running).filter(\.isRunning)
        }
        try eventually(within: 25, every: 50, "one guest a disk: \(starts.map { $0.running.errors })") {
            try disks.indices.allSatisfy { try running($0).count == 1 && hosts.holders(of: disks[$0]).count == 1 }
        }
        for disk in disks.indices {
            #expect(try hosts.holders(of: disks[disk]).map(\.resource.pid) == running(disk).map(\.pid))
        }
        for start in starts where !start.running.isRunning {
            expectOneLine(try start.running.finish(), code: 75, naming: [disks[start.disk]])
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: hosts.leaseDirectory)
        let expected = try disks.map { try leaseName($0) } + [TwoHosts.lockspace, ".leasehold"]
        #expect(files.sorted() == expected.sorted())
        // The winners write their records.
        #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory) == [])
    }
}
