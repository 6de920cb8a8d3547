import Testing

@testable import ControlProtocol

@Suite struct CallTests {
    private func read(_ text: String) throws(CallError) -> CallMessage {
        try CallMessage(message: Array(text.utf8))
    }

    @Test(arguments: Samples.calls)
    func comesBackFromItsMessage(call: Call) throws {
        for (more, oneway) in [(false, false), (true, false), (false, true)] {
            let message = CallMessage(call: call, more: more, oneway: oneway)
            #expect(message.message().last == 0)
            #expect(message.message().dropLast().contains(0) == false)
            #expect(try CallMessage(message: Array(message.message().dropLast())) == message)
        }
    }

    @Test(arguments: [
        "", "{}", "[]", "null", "1", "\"io.leasehold.Supervisor.GetChild\"", "GET / HTTP/1.1\r", "{\"method\":",
        #"{"method":1}"#, #"{"method":null}"#, #"{"Method":"io.leasehold.Supervisor.GetChild"}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","parameters":[]}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","parameters":"x"}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","more":1}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","oneway":"true"}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","upgrade":0}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","more":NaN}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","more":true,"oneway":true}"#,
        #"{"method":"io.leasehold.Supervisor.GetChild","method":"io.leasehold.Supervisor.Kill"}"#,
        #"{"method":"io.leasehold.Supervisor.PrepareMigrate","parameters":{"uri":"\ud800"}}"#,
    ])
    func closesTheConnectionOnWhatIsNoCall(text: String) {
        let error = #expect(throws: CallError.self) { try read(text) }
        guard case .notACall = error else {
            Issue.record("\(text) gave \(String(describing: error))")
            return
        }
    }

