import ControlProtocol
import QEMUMonitor
import TestSupport
import Testing

@Suite struct ConversationTests {
    @Test func greetingAndCapabilitiesMakeItReady() throws {
        var conversation = MonitorConversation()
        #expect(try conversation.hear(greeting) == [.greeted(version: "7.2.22")])
        #expect(!conversation.isReady)
        let (id, bytes) = conversation.send(.capabilities)
        #expect(String(decoding: bytes, as: UTF8.self) == "{\"execute\":\"qmp_capabilities\",\"id\":\(id)}\n")
        #expect(try conversation.hear("{\"return\": {}, \"id\": \(id)}") == [.ready])
        #expect(conversation.isReady)
    }

    @Test(arguments: [
        #"{"QMP": {}}"#, #"{"QMP": {"version": null}}"#, #"{"QMP": {"version": {"qemu": {"major": 7}}}}"#,
        #"{"QMP": {"version": {"qemu": {"major": "7", "minor": 2, "micro": 1}}}}"#,
    ])
    func aGreetingWithoutAVersionIsOne(_ line: String) throws {
        var conversation = MonitorConversation()
        #expect(try conversation.hear(line) == [.greeted(version: nil)])
    }

    @Test func refusedCapabilitiesLeaveItUnready() throws {
        var conversation = MonitorConversation()
        _ = try conversation.hear(greeting)
        let id = conversation.send(.capabilities).id
        let news = try conversation.hear(
            "{\"id\": \(id), \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"complete\"}}")
        #expect(news == [.reply(id: id, .refused(class: "CommandNotFound", text: "complete"))])
        #expect(!conversation.isReady)
    }

