import Foundation
import LockManager
import TestSupport
import Testing

/// What no guest, resource or plugin can be.
@Suite struct BadInputTests {
    @Test(arguments: ["", "-x", ".x", "a b", "a/b", "ü", String(repeating: "n", count: 65), "a\0b"])
    func namesThatNoGuestHas(_ name: String) {
        #expect(
            refusal { () throws(LockManagerError) in try GuestIdentity(name: name, uuid: UUID().uuidString) } != nil)
    }

    @Test(arguments: [
        "", "x", "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg",
        "01234567-89ab-cdef-0123-456789abcdefé",
    ])
    func identifiersThatAreNone(_ uuid: String) {
        #expect(refusal { () throws(LockManagerError) in try GuestIdentity(name: "g", uuid: uuid) } != nil)
    }

    @Test(arguments: [-1, Int(Int32.max) + 1]) func numbersOutOfRange(_ id: Int) {
        let uuid = UUID().uuidString
        #expect(refusal { () throws(LockManagerError) in try GuestIdentity(name: "g", uuid: uuid, id: id) } != nil)
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

    @Test func pluginsThatAreNone() throws {
        try Stage.with("nop") { stage in
            for name in ["", "Sanlock", "sync-manager"] {
                #expect(
                    refusal { () throws(LockManagerError) in try LockManagerPlugin.load(name) } == .noSuchPlugin(name))
            }
            let file = try stage.place.scratch.write("nonsense", to: "bad.conf")
            let supervisor = try Products.supervisor()
            for (configuration, program) in [
                (file, supervisor), (stage.place.scratch.file("none"), supervisor),
                (stage.place.configuration, "/nonexistent"),
            ] {
                let error = refusal { () throws(LockManagerError) in
                    try LockManagerPlugin.load("sanlock", configuration: configuration, supervisor: program)
                }
                guard case .configuration(let text) = error else {
                    Issue.record("\(configuration), \(program): \(String(describing: error))")
                    continue
                }
                #expect(text.contains(program == supervisor ? configuration : program) && !text.contains("\n"))
            }
        }
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
                refusal { () throws(LockManagerError) in
                    try LockManager(stage.plugin, for: guest, options: ["--", "x"])
                } != nil)
            let manager = try stage.manager(guest)
            #expect(refusal { try manager.completeMigrateIn() } == .invalidTicket("none was given"))
            guard stage.isSupervised else {
                for call in [{ try manager.suspend() }, manager.resume] as [() throws(LockManagerError) -> Void] {
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
            let calls: [() throws(LockManagerError) -> Void] = [
                { () throws(LockManagerError) in _ = try manager.inquire() },
                { () throws(LockManagerError) in _ = try manager.shutdown() },
                { () throws(LockManagerError) in _ = try manager.kill() },
                { () throws(LockManagerError) in _ = try manager.acquireResource(.disk("/d")) },
                { () throws(LockManagerError) in try manager.releaseResource(.disk("/d")) },
                { () throws(LockManagerError) in try manager.suspend() },
                { () throws(LockManagerError) in try manager.resume() },
                { () throws(LockManagerError) in _ = try manager.prepareMigrate(to: "tcp:h:1") },
                { () throws(LockManagerError) in _ = try manager.completeMigrateOut() },
                { () throws(LockManagerError) in try manager.completeMigrateIn(cancel: true) },
            ]
            for (index, call) in calls.enumerated() { #expect(refusal(call) == absent, "call \(index)") }
        }
    }

    @Test func ticketsThatAreNone() throws {
        for text in ["", "{", "{}", "[]", #"{"kind":"leasehold-ticket"}"#, #"{"kind":"leasehold-ticket","version":2}"#]
        {
            guard
                case .invalidTicket = refusal({ () throws(LockManagerError) in try MigrationTicket(text: text) })
            else {
                Issue.record("\(text) is no ticket")
                continue
            }
        }
        let ticket = try MigrationTicket(text: #"{"kind":"leasehold-ticket","version":1,"more":[1]}"#)
        #expect(try MigrationTicket(text: ticket.text) == ticket)
    }
}