    @Test func takesTheEnvelopeAsOtherClientsWriteIt() throws {
        let plain = CallMessage(call: .getChild)
        #expect(try read(#"{"method":"io.leasehold.Supervisor.GetChild"}"#) == plain)
        #expect(
            try read(#"{"method":"io.leasehold.Supervisor.GetChild","parameters":null,"more":null,"oneway":null}"#)
                == plain)
        #expect(
            try read(
                #"{"parameters":{},"more":false,"upgrade":true,"x-trace":[1],"method":"io.leasehold.Supervisor.GetChild"}"#
            ) == plain)
    }

    @Test(arguments: [
        ("io.leasehold.Supervisor.Getchild", ControlError.methodNotFound(method: "Getchild")),
        ("io.leasehold.Supervisor.", .methodNotFound(method: "")),
        ("org.varlink.service.GetChild", .methodNotFound(method: "GetChild")),
        ("io.leasehold.Supervisor.GetInfo", .methodNotFound(method: "GetInfo")),
        ("io.leasehold.GetChild", .interfaceNotFound(interface: "io.leasehold")),
        ("a.b", .interfaceNotFound(interface: "a")),
        ("GetChild", .invalidParameter(parameter: "method")), (".GetChild", .invalidParameter(parameter: "method")),
        ("", .invalidParameter(parameter: "method")),
    ])
    func answersWhatItDoesNotHaveByName(method: String, error: ControlError) {
        for oneway in [false, true] {
            let message = callMessage(method: method, oneway: oneway).dropLast()
            #expect(throws: CallError.refused(error, oneway: oneway)) { try CallMessage(message: Array(message)) }
        }
    }

    @Test func sendsBackNoNameWithoutMeasure() throws {
        let long = String(repeating: "é", count: 60_000)
        for method in ["io.leasehold.Supervisor.\(long)", "\(long).X"] {
            let message = Array(callMessage(method: method).dropLast())
            guard
                case .refused(let error, _) = #expect(
                    throws: CallError.self, performing: { try CallMessage(message: message) })
            else { return }
            #expect(Reply.error(error).message().count < 512)
        }
        let parameters: JSON.Object = .init(distinct: [.init(key: long, value: 1)])
        #expect(
            throws: CallError.refused(
                .invalidParameter(parameter: String(repeating: "é", count: 128) + "…"), oneway: false)
        ) {
            try CallMessage(message: Array(callMessage(method: Call.kill.method, parameters: parameters).dropLast()))
        }
    }

    /// Every way to get one parameter of one method wrong, as the text of its value.
    static let wrongParameters: [(method: String, others: String, name: String, values: [String])] = [
        ("Acquire", "", "disks", disks), ("Acquire", "", "leases", strings), ("Acquire", "", "waitSeconds", seconds),
        ("Release", "", "disks", strings), ("Release", "", "leases", strings), ("Suspend", "", "release", flags),
        ("PrepareMigrate", "", "uri", ["null", "1", "true", "[]", "{}", #"["a"]"#, "NaN", #""a\u0000b""#]),
        ("CompleteMigrateOut", "", "cancel", flags), ("CompleteMigrateIn", "", "cancel", flags),
        (
            "CompleteMigrateIn", "", "ticket",
            ["1", "true", "[]", #""{}""#, "NaN", #"{"a":NaN}"#, #"{"a":[{"b":1e999}]}"#]
        ),
        ("Shutdown", "", "timeoutSeconds", seconds),
    ]
    private static let strings = [
        "1", "true", "{}", #""a""#, "[1]", #"["a",null]"#, #"[["a"]]"#, "NaN", "[Infinity]", #"["a\u0000"]"#,
    ]
    private static let flags = ["1", "0", #""true""#, "[]", "{}", "NaN"]
    private static let seconds = [
        "-1", "-0.001", "-9223372036854775809", "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "true", #""1""#,
        "[]", "[1]", "{}",
    ]
    private static let disks = [
        "1", "{}", #""/dev/sda""#, "[1]", "[null]", #"["/dev/sda"]"#, "[{}]", #"[{"path":"/dev/sda"}]"#,
        #"[{"mode":"shared"}]"#,
        #"[{"path":1,"mode":"shared"}]"#, #"[{"path":"/a","mode":"rw"}]"#, #"[{"path":"/a","mode":null}]"#,
        #"[{"path":"/a","mode":["shared"]}]"#,
        #"[{"path":"/a","mode":"shared","x":1}]"#, #"[{"path":"/a","mode":"shared","x":null}]"#,
        #"[{"path":"/a\u0000","mode":"shared"}]"#,
        #"[{"path":"/a","mode":"shared"},NaN]"#,
    ]

    @Test(arguments: wrongParameters.indices)
    func refusesAParameterByNameWhateverIsWrongWithIt(index: Int) {
        let (method, _, name, values) = Self.wrongParameters[index]
        for value in values {
            let text = #"{"method":"io.leasehold.Supervisor.\#(method)","parameters":{"\#(name)":\#(value)}}"#
            #expect(throws: CallError.refused(.invalidParameter(parameter: name), oneway: false), "\(text)") {
                try read(text)
            }
        }
    }

    @Test(arguments: Samples.calls)
    func refusesParametersItDoesNotKnow(call: Call) {
        for value in [1, .null, ["x": 1]] as [JSON] {
            var parameters = call.parameters
            parameters["surprise"] = value
            let message = Array(callMessage(method: call.method, parameters: parameters).dropLast())
            #expect(throws: CallError.refused(.invalidParameter(parameter: "surprise"), oneway: false)) {
                try CallMessage(message: message)
            }
        }
    }

    @Test func missesWhatItNeeds() {
        #expect(throws: CallError.refused(.invalidParameter(parameter: "uri"), oneway: false)) {
            try read(#"{"method":"io.leasehold.Supervisor.PrepareMigrate"}"#)
        }
        #expect(throws: CallError.refused(.invalidParameter(parameter: "interface"), oneway: false)) {
            try read(#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":null}}"#)
        }
    }

    @Test func readsOptionalParametersAsNullAndNumbersAsIntegers() throws {
        func call(_ method: String, _ parameters: String) throws -> Call {
            try read(#"{"method":"io.leasehold.Supervisor.\#(method)","parameters":{\#(parameters)}}"#).call
        }
        #expect(
            try call("Acquire", #""disks":null,"leases":null,"waitSeconds":null"#)
                == .acquire(disks: [], leases: [], waitSeconds: nil))
        #expect(try call("Acquire", #""waitSeconds":3"#) == .acquire(disks: [], leases: [], waitSeconds: 3))
        #expect(try call("Release", "") == .release(disks: [], leases: []))
        #expect(try call("Suspend", #""release":null"#) == .suspend(release: false))
        #expect(try call("CompleteMigrateOut", "") == .completeMigrateOut(cancel: false))
        #expect(try call("CompleteMigrateIn", #""ticket":null"#) == .completeMigrateIn(ticket: nil, cancel: false))
        #expect(try call("Shutdown", #""timeoutSeconds":-0.0"#) == .shutdown(timeoutSeconds: 0))
    }

    @Test(arguments: ["1e9", "1000000001", "1e300", "9223372036854775807", "99999999999999999999999"])
    func shortensDurationsNobodyCouldCount(seconds: String) throws {
        let text = #"{"method":"io.leasehold.Supervisor.Shutdown","parameters":{"timeoutSeconds":\#(seconds)}}"#
        #expect(try read(text).call == .shutdown(timeoutSeconds: Call.longestSeconds))
    }

    @Test func monitorMayBeCalledForOneReplyOrMany() throws {
        #expect(try read(#"{"method":"io.leasehold.Supervisor.Monitor"}"#) == CallMessage(call: .monitor))
        #expect(
            try read(#"{"method":"io.leasehold.Supervisor.Monitor","more":true}"#)
                == CallMessage(call: .monitor, more: true))
    }
}
