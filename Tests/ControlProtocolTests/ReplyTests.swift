import Testing

@testable import ControlProtocol

@Suite struct ReplyTests {
    private func read(_ reply: Reply) throws -> ReplyMessage {
        let message = reply.message()
        #expect(message.last == 0 && !message.dropLast().contains(0))
        return try ReplyMessage(message: Array(message.dropLast()))
    }

    @Test func everyReplyHasTheShapeTheInterfaceGivesIt() throws {
        #expect(Reply.child(4711).message() == Array("{\"parameters\":{\"pid\":4711}}\0".utf8))
        #expect(Reply.empty.message() == Array("{\"parameters\":{}}\0".utf8))
        #expect(try read(.child(4711)).childPid() == 4711)
        #expect(try read(.status(Samples.status)).value("status") == Samples.status)
        #expect(try read(.exit(Samples.exit)).value("exit") == Samples.exit)
        #expect(
            try read(.acquired([Samples.lease, Samples.bareLease])).values("acquired") == [
                Samples.lease, Samples.bareLease,
            ])
        #expect(try read(.ticket(["a": [1]])).ticket() == ["a": [1]])
        #expect(throws: WireError(field: "ticket", expected: "an object")) { try read(.empty).ticket() }
    }

    @Test func monitorSaysWhetherItGoesOn() throws {
        let first = try read(.monitor(status: Samples.status, event: nil, continues: true))
        #expect(first.continues)
        #expect(first.parameters.keys == ["status"])
        let next = try read(.monitor(status: nil, event: Samples.event, continues: true))
        #expect(try next.optionalValue("event") == Samples.event)
        #expect(try next.optionalValue("status", as: WireStatus.self) == nil)
        let last = Reply.monitor(status: nil, event: Samples.event, continues: false)
        #expect(try !read(last).continues)
        #expect(!String(decoding: last.message(), as: UTF8.self).contains("continues"))
    }

    @Test func tellsWhoItIs() throws {
        let info = try read(.info).parameters
        #expect(info.keys == ["vendor", "product", "version", "url", "interfaces"])
        #expect(info["interfaces"] == ["org.varlink.service", "io.leasehold.Supervisor"])
        #expect(info["version"]?.stringValue == leaseholdVersion)
        for interface in ["org.varlink.service", "io.leasehold.Supervisor"] {
            let text = try read(.description(of: interface)).parameters["description"]?.stringValue
            #expect(text?.contains("\ninterface \(interface)\n") == true)
        }
        #expect(Reply.description(of: "a.b") == .error(.interfaceNotFound(interface: "a.b")))
    }

    @Test(arguments: Samples.errors)
    func everyErrorComesBackAndSaysWhatToDoOnOneLine(error: ControlError) throws {
        #expect(throws: ReplyError.refused(error)) { try read(.error(error)) }
        #expect(!error.message.isEmpty && !error.message.contains("\n") && error.message.count < 200)
    }

    @Test func aKnownErrorWithUnknownParametersIsKeptAsItCame() {
        for (name, parameters) in [
            ("io.leasehold.Supervisor.Busy", ["lease": 1]), ("io.leasehold.Supervisor.Unavailable", [:]),
            ("io.leasehold.Supervisor.Busy", ["lease": "l", "holder": ["liveness": "asleep"]]),
        ] as [(String, JSON.Object)] {
            #expect(ControlError(name: name, parameters: parameters) == .other(name: name, parameters: parameters))
        }
    }

    @Test func tellsWhoHoldsALease() {
        let holder = Samples.holder
        #expect(
            ControlError.busy(disk: "/dev/sda", lease: "ls:r", holder: holder).message
                == "/dev/sda is held by guest db7 on host node3 (host id 3) since 2025-11-22T10:11:02.000Z; stop it there, or --wait"
        )
        #expect(
            ControlError.busy(disk: nil, lease: "ls:r", holder: WireHolder(pid: 7, hostId: 2, liveness: .dead)).message
                == "lease ls:r is held by process 7 on the host with id 2; that host is dead and its leases get free by themselves, --wait"
        )
        #expect(
            ControlError.busy(disk: "/a", lease: "l", holder: nil).message == "/a is held; stop its guest, or --wait")
    }

    @Test func noNameCanForgeALine() {
        let evil = "/dev/x\nERROR: \u{1b}[31m\u{85}\u{2028}é"
        let safe = "/dev/x\\u{a}ERROR: \\u{1b}[31m\\u{85}\\u{2028}é"
        #expect(
            ControlError.busy(disk: evil, lease: evil, holder: nil).message
                == "\(safe) is held; stop its guest, or --wait")
        #expect(ControlError.unavailable(why: evil).message.contains(safe))
        #expect(WireError(field: evil, expected: "x").description == "\(safe): expected x")
        let holder = WireHolder(guest: evil, hostName: evil, since: evil, liveness: .live)
        for error in [
            .busy(disk: nil, lease: evil, holder: holder), .wrongState(state: evil),
            .invalidResource(resource: evil, why: evil),
            .interfaceNotFound(interface: evil), .methodNotFound(method: evil), .invalidParameter(parameter: evil),
            .other(name: evil, parameters: [evil: .string(evil)]),
        ] as [ControlError] {
            #expect(
                !error.message.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x85 || $0.value == 0x2028 })
        }
    }

    @Test(arguments: [
        "", "[]", "{", #"{"parameters":1}"#, #"{"parameters":{},"continues":1}"#, #"{"error":1}"#,
        #"{"parameters":{"pid":NaN}}"#,
    ])
    func isNoReply(text: String) {
        guard
            case .notAReply = #expect(
                throws: ReplyError.self, performing: { try ReplyMessage(message: Array(text.utf8)) })
        else {
            Issue.record("\(text) was read")
            return
        }
    }

    @Test func takesTheEnvelopeAsOtherServersWriteIt() throws {
        let reply = try ReplyMessage(message: Array(#"{"error":null,"continues":null,"parameters":null,"x":1}"#.utf8))
        #expect(reply.parameters.isEmpty && !reply.continues)
    }
}
