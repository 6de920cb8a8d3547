import Foundation
import TestSupport
import Testing

/// Guests that are asked for their disk wherever they are in their life, and real QEMUs that stand still for it.
@Suite(.serialized) struct RequestStateTests {
    private static let pauses = ["--on-lease-loss", "pause"]

    private func give(_ stage: RequestStage, _ disk: String) throws {
        try stage.here.leasehold("request", disk, "--wait", "20s").expecting(.exit(0))
    }

    private func takeAndEnd(_ stage: RequestStage, _ disk: String) throws {
        let taker = try stage.here.supervised(
            ["--name", "taker", "--no-auto-disks", "--disk", disk], try Probe.command("exit", "0"))
        _ = try despiteSlowStorage { try taker.run(timeout: 20).expecting(.exit(0)) }
    }

    @Test func aGuestThatIsToPauseStandsStillAndIsNotResumedOnceAnotherHostHadItsDisk() throws {
        try withStage { stage in
            let guest = try EmulatorGuest(on: stage.there, disk: try stage.hosts.disk(), options: Self.pauses)
            try give(stage, guest.disk)
            try eventually(within: 2) { try guest.status()["leases"]?[0]?["state"] == "released" }
            #expect(try guest.status()["state"] == "paused")
            #expect(try guest.monitor.status() == "paused")
            #expect(try guest.isStill())
            #expect(guest.running.errors.contains("policy=pause"), "\(guest.running.errors)")
            try takeAndEnd(stage, guest.disk)
            expectOneLine(
                try guest.leasehold("resume"), code: 75, naming: [guest.disk, "host1", "host id 1", "stays stopped"])
            #expect(try guest.isStill())
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    @Test func aGuestThatGaveWayToNobodyGoesOnAndTheOldRequestIsOver() throws {
        try withStage { stage in
            let guest = try EmulatorGuest(on: stage.there, disk: try stage.hosts.disk(), options: Self.pauses)
            let version = try guest.version()
            for round in 1...2 {
                try give(stage, guest.disk)
                try eventually(within: 2) { try guest.status()["leases"]?[0]?["state"] == "released" }
                try guest.leasehold("resume").expecting(.exit(0))
                #expect(try guest.version() == version + round)
                try stage.hosts.second.daemon.sanlock(
                    "client", "examine", "-r", try stage.hosts.leaseText(guest.disk)
                ).expecting(.exit(0))
                guest.running.signal(RequestStage.noticeSignal)
                pause(milliseconds: 1000)
                try guest.waitUntilWriting()
                #expect(try guest.status()["state"] == "running")
            }
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    @Test func aSuspendedGuestGivesWayByItsPolicy() throws {
        try withStage { stage in
            let ending = try EmulatorGuest(on: stage.there, disk: try stage.hosts.disk(), named: "ending")
            let pausing = try EmulatorGuest(
                on: stage.there, disk: try stage.hosts.disk(), named: "pausing", options: Self.pauses)
            for guest in [ending, pausing] { try guest.leasehold("suspend").expecting(.exit(0)) }
            try give(stage, ending.disk)
            #expect(try ending.running.wait(timeout: 3) == .exit(0))
            try give(stage, pausing.disk)
            try eventually(within: 2) { try pausing.status()["leases"]?[0]?["state"] == "released" }
            // Whose lease is given back nobody has to be asked for.
            let free = try stage.here.leasehold("request", pausing.disk).expecting(.exit(0))
            #expect(free.output.contains("is free"))
            try pausing.leasehold("resume").expecting(.exit(0))
            try pausing.waitUntilWriting()
            #expect(try pausing.leasehold("kill").succeeded)
        }
    }

    /// It leaves already; asked meanwhile it gives way when it stays after all.
    @Test func aGuestThatMigratesGivesWayOnceTheMigrationIsCalledOff() throws {
        try withStage { stage in
            let guest = try EmulatorGuest(on: stage.there, disk: try stage.hosts.disk())
            try stage.there.leasehold("migrate", "prepare", "guest", "--to", "unix:/nowhere").expecting(.exit(0))
            try stage.here.leasehold("request", guest.disk).expecting(.exit(0))
            try eventually(within: 10, every: 50, "the request being told") {
                guest.running.errors.contains("mode=graceful")
            }
            pause(milliseconds: 1500)
            #expect(try guest.status()["state"] == "migrating")
            try guest.waitUntilWriting()
            try stage.there.leasehold("migrate", "out", "guest", "--cancel").expecting(.exit(0))
            #expect(try guest.running.wait(timeout: 5) == .exit(0))
            // It was told once.
            #expect(guest.running.errors.components(separatedBy: "mode=graceful").count == 2, "\(guest.running.errors)")
        }
    }

    /// The target of a migration holds nothing yet, and the source is the one that is asked.
    @Test func aTargetIsNotAsked() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            let source = try stage.here.start(["--disk", disk], named: "source")
            let target = try stage.there.start(
                ["--disk", disk, "--incoming", "--qmp", stage.scratch.file("none"), "--no-auto-disks"], named: "target")
            try target.station.leasehold("status", "target").expecting(.exit(0))
            try stage.notice(to: target)
            pause(milliseconds: 500)
            #expect(target.running.isRunning)
            try stage.there.leasehold("request", disk, "--wait", "20s").expecting(.exit(0))
            #expect(try source.running.wait(timeout: 2) == .signal(SIGTERM))
            #expect(target.running.isRunning)
            #expect(try stage.there.leasehold("kill", "target").succeeded)
        }
    }

    @Test func aGuestThatIsBeingStoppedIsNotHurried() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            let record = HostileRecord(stage.scratch.file("pids"))
            let guest = try stage.there.start(
                ["--disk", disk], try Probe.command("hostile", "ignore-signals", record.path, "60"), named: "slow")
            try record.waitUntilReady()
            let stop = try stage.scratch.start(
                Program(
                    try Products.cli(), ["stop", "slow", "--timeout", "12s"], environment: stage.there.environment))
            try eventually(within: 5) { try guest.status()["state"] == "stopping" }
            try stage.here.leasehold("request", disk).expecting(.exit(0))
            try eventually(within: 9, every: 50, "the daemon having told it") {
                stage.hosts.second.daemon.log.contains("do_request \(guest.pid) ")
            }
            pause(milliseconds: 500)
            #expect(guest.running.isRunning)
            #expect(try stop.wait(timeout: 20) == .exit(0))
            let exit = try stage.there.leasehold("wait", "slow", "--json").expecting(.exit(0)).json()
            #expect(exit["reason"] == "stopped" && exit["signal"] == 9, "\(exit)")
        }
    }

    /// Whoever waits for another disk meanwhile is told that it won't be had, and doesn't keep others waiting.
    @Test func aGuestThatWaitsForAnotherDiskGivesWay() throws {
        try withStage { stage in
            let other = try stage.hosts.disk()
            let holder = try stage.here.start(["--disk", other], named: "holder")
            let guest = try EmulatorGuest(on: stage.there, disk: try stage.hosts.disk(), options: Self.pauses)
            let attaching = try stage.scratch.start(
                Program(
                    try Products.cli(), ["attach-disk", "guest", other, "--wait", "60s"],
                    environment: stage.there.environment))
            pause(milliseconds: 500)
            #expect(attaching.isRunning)
            try give(stage, guest.disk)
            #expect(try attaching.wait(timeout: 2) == .exit(69))
            try eventually(within: 2) { try guest.status()["leases"]?[0]?["state"] == "released" }
            try guest.leasehold("resume").expecting(.exit(0))
            #expect(try guest.disks() == [guest.disk: "exclusive"])
            #expect(try guest.leasehold("kill").succeeded)
            try holder.stop()
        }
    }
}
