import Foundation
import TestSupport
import Testing

/// `leasehold lease cleanup`: what it removes, what it leaves, and what is left of one that is killed.
@Suite(.serialized) struct CleanupTests {
    @Test func freeLeasesAreRemovedAndHeldOnesStay() throws {
        try CleanupStage.shared { stage in
            let hosts = stage.hosts
            let aside = Set(LeaseDirectory.asideFiles(hosts.leaseDirectory))
            let free = try stage.freeDisks(11)
            let held = try hosts.disk()
            let shared = try hosts.disk()
            let guests = [
                try stage.first.start(["--disk", held], named: "exclusive"),
                try stage.second.start(["--shared-disk", shared], named: "shared"),
            ]
            let before = try [held, shared].map { FileSight(try hosts.leasePath($0)) }
            #expect(try stage.cleanUp() == CleanupCounts(removed: 11, inUse: 2))
            #expect(try stage.cleanUp(stage.second) == CleanupCounts(inUse: 2))
            #expect(try stage.leases() == [held, shared].map { try leaseName($0) }.sorted())
            #expect(try [held, shared].map { FileSight(try hosts.leasePath($0)) } == before)
            // Held still, and by them.
            try stage.second.refused(["--disk", held], code: 75, naming: ["guest exclusive"])
            try stage.first.refused(["--disk", shared], code: 75, naming: ["guest shared"])
            for guest in guests { try guest.stop() }
            #expect(try stage.cleanUp() == CleanupCounts(removed: 2))
            // A start makes what it needs again.
            let again = try stage.second.start(["--disk", free[0]], named: "again")
            try expectLeases(of: again, [try ExpectedLease(free[0], in: hosts.leaseDirectory)])
            try again.stop()
            #expect(try stage.cleanUp() == CleanupCounts(removed: 1))
            #expect(Set(LeaseDirectory.asideFiles(hosts.leaseDirectory)).isSubset(of: aside))
        }
    }

    @Test func aDryRunChangesNothing() throws {
        try CleanupStage.shared { stage in
            let hosts = stage.hosts
            _ = try stage.freeDisks(3)
            try Data("no lease".utf8).write(to: URL(fileURLWithPath: "\(hosts.leaseDirectory)/notes"))
            let before = try FileState.all(in: hosts.leaseDirectory).filter { $0.key != TwoHosts.lockspace }
            let outcome = try stage.first.leasehold("lease", "cleanup", "--dry-run", "--json").expecting(.exit(0))
            #expect(try CleanupCounts(outcome) == CleanupCounts(removed: 3, skipped: 1))
            #expect(try outcome.json()["dryRun"] == true)
            #expect(try FileState.all(in: hosts.leaseDirectory).filter { $0.key != TwoHosts.lockspace } == before)
            let words = try stage.first.leasehold("lease", "cleanup", "--dry-run").expecting(.exit(0))
            #expect(words.output == "3 would be removed, 0 in use, 1 no lease\n")
            unlink("\(hosts.leaseDirectory)/notes")
            try stage.cleanUp()
        }
    }

    @Test func whatIsNoWholeLeaseIsCountedAndNotTouched() throws {
        try CleanupStage.shared { stage in
            let hosts = stage.hosts
            let directory = hosts.leaseDirectory
            let free = try stage.freeDisks(2)
            let target = try hosts.leasePath(free[0])
            // Each under a name that a lease could have.
            var names: [String] = []
            func name() -> String {
                names.append(String(format: "%032x", names.count + 1))
                return "\(directory)/\(names[names.count - 1])"
            }
            for kind in UnfinishedFile.allCases {
                let path = name()
                let lease = "\(TwoHosts.lockspace):\(names[names.count - 1]):\(path):0"
                try kind.make(path, lease, hosts.first.daemon)
            }
            let foreign = name()
            try hosts.scratch.disk("leases/\(names[names.count - 1])")
            try hosts.first.daemon.sanlock("direct", "init", "-r", "\(TwoHosts.lockspace):other:\(foreign):0")
                .expecting(.exit(0))
            let elsewhere = name()
            try hosts.scratch.disk("leases/\(names[names.count - 1])")
            try hosts.first.daemon.sanlock("direct", "init", "-r", "other:\(names[names.count - 1]):\(elsewhere):0")
                .expecting(.exit(0))
            for offset in [0, 13, 40, 60, 170] {
                var bytes = try #require(FileManager.default.contents(atPath: target))
                bytes[offset] ^= 0x10
                try bytes.write(to: URL(fileURLWithPath: name()))
            }
            let noise = name()
            try Data((0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }).write(to: URL(fileURLWithPath: noise))
            let damaged = names.count
            // What is no file, or has no lease's name.
            #expect(mkdir(name(), 0o755) == 0)
            #expect(mkfifo(name(), 0o644) == 0)
            #expect(symlink(target, name()) == 0)
            #expect(symlink("/nowhere", name()) == 0)
            for name in ["notes.txt", "0123456789ABCDEF0123456789ABCDEF", String(repeating: "a", count: 33), "a b\nc"] {
                try FileManager.default.copyItem(atPath: target, toPath: "\(directory)/\(name)")
                names.append(name)
            }
            let before = names.map { FileState("\(directory)/\($0)") }
            let skipped = names.count - damaged
            for isFirst in [true, false] {
                let counts = try stage.cleanUp(isFirst ? stage.first : stage.second)
                #expect(counts == CleanupCounts(removed: isFirst ? 2 : 0, damaged: damaged, skipped: skipped))
            }
            for (name, state) in zip(names, before) {
                #expect(FileState("\(directory)/\(name)") == state, "\(name)")
                try FileManager.default.removeItem(atPath: "\(directory)/\(name)")
            }
        }
    }

