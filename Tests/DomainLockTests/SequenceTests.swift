import DomainLock
import Foundation
import LockManager
import TestSupport
import Testing

/// The README's sequences of one guest on one host.
@Suite struct SequenceTests {
    @Test(arguments: drivers) func aGuestStartsIsFoundAgainAndEnds(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let disk = try stage.place.hosts.disk()
            let guest = try stage.start(nil, [.disk(disk)])
            let child = try guest.child()
            #expect(ProcessIdentity(living: child) != nil)
            let again = try DomainLock.attach(guest.manager.guest, stage.plugin)
            #expect(try again.manager.inquire().count == (stage.isSupervised ? 1 : 0))
            if stage.isSupervised {
                #expect(try DomainLock.attachAll(stage.plugin).map(\.manager.guest) == [guest.manager.guest])
                #expect(try again.child() == child)
            }
            let exit = try again.shutdown()
            #expect((exit?.reason == .stopped) == stage.isSupervised)
            #expect(refusal { try again.shutdown() }?.refused == .unloaded)
            #expect((ProcessIdentity(living: child) != nil) == !stage.isSupervised)
        }
    }

    @Test(arguments: drivers) func aStartThatTheApplicationCannotMakeLeavesNothing(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let disk = try stage.place.hosts.disk()
            let identity = try stage.identity()
            let error = refusal {
                try DomainLock.start(identity, stage.plugin, resources: [.disk(disk)], command: ["/bin/true"]) { _ in
                    throw OwnFailure()
                }
            }
            #expect(error?.isUndone == true)
            #expect(try stage.place.hosts.holders(of: disk).isEmpty)
        }
    }

    @Test func aStartThatFailsSaysWhyAndLeavesNothing() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let owner = try stage.start(nil, [.disk(disk)])
            var started = 0
            let identity = try stage.identity()
            let busy = refusal {
                try DomainLock.start(identity, stage.plugin, resources: [.disk(disk)], command: ["/bin/true"]) { _ in
                    started += 1
                    return 0
                }
            }
            guard case .busy(disk, let holder?) = busy?.refused else {
                Issue.record("\(String(describing: busy))")
                return
            }
            #expect(holder.guest == owner.manager.guest.name && started == 0)
            guard case .notStarted = refusedStart(stage, ["/nonexistent"]) else {
                Issue.record("what isn't there was started")
                return
            }
            #expect(try stage.plugin.guests().count == 1)
        }
    }

    @Test func aDiskThatIsTakenBetweenTheLookAndTheStartIsBusy() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let identity = try stage.identity()
            let error = refusal {
                try DomainLock.start(
                    identity, stage.plugin, resources: [.disk(disk)], command: Probe.command("sleep", "60")
                ) {
                    _ = try stage.start(nil, [.disk(disk)])
                    return try stage.place.start($0).pid
                }
            }
            guard case .busy(disk, _) = error?.refused else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func aStartThatTakesTooLongIsEnded() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let holder = stage.place.hosts.first
            try stage.place.hosts.formatLease(disk)
            let identity = try stage.identity()
            var supervisor: RunningProgram?
            let error = refusal {
                try DomainLock.start(
                    identity, stage.plugin, resources: [.disk(disk)], options: ["--wait", "60s"],
                    command: ["/bin/sleep", "60"], timeoutSeconds: 1
                ) {
                    _ = try holder.hold(try stage.place.hosts.leaseText(disk))
                    supervisor = try stage.place.start($0)
                    return supervisor?.pid ?? 0
                }
            }
            #expect(error?.refused != nil)
            #expect(try supervisor?.wait(timeout: 5) != nil)
            #expect(try stage.plugin.guests().isEmpty)
        }
    }

    @Test func waitingForADiskIsForAsLongAsIsSaid() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let owner = try stage.start(nil, [.disk(disk)])
            let identity = try stage.identity()
            let ending = Thread {
                usleep(700_000)
                _ = try? owner.shutdown()
            }
            ending.start()
            let guest = try DomainLock.start(
                identity, stage.plugin, resources: [.disk(disk)], command: Probe.command("sleep", "60"), waitSeconds: 10
            ) { try stage.place.start($0).pid }
            #expect(try guest.manager.inquire().count == 1)
        }
    }

    @Test func nopDoesWhatNeedsNothingAndSaysWhatItCannot() throws {
        try Stage.with("nop") { stage in
            let source = try stage.start()
            var steps: [String] = []
            try source.attachDisk("/d") { steps.append("plug") }
            try source.replaceDisk("/d", with: "/e") { steps.append("change") }
            try source.detachDisk("/e") { steps.append("unplug") }
            try source.attachLease("a:b:/c:0")
            try source.detachLease("a:b:/c:0")
            #expect(steps == ["plug", "change", "unplug"])
            #expect(refusal { try source.attachDisk("/d") { throw OwnFailure() } }?.isUndone == true)
            for call in [{ try source.pause() }, source.resume] as [() throws -> Void] {
                guard case .unsupported = refusal(call)?.refused else {
                    Issue.record("nop pauses nothing")
                    continue
                }
            }
            var sent: MigrationTicket?
            let ticket = try source.migrate(to: "tcp:other:1") { sent = $0 }
            #expect(sent?.text.contains(source.manager.guest.uuid) == true)
            let target = try DomainLock.startIncoming(
                source.manager.guest, stage.plugin, resources: [.disk("/d")], command: Probe.command("sleep", "60")
            ) { try stage.place.start($0).pid }
            try target.finishIncoming(try MigrationTicket(text: ticket.text))
            try source.cancelMigration()
            try target.cancelIncoming()
            #expect(try source.shutdown() == nil)
        }
    }

    private func refusedStart(_ stage: Stage, _ command: [String]) -> LockManagerError? {
        do {
            _ = try stage.start(nil, [], command: command)
            return nil
        } catch {
            return (error as? DomainLockError)?.refused
        }
    }
}
