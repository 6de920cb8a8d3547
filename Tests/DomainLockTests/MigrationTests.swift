import DomainLock
import Foundation
import LockManager
import TestSupport
import Testing

/// Migration between two hosts through the library, with real QEMUs.
@Suite struct MigrationTests {
    private struct Pair {
        let source: RealGuest
        let second: Stage
        let disk: String
        let uri: String

        func target() throws -> RealGuest {
            try RealGuest(second, source.lock.manager.guest, disks: [disk], incoming: uri)
        }
    }

    private func withPair(_ body: (Pair) throws -> Void) throws {
        try withScratch { scratch in
            let (first, second) = (try Stage("sanlock", scratch), try Stage("sanlock", scratch, second: true))
            try first.place.hosts.waitUntilSeen()
            let disk = try first.place.hosts.disk()
            let source = try RealGuest(first, disks: [disk])
            try body(Pair(source: source, second: second, disk: disk, uri: "unix:\(scratch.file("m"))"))
        }
    }

    @Test func aGuestGoesToAnotherHostAndBack() throws {
        try withPair { pair in
            var source = pair.source
            var (there, back) = (pair.second, pair.source.stage)
            for _ in 0..<4 {
                let identity = source.lock.manager.guest
                let target = try RealGuest(there, identity, disks: [pair.disk], incoming: pair.uri)
                #expect(try target.versions().isEmpty && target.lock.manager.status().state == .incoming)
                let version = try source.versions()[pair.disk] ?? 0
                let ticket = try source.lock.migrate(to: pair.uri) { prepared in
                    #expect(prepared.leases.map(\.state) == [.held])
                    #expect(try source.isRunning && stage(source).hosts.holders(of: pair.disk).count == 1)
                    try source.send(to: pair.uri)
                }
                #expect(ticket.leases.map(\.state) == [.released] && ticket.leases.map(\.version) == [version])
                #expect(try !source.isRunning && !target.isRunning)
                try target.lock.finishIncoming(try MigrationTicket(text: ticket.text))
                #expect(try target.isRunning && target.versions() == [pair.disk: version + 1])
                #expect(refusal { try source.lock.cancelMigration() } != nil, "both sides run")
                #expect(try !source.isRunning)
                #expect(try source.lock.shutdown() != nil)
                source = target
                (there, back) = (back, there)
            }
        }
    }

    @Test func aMigrationThatCannotBeMadeLeavesTheGuestRunning() throws {
        try withPair { pair in
            let before = try pair.source.versions()
            #expect(
                refusal { try pair.source.lock.migrate(to: pair.uri) { _ in throw OwnFailure() } }?.isUndone == true)
            #expect(try pair.source.isRunning && pair.source.versions() == before)
            #expect(try pair.source.lock.manager.status().state == .running)
            // Where nobody listens QEMU itself fails.
            let failed = refusal {
                try pair.source.lock.migrate(to: pair.uri) { _ in try pair.source.send(to: pair.uri) }
            }
            guard case .application(_, undoing: nil) = failed else {
                Issue.record("\(String(describing: failed))")
                return
            }
            #expect(try pair.source.isRunning && pair.source.versions() == before)
        }
    }

    @Test func aTargetThatGivesUpSendsTheGuestBack() throws {
        try withPair { pair in
            let target = try pair.target()
            let version = try pair.source.versions()[pair.disk] ?? 0
            _ = try pair.source.lock.migrate(to: pair.uri) { _ in try pair.source.send(to: pair.uri) }
            try target.lock.cancelIncoming()
            #expect(try pair.second.plugin.guests().isEmpty)
            try pair.source.lock.cancelMigration()
            try pair.source.waitUntilItRuns()
            #expect(try pair.source.versions() == [pair.disk: version + 1])
        }
    }

    @Test func aThirdGuestInTheGapStopsBothSides() throws {
        try withPair { pair in
            let target = try pair.target()
            let ticket = try pair.source.lock.migrate(to: pair.uri) { _ in try pair.source.send(to: pair.uri) }
            let third = try pair.second.start(nil, [.disk(pair.disk)])
            guard case .busy = refusal({ try target.lock.finishIncoming(ticket) })?.refused else {
                Issue.record("the target took what a third guest has")
                return
            }
            try target.lock.cancelIncoming()
            guard case .busy = refusal({ try pair.source.lock.cancelMigration() })?.refused else {
                Issue.record("the source took back what a third guest has")
                return
            }
            #expect(try !pair.source.isRunning && third.child() > 0)
        }
    }

    @Test func theTargetTakesNothingButItsOwnTicket() throws {
        try withPair { pair in
            let target = try pair.target()
            guard case .wrongState = own({ try pair.source.lock.manager.completeMigrateOut() }) else {
                Issue.record("what was not prepared was completed")
                return
            }
            let prepared = try pair.source.lock.manager.prepareMigrate(to: pair.uri)
            for ticket in [prepared, try other(prepared, named: UUID().uuidString)] {
                guard case .invalidResource = refusal({ try target.lock.finishIncoming(ticket) })?.refused else {
                    Issue.record("a ticket was taken: \(ticket.text)")
                    continue
                }
            }
            _ = try pair.source.lock.manager.completeMigrateOut(cancel: true)
            try target.lock.cancelIncoming()
            #expect(try pair.source.isRunning)
        }
    }

    private func stage(_ guest: RealGuest) -> ManagedHost { guest.stage.place }

    private func own(_ body: () throws -> MigrationTicket) -> LockManagerError? {
        do {
            _ = try body()
            return nil
        } catch {
            return error as? LockManagerError
        }
    }

    private func other(_ ticket: MigrationTicket, named uuid: String) throws -> MigrationTicket {
        guard var object = try JSONValue(parsing: Data(ticket.text.utf8)).object else { throw TestFailure("no object") }
        object["uuid"] = .string(uuid)
        return try MigrationTicket(text: String(decoding: JSONValue.object(object).data, as: UTF8.self))
    }
}
