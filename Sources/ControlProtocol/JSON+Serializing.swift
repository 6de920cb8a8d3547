extension JSON: CustomStringConvertible {
    /// The compact JSON text in UTF-8, members in their order. It has no raw control character, and so no NUL.
    public func serialize() -> [UInt8] {
        var output: [UInt8] = []
        append(to: &output)
        return output
    }

    /// The compact JSON text.
    public var description: String {
        String(decoding: serialize(), as: UTF8.self)
    }

    /// The JSON text for people and files: two spaces a level, one member or element a line, no newline at the end.
    public var prettyDescription: String {
        var output: [UInt8] = []
        appendPretty(to: &output, level: 0)
        return String(decoding: output, as: UTF8.self)
    }

    func append(to output: inout [UInt8]) {
        switch self {
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for index in elements.indices {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                elements[index].append(to: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            object.append(to: &output)
        case .null, .bool, .integer, .number, .string:
            appendScalar(to: &output)
        }
    }

    private func appendScalar(to output: inout [UInt8]) {
        switch self {
        case .null: output.append(contentsOf: "null".utf8)
        case .bool(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): output.append(contentsOf: value.description.utf8)
        // Swift's shortest description that reads back as the same double is also JSON.
        case .number(let value): output.append(contentsOf: (value.isFinite ? value.description : "null").utf8)
        case .string(let value): value.appendQuoted(to: &output)
        case .array, .object: break
        }
    }

    private func appendPretty(to output: inout [UInt8], level: Int) {
        switch self {
        case .array(let elements) where !elements.isEmpty:
            output.append(UInt8(ascii: "["))
            for index in elements.indices {
                JSON.appendLine(to: &output, level: level + 1, first: index == 0)
                elements[index].appendPretty(to: &output, level: level + 1)
            }
            JSON.appendLine(to: &output, level: level, first: true)
            output.append(UInt8(ascii: "]"))
        case .object(let object) where !object.isEmpty:
            output.append(UInt8(ascii: "{"))
            for index in object.members.indices {
                JSON.appendLine(to: &output, level: level + 1, first: index == 0)
                object.members[index].key.appendQuoted(to: &output)
                output.append(contentsOf: ": ".utf8)
                object.members[index].value.appendPretty(to: &output, level: level + 1)
            }
            JSON.appendLine(to: &output, level: level, first: true)
            output.append(UInt8(ascii: "}"))
        case .null, .bool, .integer, .number, .string, .array, .object:
            append(to: &output)
        }
    }

    private static func appendLine(to output: inout [UInt8], level: Int, first: Bool) {
        if !first { output.append(UInt8(ascii: ",")) }
        output.append(0x0a)
        output.append(contentsOf: repeatElement(0x20, count: 2 * level))
    }
}

extension JSON.Object {
    func append(to output: inout [UInt8]) {
        output.append(UInt8(ascii: "{"))
        for index in members.indices {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            members[index].key.appendQuoted(to: &output)
            output.append(UInt8(ascii: ":"))
            members[index].value.append(to: &output)
        }
        output.append(UInt8(ascii: "}"))
    }
}

extension String {
    fileprivate func appendQuoted(to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        if utf8.contains(where: { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            for byte in utf8 { String.appendEscaped(byte, to: &output) }
        } else {
            output.append(contentsOf: utf8)
        }
        output.append(UInt8(ascii: "\""))
    }

    private static func appendEscaped(_ byte: UInt8, to output: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""): output.append(contentsOf: "\\\"".utf8)
        case UInt8(ascii: "\\"): output.append(contentsOf: "\\\\".utf8)
        case 0x08: output.append(contentsOf: "\\b".utf8)
        case 0x09: output.append(contentsOf: "\\t".utf8)
        case 0x0a: output.append(contentsOf: "\\n".utf8)
        case 0x0c: output.append(contentsOf: "\\f".utf8)
        case 0x0d: output.append(contentsOf: "\\r".utf8)
        case 0..<0x20:
            output.append(contentsOf: "\\u00".utf8)
            output.append(hexadecimalDigit(byte >> 4))
            output.append(hexadecimalDigit(byte & 0x0f))
        default: output.append(byte)
        }
    }

    private static func hexadecimalDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
