import Foundation
import TestSupport
import Testing

/// Between `out` and `in` nobody has the disk. Whoever takes it then has it, and neither side runs on it again: what the guest
/// remembers of its disk may not fit it any more.
@Suite(.serialized) struct MigrationThirdPartyTests {
    @Test(arguments: [0, 1]) func whoeverTakesTheDiskInBetweenKeepsIt(place: Int) throws {
        try MigrationStage.with { stage in
            let gap = try Gap(stage)
            let other = try stage.startOther(on: place)
            try gap.expectRefused(naming: "guest other on host host\(place + 1)")
            #expect(try other.state() == "running")
            #expect(other.supervisor.isRunning)
            // It stays so when that one has gone.
            try other.leasehold("kill", other.name).expecting(.exit(0))
            try gap.expectCalledOffInVain(naming: "host\(place + 1)")
        }
    }

    @Test(arguments: [0, 1]) func whoeverHasHadTheDiskInBetweenHasChangedIt(place: Int) throws {
        try MigrationStage.with { stage in
            let gap = try Gap(stage)
            let other = try stage.startOther(on: place)
            // Killed, it gives the lease back as a target does that never ran, but without a word.
            try other.leasehold("kill", other.name).expecting(.exit(0))
            try gap.expectRefused(naming: "host\(place + 1)")
        }
    }

    /// What has run at the target has changed the disk as well.
    @Test func theSourceDoesNotGoOnAfterATargetThatHasRun() throws {
        for ending in ["kill", "supervisor", "emulator"] {
            try MigrationStage.with { stage in
                let gap = try Gap(stage)
                try gap.there.leasehold("migrate", "in", gap.there.name, "--state", gap.ticket).expecting(.exit(0))
                stage.expectWriting()
                // While it runs there, its lease says so.
                try gap.expectCalledOffInVain(naming: "guest mover on host host2")
                switch ending {
                case "kill": try gap.there.leasehold("kill", gap.there.name).expecting(.exit(0))
                case "supervisor": gap.there.supervisor.signal(SIGKILL)
                default: gap.there.emulator.signal(SIGKILL)
                }
                _ = try gap.there.supervisor.wait(timeout: 10)
                try gap.expectCalledOffInVain(naming: "host2")
            }
        }
    }

    /// A target that had the lease and never ran has changed nothing, and says so: the source takes the next version.
    @Test func theSourceGoesOnAfterATargetThatHadTheLeaseAndNeverRan() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            try here.leasehold("suspend", here.name).expecting(.exit(0))
            let version = try #require(try here.version())
            let there = try stage.start(on: 1, incoming: true)
            _ = try here.ticket("prepare", "--to", there.uri)
            try here.migrate(to: there.uri)
            let ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
            try there.leasehold("migrate", "in", there.name, "--state", ticket).expecting(.exit(0))
            #expect(try there.state() == "paused")
            #expect(try there.version() == version + 1)
            // While it has it, nobody else does.
            let refused = try here.callBack()
            expectOneLine(refused, code: 75, naming: ["guest mover on host host2"])
            try there.leasehold("kill", there.name).expecting(.exit(0))
            #expect(try there.exitRecord()["leasesFree"] == true)

            try here.callBack().expecting(.exit(0))
            #expect(try here.state() == "paused")
            #expect(try here.version() == version + 2)
            try here.leasehold("resume", here.name).expecting(.exit(0))
            stage.expectWriting()
            try here.guest.waitUntilRecorded(stage.disk)
        }
    }

    /// All or none: a target that gets one of two leases gives it back, and the source has both again.
    @Test func theSourceGoesOnAfterATargetThatHadSomeOfTheLeases() throws {
        try MigrationStage.with { stage in
            let second = try stage.hosts.disk()
            let more = ["-drive", "file=\(second),format=raw,if=virtio,file.locking=off"]
            let here = try stage.start(on: 0, more: more)
            stage.expectWriting()
            let versions = try (0..<2).map { try #require(try here.version($0)) }
            let there = try stage.start(on: 1, incoming: true, more: more)
            _ = try here.ticket("prepare", "--to", there.uri)
            try here.migrate(to: there.uri)
            let ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
            let lease = try stage.hosts.leasePath(second)
            #expect(rename(lease, lease + ".away") == 0)
            let refused = try there.leasehold("migrate", "in", there.name, "--state", ticket)
            #expect(!refused.succeeded && refused.errors.contains(second), "\(refused)")
            #expect(try there.state() == "incoming")
            #expect(rename(lease + ".away", lease) == 0)
            #expect(try stage.hosts.holders(of: stage.disk).isEmpty)
            try there.leasehold("migrate", "in", there.name, "--cancel").expecting(.exit(0))

            try here.callBack().expecting(.exit(0))
            #expect(try here.state() == "running")
            #expect(try here.version(0) == versions[0] + 2)
            #expect(try here.version(1) == versions[1] + 1)
            stage.expectWriting()
        }
    }

    /// The same, and the target tries again and gets them.
    @Test func theTargetGetsLaterWhatItDidNotGetAtFirst() throws {
        try MigrationStage.with { stage in
            let second = try stage.hosts.disk()
            let more = ["-drive", "file=\(second),format=raw,if=virtio,file.locking=off"]
            let here = try stage.start(on: 0, more: more)
            stage.expectWriting()
            let there = try stage.start(on: 1, incoming: true, more: more)
            _ = try here.ticket("prepare", "--to", there.uri)
            try here.migrate(to: there.uri)
            let ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
            let lease = try stage.hosts.leasePath(second)
            #expect(rename(lease, lease + ".away") == 0)
            #expect(try !there.leasehold("migrate", "in", there.name, "--state", ticket).succeeded)
            #expect(rename(lease + ".away", lease) == 0)
            try there.leasehold("migrate", "in", there.name, "--state", ticket).expecting(.exit(0))
            #expect(try there.state() == "running")
            stage.expectWriting()
            try there.guest.waitUntilRecorded(second)
        }
    }
}

/// A migration between `out` and `in`: nobody has the disk's lease.
private struct Gap {
    let stage: MigrationStage
    let here: MigrationSide
    let there: MigrationSide
    /// The ticket's path.
    let ticket: String

    init(_ stage: MigrationStage) throws {
        self.stage = stage
        here = try stage.start(on: 0)
        stage.expectWriting()
        there = try stage.start(on: 1, incoming: true)
        _ = try here.ticket("prepare", "--to", there.uri)
        try here.migrate(to: there.uri)
        ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
    }

    /// Neither side gets the disk, and both say why. The target is gone afterwards.
    func expectRefused(naming who: String) throws {
        let refused = try there.leasehold("migrate", "in", there.name, "--state", ticket)
        expectOneLine(refused, code: 75, naming: ["mover can't run here", who, stage.disk])
        #expect(try there.state() == "incoming")
        try there.leasehold("migrate", "in", there.name, "--cancel").expecting(.exit(0))
        #expect(try there.supervisor.wait(timeout: 5) == .signal(SIGKILL))
        #expect(try there.exitRecord()["reason"] == "killed")
        try expectCalledOffInVain(naming: who)
    }

    /// The source stays stopped, and says why.
    func expectCalledOffInVain(naming who: String) throws {
        let refused = try here.callBack()
        expectOneLine(refused, code: 75, naming: ["mover can't go on here", who, stage.disk, "leasehold kill"])
        #expect(try here.state() == "migrating")
        let word = try here.monitor.status()
        #expect(["postmigrate", "paused"].contains(word), "\(word)")
    }
}
