import Foundation
import TestSupport
import Testing

/// Several calls on one connection. Varlink's replies have no names: a client takes them in the order of its calls.
@Suite(.serialized) struct ReplyOrderTests {
    private func connect(_ guest: EmulatorGuest) throws -> ControlConnection {
        try ControlConnection("\(guest.station.runDirectory)/guests/\(guest.name)/control")
    }

    @Test func repliesComeInTheOrderOfTheCalls() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let connection = try connect(guest)
            for method in ["Suspend", "GetStatus", "Nonsense", "Resume", "GetChild"] { try connection.send(method) }
            let replies = try (0..<5).compactMap { _ in try connection.receive() }
            #expect(replies[0] == ["parameters": [:]])
            #expect(replies[1]["parameters"]?["status"]?["state"] == "paused", "\(replies)")
            #expect(replies[2]["error"] == "org.varlink.service.MethodNotFound")
            #expect(replies[3] == ["parameters": [:]])
            #expect(replies[4]["parameters"]?["pid"]?.integer != nil)
            #expect(try guest.status()["state"] == "running")

            // More of them than are kept, behind one that takes its time.
            try connection.send("Suspend")
            for _ in 0..<500 { try connection.send("GetChild") }
            #expect(try connection.receive() == ["parameters": [:]])
            for _ in 0..<500 { #expect(try connection.receive()?["parameters"]?["pid"]?.integer != nil) }
            try guest.leasehold("kill").expecting(.exit(0))
        }
    }

    /// Whoever follows the events hears of nothing else on that connection.
    @Test func betweenTheEventsNothingElseIsAnswered() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let connection = try connect(guest)
            try connection.send("Monitor", more: true)
            try connection.send("GetChild")
            #expect(try connection.receive()?["parameters"]?["status"] != nil)
            try guest.leasehold("suspend").expecting(.exit(0))
            try guest.leasehold("kill").expecting(.exit(0))
            var names: [String] = []
            while let reply = try connection.receive() {
                names.append(reply["parameters"]?["event"]?["event"]?.string ?? "?")
            }
            #expect(names == ["paused", "exited", "released"])
        }
    }

    /// Nor does what waits keep a guest from being killed.
    @Test func aKillIsNotKeptWaiting() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let busy = try hosts.disk()
            let other = try there.start(["--no-auto-disks", "--disk", busy], named: "other")
            let connection = try connect(guest)
            try connection.send(
                "Acquire", ["disks": [["path": .string(busy), "mode": "exclusive"]], "waitSeconds": 60])
            for method in ["GetStatus", "Kill", "Kill"] { try connection.send(method) }
            #expect(try connection.receive()?["error"]?.string?.hasPrefix("io.leasehold.Supervisor.") == true)
            #expect(try connection.receive()?["parameters"]?["status"]?["name"] == "guest")
            for _ in 0..<2 { #expect(try connection.receive()?["parameters"]?["exit"]?["name"] == "guest") }
            #expect(try connection.receive() == nil)
            try other.stop()
        }
    }

    /// A migration is called off on the connection on which its end is waited for.
    @Test func whatIsWaitedForIsCalledOffOnTheSameConnection() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let connection = try connect(guest)
            #expect(try connection.ask("PrepareMigrate", ["uri": "x"])["parameters"]?["ticket"] != nil)
            try connection.send("CompleteMigrateOut")
            try connection.send("CompleteMigrateOut", ["cancel": true])
            #expect(try connection.receive()?["error"]?.string?.hasPrefix("io.leasehold.Supervisor.") == true)
            #expect(try connection.receive()?["parameters"]?["ticket"] != nil)
            #expect(try guest.status()["state"] == "running")
            // Nothing else is overtaken by that.
            try connection.send("Suspend")
            try connection.send("CompleteMigrateOut", ["cancel": true])
            #expect(try connection.receive() == ["parameters": [:]])
            #expect(try connection.receive()?["error"] == "io.leasehold.Supervisor.WrongState")
            try guest.leasehold("kill").expecting(.exit(0))
        }
    }

    /// An upgrade hands nothing over of what else was asked on its connection.
    @Test func anUpgradeIsAskedForAlone() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let connection = try connect(guest)
            try connection.send("io.leasehold.Maintenance.Upgrade", ["program": .string(try Products.supervisor())])
            try connection.send("GetStatus")
            let refused = try connection.receive()
            #expect(refused?["error"] == "io.leasehold.Supervisor.Unavailable", "\(String(describing: refused))")
            #expect(try connection.receive()?["parameters"]?["status"]?["name"] == "guest")
            let done = try connection.ask(
                "io.leasehold.Maintenance.Upgrade", ["program": .string(try Products.supervisor())])
            #expect(done["error"] == nil, "\(done)")
            try guest.leasehold("kill").expecting(.exit(0))
        }
    }

    /// What a client that is gone has waited for is undone, and what it wanted then isn't begun; only sending no more counts as
    /// being gone.
    @Test func whatIsHeldBackForOneThatIsGoneIsNotDone() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let busy = try hosts.disk()
            let other = try there.start(["--no-auto-disks", "--disk", busy], named: "other")
            for isClosed in [false, true] {
                var connection: ControlConnection? = try connect(guest)
                try connection?.send(
                    "Acquire", ["disks": [["path": .string(busy), "mode": "exclusive"]], "waitSeconds": 60])
                for _ in 0..<200 { try connection?.send("Suspend") }
                pause(milliseconds: 300)
                if isClosed {
                    connection = nil
                } else {
                    #expect(shutdown(try #require(connection).descriptor, Int32(SHUT_WR)) == 0)
                    // With what it hasn't read, the end looks like a failure.
                    #expect((try? connection?.receive()) == nil)
                }
                // Nothing is under way any more.
                try eventually(within: 5) { try guest.leasehold("attach-disk", try hosts.disk()).succeeded }
                #expect(try guest.status()["state"] == "running")
            }
            try guest.leasehold("kill").expecting(.exit(0))
            try other.stop()
        }
    }
}
