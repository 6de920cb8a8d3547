import Foundation
import TestSupport
import Testing

/// The leases are lost and the guest is to be paused; its monitor does what it wants.
@Suite(.serialized) struct HostileMonitorTests {
    /// Monitors that don't stop the guest, or of which that can't be known: it has to die.
    private static let useless: [HostileMonitor.Behaviour] = [
        .absent, .closesAtOnce, .closesEach, .neverGreets, .silent, .deaf, .slow(milliseconds: 5000), .refuses,
        .wrongIDs,
        .garbage, .stuffs, .lies(periodMilliseconds: 20), .ignoresStop, .hangs, .sleeps(milliseconds: 2500),
    ]
    /// Monitors that stop it.
    private static let useful: [HostileMonitor.Behaviour] = [.honest, .slow(milliseconds: 50), .floods, .refusesCont]
    /// Monitors that stop it, and let it go on later without being asked.
    private static let fickle: [HostileMonitor.Behaviour] = [
        .goesOn(milliseconds: 2500), .goesOnSilently(milliseconds: 2500),
    ]

    /// Monitors that say so and lie, of guests that write so seldom that it takes a while to be seen.
    private static let sly: [HostileMonitor.Behaviour] = [
        .lies(periodMilliseconds: 150), .lies(periodMilliseconds: 400),
    ]

    /// One daemon under them all, since a pair of hosts takes seconds to join.
    @Test func whateverTheMonitorDoesNothingIsWrittenASecondAfterTheDaemonVanished() throws {
        try withPausedHosts { hosts in
            func start(_ behaviours: [HostileMonitor.Behaviour]) throws -> [MonitorStage] {
                try behaviours.map { try MonitorStage($0, on: hosts) }
            }
            let (useless, useful, fickle) = (try start(Self.useless), try start(Self.useful), try start(Self.fickle))
            let sly = try start(Self.sly)
            // A monitor that behaves badly is no reason to do anything to a guest that has its leases.
            for stage in useless + useful + fickle + sly {
                #expect(try stage.status()["state"] == "running", "\(stage.monitor.behaviour)")
                #expect(try stage.writes(after: 0).count > 5)
            }
            let killed = hosts.first.daemon.kill()
            var clock = FairClock(since: killed)
            while (useless + sly).contains(where: \.guest.exists), clock.seconds < 1 { clock.pause(milliseconds: 1) }
            let limit = 1 + clock.lostSeconds

            each(useless) { try expectDeath(of: $0, since: killed, limit) }
            each(sly) { try expectDeath(of: $0, since: killed, limit, mayBePaused: true) }
            for stage in useful + fickle { try stage.waitUntilPaused() }
            each(useful) { try expectStanding($0, since: killed, limit) }
            each(fickle) { try expectDeathOnGoingOn($0, since: killed) }
            // None of those that were paused went on meanwhile.
            each(useful) { try expectStanding($0, since: killed, limit) }

            try hosts.first.daemon.restart()
            each(useful) { stage in
                if stage.monitor.behaviour == .refusesCont { return try expectRefusalToGoOn(stage) }
                try stage.waitForEvent("resumed", within: 30)
                let resumed = monotonicNanoseconds()
                try eventually(within: 5) { try !stage.writes(after: resumed).isEmpty }
                #expect(try stage.status()["state"] == "running")
                #expect(stage.eventNames().suffix(3) == ["leaseLost", "paused", "resumed"])
            }
            each(useless + useful + fickle + sly) { stage in
                _ = try stage.stage.leasehold("kill", "guest")
                try eventually(within: 5) { stage.stage.strays.isEmpty }
                try stage.stage.expectNothingLeft()
            }
        }
    }

