import ControlProtocol
import QEMUMonitor
import Testing

/// A monitor that lies or talks nonsense ends the conversation, and nothing else.
@Suite struct LieTests {
    @Test(arguments: [
        (#"{"id": 3, "return": {}}"#, MonitorError.unknownReply(id: "3")),
        (#"{"id": 1, "return": {}}"#, .unknownReply(id: "1")),
        (#"{"id": 0, "return": {}}"#, .unknownReply(id: "0")),
        (#"{"id": -9223372036854775808, "return": {}}"#, .unknownReply(id: "-9223372036854775808")),
        (#"{"id": 18446744073709551618, "return": {}}"#, .unknownReply(id: "1.8446744073709552e+19")),
        (#"{"id": "2", "return": {}}"#, .unknownReply(id: "\"2\"")),
        (#"{"id": 2.0, "return": {}}"#, .unknownReply(id: "2.0")),
        (#"{"id": null, "return": {}}"#, .unknownReply(id: "null")),
        (#"{"id": {"a": [2]}, "return": {}}"#, .unknownReply(id: #"{"a":[2]}"#)),
        (#"{"return": {}}"#, .replyWithoutID),
        (#"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#, .replyWithoutID),
        (#"{"id": 2, "return": []}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": false}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"status": "paused"}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": 0, "status": "paused"}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": "false", "status": "paused"}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": false, "status": ["paused"]}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": false, "status": "pau\nsed"}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": false, "status": ""}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": false, "status": "running"}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {"running": true, "status": "paused"}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "error": {}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "error": "GenericError"}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "error": {"class": "A B", "desc": ""}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "error": {"class": "GenericError", "desc": 1}}"#, .strangeReply(command: "query-status")),
        (#"{"id": 2, "return": {}, "error": {"class": "A", "desc": ""}}"#, .notQMP),
        (#"{"id": 2, "return": {}, "event": "STOP"}"#, .notQMP),
        (#"{"id": 2}"#, .notQMP),
        (#"{}"#, .notQMP),
        (#"[]"#, .notQMP),
        (#""STOP""#, .notQMP),
        (#"{"event": 1}"#, .notQMP),
        (#"{"event": ""}"#, .notQMP),
        (#"{"event": "STOP\u0000"}"#, .notQMP),
        (greeting, .greetedAgain),
    ])
    func endsTheConversationForGood(_ line: String, _ error: MonitorError) throws {
        var conversation = try MonitorConversation.ready()
        _ = conversation.send(.queryStatus)
        #expect(throws: error) { try conversation.hear(line) }
        #expect(!conversation.isReady)
        let honest = #"{"id": 2, "return": {"running": false, "status": "paused"}}"#
        #expect(throws: error) { try conversation.hear(honest) }
        #expect(error.description.isOnePrintableLine)
    }

    @Test(arguments: [
        MonitorCommand.capabilities, .stop, .cont, .quit, .systemPowerdown, .getDescriptor(name: "a"),
        .closeDescriptor(name: "a"),
    ])
    func aReplyThatIsNoObjectMakesNoSense(_ command: MonitorCommand) throws {
        for content in ["[]", "null", "true", "0", "\"\""] {
            var conversation = try MonitorConversation.ready()
            let id = conversation.send(command).id
            #expect(throws: MonitorError.strangeReply(command: command.name)) {
                try conversation.hear("{\"id\": \(id), \"return\": \(content)}")
            }
        }
    }

    @Test func aReplyThatComesTwiceCountsOnce() throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(.stop).id
        let line = "{\"id\": \(id), \"return\": {}}"
        #expect(try conversation.hear(line) == [.reply(id: id, .done([:]))])
        #expect(throws: MonitorError.unknownReply(id: "\(id)")) { try conversation.hear(line) }
    }

    @Test(arguments: [
        #"{"id": 1, "return": {}}"#, #"{"event": "STOP"}"#, #"{"error": {"class": "A", "desc": ""}}"#,
    ])
    func nothingCountsBeforeTheGreeting(_ line: String) {
        var conversation = MonitorConversation()
        _ = conversation.send(.capabilities)
        #expect(throws: MonitorError.noGreeting) { try conversation.hear(line) }
        #expect(!conversation.isReady)
    }

    @Test func confirmingCapabilitiesTwiceMakesNoSense() throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(.capabilities).id
        #expect(throws: MonitorError.strangeReply(command: "qmp_capabilities")) {
            try conversation.hear("{\"id\": \(id), \"return\": {}}")
        }
    }

    @Test(arguments: [
        "QEMU 7.2.22 monitor - type 'help' for more information", "\u{1b}[K(qemu) ", "}", "{\"QMP\"", "\0",
    ])
    func whatIsNoJSONEndsIt(_ line: String) {
        var conversation = MonitorConversation()
        // A line end within a string ends what an open bracket would go on with.
        let error = #expect(throws: MonitorError.self) {
            try conversation.receive(Array((line + "\r\n\"\n").utf8))
        }
        guard case .notJSON = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.description.isOnePrintableLine == true)
    }

    @Test func invalidUTF8EndsIt() throws {
        var conversation = try MonitorConversation.ready()
        let line = Array("{\"event\": \"STOP\", \"data\": \"".utf8) + [0xc3, 0x28] + Array("\"}\n".utf8)
        #expect(throws: MonitorError.notJSON(JSONError(.invalidUTF8, at: 26))) { try conversation.receive(line) }
    }

    @Test func deepNestingAndManyValuesEndIt() throws {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            var conversation = try MonitorConversation.ready()
            let deep = String(repeating: open, count: 50_000) + "1" + String(repeating: close, count: 50_000)
            let error = #expect(throws: MonitorError.self) {
                try conversation.hear("{\"event\": \"STOP\", \"data\": \(deep)}")
            }
            guard case .notJSON(let reason) = error, reason.reason == .tooDeep else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        var conversation = try MonitorConversation.ready()
        let many = "[" + String(repeating: "0,", count: 500_000) + "0]"
        let error = #expect(throws: MonitorError.self) { try conversation.hear(many) }
        guard case .notJSON(let reason) = error, reason.reason == .tooManyValues else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func aLineAsLongAsTheLimitPassesAndALongerOneEndsIt() throws {
        let start = Array("{\"event\": \"STOP\", \"data\": \"".utf8)
        let end = Array("\"}".utf8)
        let filling = [UInt8](
            repeating: 0x20, count: MonitorConversation.longestLineBytes - start.count - end.count)
        var conversation = try MonitorConversation.ready()
        #expect(try conversation.receive(start + filling + end + [0x0a]) == [.event(.stopped)])
        let tooLong = MonitorError.lineTooLong(limitBytes: MonitorConversation.longestLineBytes)
        #expect(throws: tooLong) { try conversation.receive(start + filling + [0x20] + end) }
    }

    @Test(arguments: [UInt8(ascii: " "), UInt8(ascii: "{"), UInt8(ascii: "\""), UInt8(ascii: "\r"), 0, 0xff])
    func megabytesWithoutALineEndAreNotCollected(_ byte: UInt8) {
        var conversation = MonitorConversation()
        let tooLong = MonitorError.lineTooLong(limitBytes: MonitorConversation.longestLineBytes)
        #expect(throws: tooLong) { try conversation.receive(repeatElement(byte, count: 3 << 20)) }
    }

    @Test func aRefusalsTextIsOneShortPrintableLine() throws {
        var conversation = try MonitorConversation.ready()
        let id = conversation.send(.stop).id
        let text = "no\\n\\u001b[2J\\u202e" + String(repeating: "ä", count: 2000)
        let news = try conversation.hear(
            "{\"id\": \(id), \"error\": {\"class\": \"GenericError\", \"desc\": \"\(text)\"}}")
        guard case .reply(_, .refused("GenericError", let line)) = news.first else {
            Issue.record("\(news)")
            return
        }
        #expect(line.hasPrefix("no\\u{a}\\u{1b}[2J\\u{202e}ä"))
        #expect(line.unicodeScalars.count < 340)
        #expect(line.isOnePrintableLine)
    }

    @Test func aLongKeyTwiceMakesAShortError() {
        var conversation = MonitorConversation()
        let key = "\"\\n" + String(repeating: "k", count: 100_000) + "\": 1"
        let error = #expect(throws: MonitorError.self) { try conversation.hear("{\(key), \(key)}") }
        #expect(error.map { $0.description.utf8.count < 400 && $0.description.isOnePrintableLine } == true)
    }
}

extension String {
    /// Whether a log can show it as it is.
    var isOnePrintableLine: Bool {
        !isEmpty && utf8.count < 1300
            && unicodeScalars.allSatisfy { scalar in
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator: false
                default: true
                }
            }
    }
}
