/// The fields of one object, read by name and type.
package struct WireFields {
    package let object: JSON.Object

    package init(_ json: JSON) throws(WireError) {
        guard case .object(let object) = json else { throw WireError(field: "", expected: "an object") }
        self.object = object
    }

    package init(_ object: JSON.Object) {
        self.object = object
    }

    /// Refuses keys beyond these, for what a caller asks of us.
    package func allowOnly(_ known: [String]) throws(WireError) {
        for member in object.members where !known.contains(where: { $0.hasSameBytes(as: member.key) }) {
            throw WireError(field: member.key, expected: "no such field")
        }
    }

    /// The value of a field, nil where it is null or left out.
    package func optional(_ name: String) -> JSON? {
        let value = object[name]
        return value == .null ? nil : value
    }

    package func optionalObject(_ name: String) throws(WireError) -> JSON.Object? {
        guard let value = optional(name) else { return nil }
        guard case .object(let object) = value else { throw WireError(field: name, expected: "an object") }
        return object
    }

    package func optionalString(_ name: String) throws(WireError) -> String? {
        guard let value = optional(name) else { return nil }
        guard case .string(let string) = value else { throw WireError(field: name, expected: "a string") }
        return string
    }

    package func string(_ name: String) throws(WireError) -> String {
        guard let string = try optionalString(name) else { throw WireError(field: name, expected: "a string") }
        return string
    }

    package func optionalBool(_ name: String) throws(WireError) -> Bool? {
        guard let value = optional(name) else { return nil }
        guard case .bool(let bool) = value else { throw WireError(field: name, expected: "true or false") }
        return bool
    }

    package func bool(_ name: String) throws(WireError) -> Bool {
        guard let bool = try optionalBool(name) else { throw WireError(field: name, expected: "true or false") }
        return bool
    }

    /// Of any integer type, so that one that doesn't fit is refused here and not met by a trap later.
    package func optionalInteger<Integer: FixedWidthInteger>(
        _ name: String, from lowest: Integer = 0
    ) throws(WireError) -> Integer? {
        guard let value = optional(name) else { return nil }
        let expected = "an integer from \(lowest) to \(Integer.max)"
        guard case .integer(let wide) = value, let integer = Integer(exactly: wide), integer >= lowest else {
            throw WireError(field: name, expected: expected)
        }
        return integer
    }

    package func integer<Integer: FixedWidthInteger>(_ name: String, from lowest: Integer = 0) throws(WireError)
        -> Integer
    {
        guard let integer: Integer = try optionalInteger(name, from: lowest) else {
            throw WireError(field: name, expected: "an integer from \(lowest) to \(Integer.max)")
        }
        return integer
    }

    package func optionalNumber(_ name: String) throws(WireError) -> Double? {
        guard let value = optional(name) else { return nil }
        guard let number = value.doubleValue, number.isFinite else {
            throw WireError(field: name, expected: "a number")
        }
        return number
    }

    package func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Choice.Type
    ) throws(WireError) -> Choice where Choice.RawValue == String {
        guard let choice = Choice(rawValue: try string(name)) else {
            throw WireError(field: name, expected: "one of " + type.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return choice
    }

    package func optionalValue<Value: WireValue>(_ name: String, _ type: Value.Type) throws(WireError) -> Value? {
        guard let value = optional(name) else { return nil }
        do { return try Value(json: value) } catch { throw error.inside(name) }
    }

    package func value<Value: WireValue>(_ name: String, _ type: Value.Type) throws(WireError) -> Value {
        guard let value = try optionalValue(name, type) else { throw WireError(field: name, expected: "an object") }
        return value
    }

    package func optionalArray(_ name: String) throws(WireError) -> [JSON]? {
        guard let value = optional(name) else { return nil }
        guard case .array(let elements) = value else { throw WireError(field: name, expected: "an array") }
        return elements
    }

    package func optionalStrings(_ name: String) throws(WireError) -> [String]? {
        guard let elements = try optionalArray(name) else { return nil }
        var strings: [String] = []
        for (index, element) in elements.enumerated() {
            guard case .string(let string) = element else {
                throw WireError(field: "\(name)[\(index)]", expected: "a string")
            }
            strings.append(string)
        }
        return strings
    }

    package func strings(_ name: String) throws(WireError) -> [String] {
        guard let strings = try optionalStrings(name) else { throw WireError(field: name, expected: "an array") }
        return strings
    }

    package func values<Value: WireValue>(_ name: String, _ type: Value.Type) throws(WireError) -> [Value] {
        guard let elements = try optionalArray(name) else { throw WireError(field: name, expected: "an array") }
        var values: [Value] = []
        for (index, element) in elements.enumerated() {
            do { values.append(try Value(json: element)) } catch { throw error.inside("\(name)[\(index)]") }
        }
        return values
    }
}

extension JSON.Object {
    /// Makes an object of fields known to differ, without those that are nil.
    package init(fields: [(String, JSON?)]) {
        var members: [Member] = []
        members.reserveCapacity(fields.count)
        for (key, value) in fields {
            if let value { members.append(Member(key: key, value: value)) }
        }
        self.init(distinct: members)
    }
}

extension JSON {
    package static func array(_ values: [some WireValue]) -> JSON { .array(values.map(\.json)) }

    package static func array(_ values: [String]) -> JSON { .array(values.map(JSON.string)) }
}