    @Test func whatCannotBeRemovedFailsAndTheRestIsDone() throws {
        try CleanupStage.shared { stage in
            let hosts = stage.hosts
            let disks = try stage.freeDisks(10)
            let stuck = try disks[3...4].map { try hosts.leasePath($0) }.sorted()
            for path in stuck {
                // Nothing that is mounted upon can be unlinked.
                try Program.run("mount", ["--bind", path, path]).expecting(.exit(0))
                hosts.scratch.atEnd { _ = try? Program.run("umount", ["-l", path]) }
            }
            let outcome = try stage.first.leasehold("lease", "cleanup", "--json")
            #expect(outcome.status == .exit(73))
            #expect(try CleanupCounts(outcome) == CleanupCounts(removed: 8, failed: 2))
            let lines = outcome.errors.split(separator: "\n").sorted()
            #expect(lines.count == 2, "\(outcome.errors)")
            for (line, path) in zip(lines, stuck) { #expect(line.hasPrefix("leasehold: \(path) was not removed: ")) }
            // They are free, and as good as before.
            let guest = try stage.second.start(["--disk", disks[3], "--disk", disks[4]])
            #expect(try guest.leases().count == 2)
            try guest.stop()
            for path in stuck { try Program.run("umount", [path]).expecting(.exit(0)) }
            #expect(try stage.cleanUp() == CleanupCounts(removed: 2))
        }
    }

    @Test func theLeaseOfADeadHostStaysUntilItIsBack() throws {
        try withTwoHosts { hosts in
            try hosts.waitUntilSeen()
            let stage = try CleanupStage(hosts)
            let disk = try hosts.disk()
            let guest = try stage.second.start(["--disk", disk])
            try guest.waitUntilRecorded(disk)
            hosts.second.daemon.kill()
            _ = try guest.running.finish(timeout: 10)
            let before = FileSight(try hosts.leasePath(disk))
            #expect(try stage.cleanUp() == CleanupCounts(inUse: 1))
            #expect(FileSight(try hosts.leasePath(disk)) == before)
            try hosts.second.daemon.restart()
            try hosts.second.join()
            // What it held before it left nobody holds, once the other host has seen that it is back.
            try eventually(within: 15, every: 100, "the lease being free") {
                try stage.cleanUp() == CleanupCounts(removed: 1)
            }
        }
    }

    @Test func severalCleanUpsAtOnceShareTheWork() throws {
        try CleanupStage.shared { stage in
            let hosts = stage.hosts
            for _ in 0..<max(2, Rounds.wanted / 10) {
                _ = try stage.freeDisks(40)
                let running = try [stage.first, stage.first, stage.second, stage.second].map { station in
                    try hosts.scratch.start(
                        Program(try Products.cli(), ["lease", "cleanup", "--json"], environment: station.environment))
                }
                let counts = try running.map { try CleanupCounts($0.finish().expecting(.exit(0))) }
                // One that met another at a lease leaves it to that one.
                #expect(counts.map(\.removed).reduce(0, +) == 40, "\(counts)")
                #expect(counts.allSatisfy { $0.damaged == 0 && $0.skipped == 0 && $0.failed == 0 }, "\(counts)")
                #expect(try stage.leases() == [])
            }
        }
    }
}