    /// What is to be said to a monitor that reads nothing isn't collected without end.
    @Test func aMonitorThatDrownsItsSupervisorIsGivenUp() throws {
        try withPausedHosts { hosts in
            let stage = try MonitorStage(.drowns, on: hosts)
            let before = try privateKilobytes(of: stage.program.pid)
            let outcome = try stage.stage.leasehold("suspend", "guest")
            expectOneLine(outcome, code: 69, naming: ["guest", "can't be made to stand still"])
            #expect(stage.commands.count { $0 == "stop" } > 0)
            // It runs, and its monitor goes on.
            pause(milliseconds: 2000)
            let after = try privateKilobytes(of: stage.program.pid)
            #expect(after - before < 512, "\(before) kB, then \(after) kB")
            #expect(try stage.status()["state"] == "running")
            try stage.stage.leasehold("kill", "guest").expecting(.exit(0))
            try stage.stage.expectNothingLeft()
        }
    }

    /// One that fails doesn't keep the others from being looked at.
    private func each(_ stages: [MonitorStage], _ body: (MonitorStage) throws -> Void) {
        for stage in stages {
            do { try body(stage) } catch { Issue.record("\(stage.monitor.behaviour): \(error)") }
        }
    }

    private func expectDeath(
        of stage: MonitorStage, since killed: UInt64, _ limit: Double, mayBePaused: Bool = false
    ) throws {
        let behaviour = stage.monitor.behaviour
        #expect(!stage.guest.exists, "\(behaviour)")
        let last = try stage.writes(after: killed).last ?? 0
        print("\(behaviour): wrote for the last time \(last) s after the daemon's end")
        #expect(last < limit, "\(behaviour)")
        #expect(try stage.program.wait(timeout: 8) == .exit(74), "\(behaviour): \(stage.program.errors)")
        try expectLossRecord(stage)
        let told = stage.eventNames().filter { !mayBePaused || $0 != "paused" }
        #expect(told.suffix(3) == ["leaseLost", "exited", "released"], "\(behaviour): \(stage.eventNames())")
    }

    private func expectLossRecord(_ stage: MonitorStage) throws {
        let exit = try stage.stage.exitRecord()
        #expect(exit["reason"] == "leaseLost" && exit["leasesFree"] == false, "\(stage.monitor.behaviour): \(exit)")
        let lines = stage.program.errors.split(separator: "\n")
        let controls = stage.program.errors.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" }
        #expect(!lines.isEmpty && !controls, "\(stage.monitor.behaviour): \(stage.program.errors.debugDescription)")
    }

    private func expectStanding(_ stage: MonitorStage, since killed: UInt64, _ limit: Double) throws {
        let behaviour = stage.monitor.behaviour
        #expect(stage.guest.exists && stage.program.isRunning, "\(behaviour)")
        #expect((try stage.writes(after: killed).last ?? 0) < limit, "\(behaviour)")
        #expect(try stage.status()["state"] == "paused", "\(behaviour)")
        #expect(try stage.status()["leases"]?[0]?["state"] != "held", "\(behaviour)")
        #expect(stage.eventNames().suffix(2) == ["leaseLost", "paused"], "\(behaviour)")
    }

    /// It stood; from the moment at which it goes on it has less than a second.
    private func expectDeathOnGoingOn(_ stage: MonitorStage, since killed: UInt64) throws {
        let behaviour = stage.monitor.behaviour
        #expect(try stage.program.wait(timeout: 10) == .exit(74), "\(behaviour)")
        try eventually(within: 1) { !stage.guest.exists }
        let later = try stage.writes(after: killed).filter { $0 > 1 }
        // It did stop and go on: no write for two seconds, between the first second and what came then.
        #expect((later.first ?? 9) > 2, "\(behaviour): \(later)")
        #expect((later.last ?? 0) - (later.first ?? 0) < 1, "\(behaviour): \(later)")
        try expectLossRecord(stage)
        #expect(stage.eventNames().suffix(4) == ["leaseLost", "paused", "exited", "released"], "\(behaviour)")
    }

    /// It has its leases again and stands for as long as its monitor wants.
    private func expectRefusalToGoOn(_ stage: MonitorStage) throws {
        try eventually(within: 30) { try stage.status()["leases"]?[0]?["state"] == "held" }
        try eventually(within: 10) { stage.program.errors.contains("the disk is gone") }
        let now = monotonicNanoseconds()
        pause(milliseconds: 500)
        #expect(try stage.writes(after: now).isEmpty)
        #expect(stage.guest.exists)
        #expect(!(stage.eventNames().contains("resumed")))
    }
}

