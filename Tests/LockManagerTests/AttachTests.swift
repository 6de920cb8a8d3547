import Foundation
import LockManager
import TestSupport
import Testing

/// A management program that comes again, and several at once.
@Suite struct AttachTests {
    @Test func aGuestIsFoundAgainByNameAndUUID() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let (first, program) = try stage.running([.disk(disk)])
            let again = try LockManager(stage.plugin, for: first.guest, .attach)
            #expect(try again.child() == first.child() && again.inquire() == first.inquire())
            #expect(refusal { try again.registerResource(.disk("/d")) } == .wrongState("running"))
            #expect(refusal { try again.acquireObject() } == .wrongState("running"))
            // The name is another guest's by now, for a manager of the one before.
            let before = try GuestIdentity(name: first.guest.name, uuid: UUID().uuidString)
            let missing = LockManagerError.notRunning(first.guest.name)
            #expect(
                refusal { try LockManager(stage.plugin, for: before, .attach) }
                    == missing)
            let old = try stage.manager(before)
            #expect(refusal { try old.kill() } == missing && refusal { try old.shutdown() } == missing)
            #expect(program.isRunning)
            #expect(try again.kill().signal == SIGKILL)
            #expect(refusal { try first.child() } != nil && refusal { try first.inquire() } == missing)
        }
    }

    @Test(arguments: drivers) func nobodyIsFoundWhereNobodyIs(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let guest = try stage.identity()
            let found = refusal { try LockManager(stage.plugin, for: guest, .attach) }
            #expect(found == (stage.isSupervised ? .notRunning(guest.name) : nil))
            if stage.isSupervised {
                #expect(try stage.plugin.guests().isEmpty && stage.plugin.exit(of: guest.name) == nil)
            } else {
                guard case .unsupported = refusal({ try stage.plugin.guests() }) else {
                    Issue.record("nop knows no guests")
                    return
                }
            }
        }
    }

    @Test func allGuestsAreListedAlsoOnesThatAreSilent() throws {
        try Stage.with("sanlock") { stage in
            let guests = try (0..<3).map { _ in try stage.running() }
            let listed = try stage.plugin.guests()
            #expect(Set(listed.compactMap { $0.identity?.uuid }) == Set(guests.map(\.manager.guest.uuid)))
            #expect(Set(listed.map(\.supervisorPid)) == Set(guests.map(\.program.pid)))
            #expect(listed.allSatisfy { $0.silence == nil })
            let silent = guests[0]
            silent.program.signal(SIGSTOP)
            let again = try stage.plugin.guests()
            let found = try #require(again.first { $0.name == silent.manager.guest.name })
            guard case .unavailable = found.silence else {
                Issue.record("\(String(describing: found.silence))")
                return
            }
            #expect(found.status?.uuid == silent.manager.guest.uuid && again.count == 3)
            guard case .unavailable = refusal({ try silent.manager.shutdown() }) else {
                Issue.record("a supervisor that is stopped has answered")
                return
            }
            // Killing is for those as well.
            #expect(try silent.manager.kill().reason == .supervisorFailed)
            #expect(try stage.plugin.guests().count == 2)
        }
    }

    @Test func aGuestWhoseSupervisorDiedLeavesARecord() throws {
        try Stage.with("sanlock") { stage in
            let (manager, program) = try stage.running()
            let family = program.descendants
            program.signal(SIGSTOP)
            for process in family { process.signal(SIGKILL) }
            program.signal(SIGKILL)
            _ = try program.wait()
            _ = try stage.plugin.guests()
            #expect(try stage.plugin.exit(of: manager.guest.uuid)?.reason == .supervisorFailed)
            #expect(try manager.shutdown()?.reason == .supervisorFailed)
        }
    }

    @Test func manyThreadsMayAskAtOnce() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let (manager, program) = try stage.running([.disk(disk)])
            let child = try manager.child()
            let other = try stage.manager(nil, [.disk(try stage.place.hosts.disk())])
            let failures = Failures()
            DispatchQueue.concurrentPerform(iterations: 200) { index in
                do {
                    switch index % 4 {
                    case 0: if try manager.child() != child { failures.add("another child") }
                    case 1: if try manager.inquire().count != 1 { failures.add("another number of leases") }
                    case 2: if try stage.plugin.guests().count != 1 { failures.add("another number of guests") }
                    default: try other.acquireObject()
                    }
                } catch {
                    failures.add("\(error)")
                }
            }
            #expect(failures.all == [])
            #expect(program.isRunning)
        }
    }
}

/// What went wrong on any thread.
final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var texts: [String] = []

    func add(_ text: String) { lock.withLock { texts.append(text) } }
    var all: [String] { lock.withLock { texts } }
}