    @Test(arguments: [
        (MonitorCommand.capabilities, #"{"execute":"qmp_capabilities","id":2}"#),
        (.queryStatus, #"{"execute":"query-status","id":2}"#),
        (.stop, #"{"execute":"stop","id":2}"#),
        (.cont, #"{"execute":"cont","id":2}"#),
        (.quit, #"{"execute":"quit","id":2}"#),
        (.systemPowerdown, #"{"execute":"system_powerdown","id":2}"#),
        (.getDescriptor(name: "a\"\n"), #"{"execute":"getfd","arguments":{"fdname":"a\"\n"},"id":2}"#),
        (.closeDescriptor(name: "a"), #"{"execute":"closefd","arguments":{"fdname":"a"},"id":2}"#),
        (.queryBlockNodes, #"{"execute":"query-named-block-nodes","arguments":{"flat":true},"id":2}"#),
        (
            .activateLate,
            #"{"execute":"migrate-set-capabilities","arguments":{"capabilities":"#
                + #"[{"capability":"late-block-activate","state":true}]},"id":2}"#
        ),
        (.migrate(uri: "unix:/m"), #"{"execute":"migrate","arguments":{"uri":"unix:/m"},"id":2}"#),
        (.queryMigration, #"{"execute":"query-migrate","id":2}"#),
        (.queryJobs, #"{"execute":"query-jobs","id":2}"#),
        (.cancelMigration, #"{"execute":"migrate_cancel","id":2}"#),
    ])
    func aCommandIsOneLine(_ command: MonitorCommand, _ line: String) throws {
        var conversation = try MonitorConversation.ready()
        let (id, bytes) = conversation.send(command)
        #expect(id == 2)
        #expect(String(decoding: bytes, as: UTF8.self) == line + "\n")
    }

    @Test func imagesAreToldWithTheirFilesAndWhetherTheyAreWritten() throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(.queryBlockNodes).id
        let news = try conversation.hear(
            #"{"id": \#(id), "return": [{"node-name": "a", "file": "/d", "ro": false, "drv": "raw"}, {"file": "/e", "ro": true}]}"#
        )
        guard case .reply(id, .nodes(let nodes)) = news.first else { throw TestFailure("\(news)") }
        #expect(nodes.map(\.name) == ["a", "?"])
        #expect(nodes.map(\.file) == ["/d", "/e"])
        #expect(nodes.map(\.isReadOnly) == [false, true])
    }

    @Test func jobsAreToldWithWhetherTheyMayWrite() throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(.queryJobs).id
        let words = [
            "running", "ready", "pending", "waiting", "aborting", "new", "created", "paused", "standby", "concluded",
        ]
        let jobs = words.map { #"{"id": "j-\#($0)", "type": "mirror", "status": "\#($0)"}"# }.joined(separator: ",")
        let news = try conversation.hear(#"{"id": \#(id), "return": [\#(jobs)]}"#)
        guard case .reply(id, .jobs(let told)) = news.first else { throw TestFailure("\(news)") }
        #expect(told.map(\.word) == words && told.map(\.name) == words.map { "j-\($0)" })
        #expect(told.map(\.mayWrite) == [true, true, true, true, true, true, false, false, false, false])
    }

    @Test(arguments: [
        (#"{"status": "completed", "ram": {}}"#, true, false, nil), (#"{}"#, false, true, nil),
        (#"{"status": "active"}"#, false, false, nil), (#"{"status": "cancelled"}"#, false, true, nil),
        (#"{"status": "failed", "error-desc": "no\nroute"}"#, false, true, #"no\u{a}route"#),
    ])
    func aMigrationIsUnderWayDoneOrOver(_ text: String, _ isDone: Bool, _ isOver: Bool, _ why: String?) throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(.queryMigration).id
        let news = try conversation.hear(#"{"id": \#(id), "return": \#(text)}"#)
        guard case .reply(id, .migration(let migration)) = news.first else { throw TestFailure("\(news)") }
        #expect(migration.isCompleted == isDone && migration.hasFailed == isOver)
        #expect(migration.problem == why)
    }

    /// Nothing is made of an answer that isn't the one that was asked for.
    @Test(arguments: [
        (MonitorCommand.queryBlockNodes, "{}"), (.queryBlockNodes, #"[{"file": "/d"}]"#), (.queryBlockNodes, "[7]"),
        (.queryJobs, "{}"), (.queryJobs, #"[{"id": "a"}]"#), (.queryJobs, #"[{"id": "a", "status": 1}]"#),
        (.queryMigration, "[]"), (.queryMigration, #"{"status": "a b"}"#), (.migrate(uri: "x"), "[]"),
        (.cancelMigration, "3"), (.activateLate, #""ok""#),
    ])
    func aStrangeAnswerEndsTheConversation(_ command: MonitorCommand, _ text: String) throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(command).id
        #expect(throws: MonitorError.strangeReply(command: command.name)) {
            try conversation.hear(#"{"id": \#(id), "return": \#(text)}"#)
        }
    }

    @Test func repliesMayComeInAnyOrderWithEventsBetweenThem() throws {
        var conversation = try MonitorConversation.ready()
        let stop = conversation.send(.stop).id
        let query = conversation.send(.queryStatus).id
        let news = try conversation.receive(
            Array(
                """
                {"return": {"status": "paused", "singlestep": false, "running": false}, "id": \(query)}\r
                {"timestamp": {"seconds": 1790000000, "microseconds": 5}, "event": "STOP"}\r
                {"return": {}, "id": \(stop)}\r
                {"timestamp": {"seconds": -1, "microseconds": -1}, "event": "VNC_CONNECTED", "data": {"a": "\\u00e4"}}\r

                """.utf8))
        guard case .reply(query, .status(let status)) = news.first else {
            Issue.record("\(news)")
            return
        }
        #expect(!status.isRunning && status.word == "paused" && status.staysStopped)
        #expect(
            news.dropFirst() == [.event(.stopped), .reply(id: stop, .done([:])), .event(.other("VNC_CONNECTED"))])
    }

    @Test(arguments: [
        ("STOP", MonitorEvent.stopped), ("RESUME", .resumed), ("SHUTDOWN", .shutdown), ("RESET", .reset),
        ("SUSPEND", .suspended), ("WAKEUP", .woken), ("stop", .other("stop")),
    ])
    func eventsAreKnownByTheirName(_ name: String, _ event: MonitorEvent) throws {
        var conversation = try MonitorConversation.ready()
        #expect(try conversation.hear("{\"event\": \"\(name)\"}") == [.event(event)])
    }

    /// QEMU's unsigned numbers go up to 2^64 - 1, a guest's panic carries such.
    @Test func anEventWithANumberBeyond64BitsIsTaken() throws {
        var conversation = try MonitorConversation.ready()
        let line = #"{"event": "GUEST_PANICKED", "data": {"info": {"arg1": 18446744073709551615, "arg2": 1e999}}}"#
        #expect(try conversation.hear(line) == [.event(.other("GUEST_PANICKED"))])
    }

    @Test(arguments: [
        ("running", false), ("paused", true), ("prelaunch", true), ("preconfig", true), ("io-error", true),
        ("internal-error", true), ("guest-panicked", true), ("watchdog", true), ("shutdown", true),
        ("postmigrate", true), ("debug", true), ("suspended", false), ("inmigrate", false), ("finish-migrate", false),
        ("save-vm", false), ("restore-vm", false), ("colo", false), ("newly-invented", false),
    ])
    func onlyALastingStateStaysStopped(_ word: String, _ stays: Bool) throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(.queryStatus).id
        let isRunning = word == "running"
        let news = try conversation.hear(
            "{\"id\": \(id), \"return\": {\"running\": \(isRunning), \"status\": \"\(word)\"}}")
        guard case .reply(_, .status(let status)) = news.first else {
            Issue.record("\(news)")
            return
        }
        #expect(status.isRunning == isRunning)
        #expect(status.staysStopped == stays)
    }

    @Test func jsonOverSeveralLinesIsOneMessage() throws {
        var conversation = MonitorConversation()
        let pretty = "{\n    \"QMP\": {\n        \"version\": {\n        }, \"package\": \"}\\\"{\"\n    }\n}\n"
        #expect(try conversation.receive(Array(pretty.utf8)) == [.greeted(version: nil)])
    }

    @Test func newsAreTheSameHoweverTheBytesAreCut() throws {
        let stream = Array(
            (greeting
                + "\r\n\r\n{\"return\": {}, \"id\": 1}\r\n{\"event\": \"STOP\", \"data\": {\"t\": \"\\u00e9 é\"}}\n")
                .utf8)
        let whole: [MonitorNews] = [.greeted(version: "7.2.22"), .ready, .event(.stopped)]
        for first in 0...stream.count {
            var conversation = MonitorConversation()
            _ = conversation.send(.capabilities)
            var news = try conversation.receive(stream[..<first])
            news += try conversation.receive(stream[first...])
            #expect(news == whole, "cut at \(first)")
        }
    }
}
