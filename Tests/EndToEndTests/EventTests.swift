import Foundation
import Testing
import TestSupport

/// `leasehold events`, and what a client of Monitor is told.
@Suite struct EventTests {
    private static let wholeLife = ["registered", "acquired", "started", "exited", "released"]

    @Test func aGuestsEventsComeInOrder() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            let owner = try desk.start("owner", disks: [disk])
            let go = desk.scratch.file("go")
            let command = ["sh", "-c", "until [ -e \(go) ]; do sleep 0.02; done; exit 5"]
            let guest = try desk.scratch.start(
                desk.supervised("next", options: ["--wait", "60s"], disks: [disk], command: command))
            try eventually(within: 10) { try desk.leasehold("status", "next").output.contains("acquiring") }
            let events = try desk.scratch.start(desk.command("events", "next"))
            try events.waitUntilItAwaitsAnAnswer()
            #expect(try desk.leasehold("stop", "owner").succeeded)
            try events.waitForOutput("started")
            let child = try desk.leasehold("child-pid", "next").output.trimmingCharacters(in: .newlines)
            try desk.scratch.write("", to: "go")
            #expect(try guest.wait(timeout: 10) == .exit(5))
            // The guest's end is the end of its events.
            let lines = try Self.parse(try events.finish(timeout: 5).expecting(.exit(0)).output)
            #expect(lines.compactMap { $0["event"]?.string }.suffix(4) == Self.wholeLife.suffix(4))
            try Self.expectSound(lines)
            let detail = Dictionary(
                lines.map { ($0["event"]?.string ?? "", $0["detail"] ?? .null) }, uniquingKeysWith: { $1 })
            #expect(detail["acquired"] == ["leases": "1"])
            #expect(detail["started"] == ["childPid": .string(child)])
            #expect(detail["exited"] == ["reason": "exited", "code": "5"])
            #expect(detail["released"] == ["leasesFree": "true"])
            #expect(!owner.child.exists)
        }
    }

    @Test func eventsOfAllGuestsTellEachLifeWhole() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            _ = try desk.start("before")
            let events = try desk.scratch.start(desk.command("events"))
            try events.waitUntilItAwaitsAnAnswer()
            for number in 1...3 {
                let command = ["sleep", "\(number)"]
                let disks = number == 3 ? [disk] : []
                let guest = try desk.supervised("after-\(number)", disks: disks, command: command)
                #expect(try guest.run().status == .exit(0))
            }
            #expect(try desk.leasehold("kill", "before").succeeded)
            try eventually(within: 5) { events.output.contains("\"guest\":\"before\"") }
            pause(milliseconds: 500)
            #expect(events.isRunning)
            events.signal(SIGINT)
            #expect(try events.wait(timeout: 2) == .signal(SIGINT))
            let lines = try Self.parse(events.output)
            for name in ["after-1", "after-2", "after-3", "before"] {
                let own = lines.filter { $0["guest"]?.string == name }
                let told = own.compactMap { $0["event"]?.string }
                let expected = name == "before" ? Self.wholeLife.suffix(2) : Self.wholeLife[...]
                #expect(told.suffix(expected.count) == expected, "\(name): \(told)")
                try Self.expectSound(own)
            }
        }
    }

    @Test func oneLineIsEnoughForAReader() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("read", command: ["sleep", "4"])
            let script = "set -o pipefail; '\(try Products.cli())' events read | head -1"
            let outcome = try desk.program("bash", ["-c", script]).run(timeout: 10)
            #expect(outcome.status == .exit(0) && outcome.errors == "", "\(outcome)")
            #expect(try Self.parse(outcome.output).count == 1)
            #expect(try guest.supervisor.wait(timeout: 10) == .exit(0))
        }
    }

    @Test func everyFollowerIsToldTheSame() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("followed")
            let followers = try (0..<50).map { _ in try ControlConnection(guest.control) }
            for follower in followers {
                try follower.send("Monitor", more: true)
                let first = try #require(try follower.receive())
                #expect(first["continues"] == true)
                #expect(first["parameters"]?["status"]?["state"] == "running")
            }
            #expect(try desk.leasehold("stop", "followed").succeeded)
            var told: Set<[JSONValue]> = []
            for follower in followers {
                var replies: [JSONValue] = []
                while let reply = try follower.receive() { replies.append(reply) }
                told.insert(replies)
            }
            #expect(told.count == 1)
            let last = try #require(told.first?.last)
            #expect(last["parameters"]?["event"]?["event"] == "released")
            // The last reply says that it is the last.
            #expect(last["continues"] == nil || last["continues"] == false)
        }
    }

    @Test func aFollowerThatDoesNotReadHoldsNobodyUp() throws {
        try ControlDesk.with { desk in
            let long = String(repeating: "x", count: 60_000)
            let guest = try desk.start("wordy", command: ["sh", "-c", "sleep 60 #\(long)"])
            // Each status has the whole command line: these replies fill every buffer there is.
            let lazy = try ControlConnection(guest.control)
            for _ in 0..<100 { try lazy.send("GetStatus") }
            let start = monotonicNanoseconds()
            #expect(try desk.leasehold("child-pid", "wordy").output == "\(guest.child.pid)\n")
            #expect(try desk.leasehold("kill", "wordy").succeeded)
            #expect(secondsSince(start) < 5)
            #expect(try guest.supervisor.wait(timeout: 5) == .signal(SIGKILL))
        }
    }

    static func parse(_ output: String) throws -> [JSONValue] {
        try output.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    }

    /// Numbered without a gap, in order of time, with the fields of an Event.
    static func expectSound(_ events: [JSONValue]) throws {
        let sequences = events.compactMap { $0["sequence"]?.integer }
        #expect(sequences == Array((sequences.first ?? 0)..<((sequences.first ?? 0) + events.count)))
        let times = events.compactMap { $0["time"]?.string }
        #expect(times == times.sorted() && times.count == events.count)
        for event in events {
            let keys = Set(try #require(event.object).keys).subtracting(["guest"])
            #expect(keys == ["sequence", "time", "event", "detail"])
            #expect(event["time"]?.string?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/) != nil)
        }
    }
}
