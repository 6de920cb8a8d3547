import Testing

@testable import ControlProtocol

@Suite struct WireTests {
    @Test(arguments: Samples.values.indices)
    func comesBackFromItsText(index: Int) throws {
        func check<Value: WireValue>(_ value: Value) throws {
            let json = try JSON(parsing: value.json.serialize())
            #expect(try Value(json: json) == value)
            #expect(!json.description.contains("null"))
        }
        try check(Samples.values[index])
    }

    @Test(arguments: Samples.values.indices)
    func passesOverKeysItDoesNotKnowAndReadsNullAsLeftOut(index: Int) throws {
        func check<Value: WireValue>(_ value: Value) throws {
            guard case .object(var object) = value.json else { throw WireError(field: "", expected: "an object") }
            object["newerThanUs"] = [1, ["x": .null]]
            for optional in ["id", "childPid", "disk", "version", "hostName", "code"] where object[optional] == nil {
                object[optional] = .null
            }
            #expect(try Value(json: .object(object)) == value)
        }
        try check(Samples.values[index])
    }

    @Test(arguments: Samples.values.indices)
    func namesTheFieldThatIsMistyped(index: Int) throws {
        func check<Value: WireValue>(_ value: Value) throws {
            #expect(throws: WireError(field: "", expected: "an object")) { try Value(json: [1]) }
            let object = try #require(value.json.objectValue)
            for member in object.members {
                for wrong in Self.wrongValues(for: member.value) {
                    var changed = object
                    changed[member.key] = wrong
                    let error = #expect(throws: WireError.self, "\(member.key): \(wrong)") {
                        try Value(json: .object(changed))
                    }
                    #expect(error?.field == member.key)
                }
            }
        }
        try check(Samples.values[index])
    }

    private static func wrongValues(for value: JSON) -> [JSON] {
        switch value {
        case .null: []
        case .bool: [0, "true", [], [:]]
        case .integer: [-1, .integer(.min), .number(1), .number(1.5), "1", true, [], [:]]
        case .number: ["1", true, [], [:]]
        case .string: [1, true, [], [:]]
        case .array: [1, "x", [:]]
        case .object: [1, "x", []]
        }
    }

    @Test func missesEveryRequiredField() throws {
        func check<Value: WireValue>(_ value: Value) throws {
            let object = try #require(value.json.objectValue)
            for key in object.keys {
                var changed = object
                changed[key] = nil
                let error = #expect(throws: WireError.self, "\(Value.self) without \(key)") {
                    try Value(json: .object(changed))
                }
                #expect(error?.field == key)
                changed[key] = .null
                #expect(throws: WireError.self) { try Value(json: .object(changed)) }
            }
        }
        try check(Samples.disk)
        try check(Samples.bareLease)
        try check(Samples.bareLockspace)
        try check(Samples.bareHolder)
        try check(Samples.bareExit)
        try check(Samples.bareStatus)
        try check(Samples.bareEvent)
    }

    @Test func pathOfAnErrorLeadsToIt() throws {
        var status = try #require(Samples.status.json.objectValue)
        var lease = try #require(Samples.lease.json.objectValue)
        lease["mode"] = "readonly"
        status["leases"] = [Samples.lease.json, .object(lease)]
        let reply = try ReplyMessage(
            message: Array(JSON.object(["parameters": ["status": .object(status)]]).serialize()))
        let error = #expect(throws: WireError.self) { try reply.value("status", as: WireStatus.self) }
        #expect(error?.description == "status.leases[1].mode: expected one of exclusive, shared")
        status["leases"] = [1]
        #expect(throws: WireError(field: "leases[0]", expected: "an object")) { try WireStatus(json: .object(status)) }
    }

    @Test func processNumbersThatNoProcessHasAreRefused() throws {
        for pid in [0, -1, 0x8000_0000, .integer(.max)] as [JSON] {
            var object = try #require(Samples.status.json.objectValue)
            object["childPid"] = pid
            #expect(throws: WireError.self) { try WireStatus(json: .object(object)) }
            #expect(throws: WireError.self) {
                try ReplyMessage(message: JSON.object(["parameters": ["pid": pid]]).serialize()).childPid()
            }
        }
    }
}
