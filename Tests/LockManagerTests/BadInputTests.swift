import Foundation
import LockManager
import TestSupport
import Testing

/// What no guest, resource or plugin can be.
@Suite struct BadInputTests {
    @Test(arguments: ["", "-x", ".x", "a b", "a/b", "ü", String(repeating: "n", count: 65), "a\0b"])
    func namesThatNoGuestHas(_ name: String) {
        #expect(
            refusal { try GuestIdentity(name: name, uuid: UUID().uuidString) } != nil)
    }

    @Test(arguments: [
        "", "x", "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg",
        "01234567-89ab-cdef-0123-456789abcdefé",
    ])
    func identifiersThatAreNone(_ uuid: String) {
        #expect(refusal { try GuestIdentity(name: "g", uuid: uuid) } != nil)
    }

    @Test(arguments: [-1, Int(Int32.max) + 1]) func numbersOutOfRange(_ id: Int) {
        let uuid = UUID().uuidString
        #expect(refusal { try GuestIdentity(name: "g", uuid: uuid, id: id) } != nil)
    }

    @Test func aUUIDIsOneInEitherCase() throws {
        let uuid = UUID().uuidString
        #expect(try GuestIdentity(name: "g", uuid: uuid) == GuestIdentity(name: "g", uuid: uuid.lowercased()))
    }

    @Test(arguments: drivers) func resourcesThatCannotBe(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let manager = try stage.manager()
            let bad: [Resource] = [
                .disk(""), .disk("/"), .disk("relative"), .disk("file:relative"), .disk("/a\0b"), .disk("/a\u{fffd}"),
                .lease(""), .lease("a:b"), .lease("a:b:/c:-1"), .lease("a:b:c:0"), .lease("a:b:/c:0:7"),
                .lease("a:b:/c:0\\"), .lease(lockspace: "", name: "r", path: "/p"),
            ]
            for resource in bad {
                guard case .invalidResource = refusal({ try manager.registerResource(resource) }) else {
                    Issue.record("\(resource) was taken")
                    continue
                }
                guard case .invalidResource = refusal({ try manager.acquireResource(resource) }) else {
                    Issue.record("\(resource) was acquired")
                    continue
                }
                guard case .invalidResource = refusal({ try manager.releaseResource(resource) }) else {
                    Issue.record("\(resource) was released")
                    continue
                }
            }
            try manager.registerResource(.disk("/a"))
            for again in [Resource.disk("/a"), .disk("file:/a", .readonly)] {
                #expect(refusal { try manager.registerResource(again) } != nil)
            }
            // Other bytes are another disk.
            try manager.registerResource(.disk("//a"))
        }
    }

    @Test func aLeaseOfPartsIsSpelledAsSanlockDoes() {
        let lease = Resource.lease(lockspace: "ls", name: "r", path: "/a b:c", offsetBytes: 4096, isShared: true)
        #expect(lease == .lease("ls:r:/a\\ b\\:c:4096:SH"))
    }

    @Test(arguments: ["", "Sanlock", "sync-manager"]) func namesOfNoPlugin(_ name: String) {
        #expect(refusal { try LockManagerPlugin.load(name) } == .noSuchPlugin(name))
    }

    @Test func pluginsThatCannotBeLoaded() throws {
        try Stage.with("sanlock") { stage in
            let supervisor = try Products.supervisor()
            let bad = try stage.place.scratch.write("nonsense", to: "bad.conf")
            let none = stage.place.scratch.file("none")
            expectRefused(bad, supervisor, naming: bad)
            expectRefused(none, supervisor, naming: none)
            expectRefused(stage.place.configuration, "/nonexistent", naming: "/nonexistent")
        }
    }

    private func expectRefused(_ configuration: String, _ supervisor: String, naming word: String) {
        let error = refusal {
            try LockManagerPlugin.load("sanlock", configuration: configuration, supervisor: supervisor)
        }
        guard case .configuration(let text) = error else {
            Issue.record("\(word): \(String(describing: error))")
            return
        }
        #expect(text.contains(word) && !text.contains("\n"))
    }

    @Test(arguments: drivers) func whatIsUnloadedOrFreedDoesNothing(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let manager = try stage.manager()
            let other = try stage.manager()
            manager.free()
            manager.free()
            #expect(refusal { try manager.acquireObject() } == .unloaded)
            #expect(refusal { try manager.registerResource(.disk("/d")) } == .unloaded)
            #expect(refusal { try other.acquireObject() } == nil)
            stage.plugin.unload()
            stage.plugin.unload()
            #expect(refusal { try other.inquire() } == .unloaded)
            #expect(refusal { try other.shutdown() } == .unloaded)
            #expect(refusal { try stage.plugin.guests() } == .unloaded)
        }
    }

    @Test(arguments: drivers) func whatCannotBeAskedForBeforeOrAfter(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let guest = try stage.identity()
            #expect(
                refusal {
                    try LockManager(stage.plugin, for: guest, options: ["--", "x"])
                } != nil)
            let manager = try stage.manager(guest)
            #expect(refusal { try manager.completeMigrateIn() } == .invalidTicket("none was given"))
            guard stage.isSupervised else {
                for call in [{ try manager.suspend() }, manager.resume] as [() throws -> Void] {
                    guard case .unsupported = refusal(call) else {
                        Issue.record("nop can't do this")
                        continue
                    }
                }
                guard case .unsupported = refusal({ try manager.kill() }) else {
                    Issue.record("nop knows no guest to kill")
                    return
                }
                return
            }
            let absent = LockManagerError.notRunning(guest.name)
            let calls: [() throws -> Void] = [
                { _ = try manager.inquire() },
                { _ = try manager.shutdown() },
                { _ = try manager.kill() },
                { _ = try manager.acquireResource(.disk("/d")) },
                { try manager.releaseResource(.disk("/d")) },
                { try manager.suspend() },
                { try manager.resume() },
                { _ = try manager.prepareMigrate(to: "tcp:h:1") },
                { _ = try manager.completeMigrateOut() },
                { try manager.completeMigrateIn(cancel: true) },
            ]
            for (index, call) in calls.enumerated() { #expect(refusal(call) == absent, "call \(index)") }
        }
    }

    @Test func ticketsThatAreNone() throws {
        for text in ["", "{", "{}", "[]", #"{"kind":"leasehold-ticket"}"#, #"{"kind":"leasehold-ticket","version":2}"#]
        {
            guard
                case .invalidTicket = refusal({ try MigrationTicket(text: text) })
            else {
                Issue.record("\(text) is no ticket")
                continue
            }
        }
        let text =
            #"{"kind":"leasehold-ticket","version":1,"name":"g","uuid":"u","running":true,"disks":[],"leases":[]}"#
        let ticket = try MigrationTicket(text: text)
        #expect(try MigrationTicket(text: ticket.text) == ticket && ticket.leases == [])
    }
}