/// The leases are lost, the guest is paused, and then the sanlock daemon is there again.
@Suite(.serialized) struct PauseTests {
    /// The loss comes twice: what was pause, release and going on once has to be so again.
    @Test func aGuestIsPausedAsOftenAsItsDaemonVanishes() throws {
        try withPausedHosts { hosts in
            let stage = try MonitorStage(.honest, on: hosts)
            let version = try stage.version()
            for round in 1...2 {
                let killed = hosts.first.daemon.kill()
                try stage.waitUntilPaused(round)
                pause(milliseconds: 1000)
                #expect((try stage.writes(after: killed).last ?? 0) < 1)
                try hosts.first.daemon.restart()
                try eventually(within: 30) { stage.eventNames().count { $0 == "resumed" } == round }
                let resumed = monotonicNanoseconds()
                try eventually(within: 5) { try !stage.writes(after: resumed).isEmpty }
                #expect(try stage.version() == version + round)
            }
            #expect(try stage.stage.leasehold("kill", "guest").succeeded)
            try stage.stage.expectNothingLeft()
        }
    }

    /// Somebody had the lease while the supervisor couldn't look: the guest's memory doesn't fit its disk any more.
    @Test func aGuestWhoseLeaseWasTakenInBetweenStaysPaused() throws {
        try withPausedHosts { hosts in
            let stage = try MonitorStage(.honest, on: hosts)
            hosts.first.daemon.kill()
            try stage.waitUntilPaused()
            stage.program.signal(SIGSTOP)
            try hosts.first.daemon.restart()
            try hosts.first.join()
            try hosts.first.hold(try hosts.leaseText(stage.stage.disk)).end()
            try eventually(within: 5) { try !stage.stage.isHeld() }
            let now = monotonicNanoseconds()
            stage.program.signal(SIGCONT)

            try eventually(within: 10) { stage.eventNames().suffix(2) == ["paused", "paused"] }
            let event = try #require(stage.events().last)
            #expect(event["detail"]?["reason"] == "leaseTaken", "\(event)")
            pause(milliseconds: 3000)
            #expect(try stage.status()["state"] == "paused")
            #expect(try stage.writes(after: now).isEmpty)
            #expect(!stage.commands.contains("cont"))
            #expect(try !stage.stage.isHeld())
            #expect(stage.guest.exists)
            // What it says to an administrator.
            #expect(stage.program.errors.contains("stays stopped"), "\(stage.program.errors)")
            #expect(try stage.stage.leasehold("kill", "guest").succeeded)
            #expect(try stage.program.wait(timeout: 5) == .signal(SIGKILL))
            try stage.stage.expectNothingLeft()
        }
    }

    /// No lease of a paused guest is somebody's to be killed for: supervisor, keeper and guest end as they are told.
    @Test func aPausedGuestDiesWithItsSupervisorAndItsKeeper() throws {
        try withPausedHosts { hosts in
            let stages = try (0..<4).map { _ in try MonitorStage(.honest, on: hosts) }
            let keepers = try stages.map { try #require(try keeperOf($0.program.pid)) }
            hosts.first.daemon.kill()
            for stage in stages { try stage.waitUntilPaused() }
            stages[0].program.signal(SIGKILL)
            keepers[1].signal(SIGKILL)
            stages[2].guest.signal(SIGKILL)
            stages[3].program.signal(SIGTERM)
            for stage in stages { try eventually(within: 1) { !stage.guest.exists } }
            #expect(try stages[1].program.wait(timeout: 8) == .exit(125))
            for stage in stages[1...] { try stage.program.wait(timeout: 8) }
            #expect(try stages[0].stage.leasehold("list").status == .exit(0))
            let reasons = try stages.map { try $0.stage.exitRecord()["reason"]?.string ?? "" }
            #expect(reasons == ["supervisorFailed", "keeperDied", "exited", "stopped"])
            for stage in stages { #expect(try stage.stage.exitRecord()["leasesFree"] == false) }
            try hosts.first.daemon.restart()
            try hosts.first.join()
            for stage in stages { try stage.stage.expectNothingLeft() }
        }
    }
}
