/// Reads the JSON that QEMU reads: RFC 8259's, with strings in single quotes too, no key twice in an object.
struct JSONReader {
    private var rest: Bytes

    static func read(_ text: String) throws(Refusal) -> OptionValue {
        var reader = JSONReader(rest: text.bytes)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.rest.isEmpty else { throw Refusal("there is text after the JSON") }
        return value
    }

    private mutating func value(depth: Int) throws(Refusal) -> OptionValue {
        guard depth < nestingLimit else { throw Refusal("the JSON is nested too deeply") }
        skipSpace()
        guard let first = rest.first else { throw Refusal("the JSON ends too soon") }
        switch first {
        case UInt8(ascii: "{"): return .object(try object(depth: depth))
        case UInt8(ascii: "["): return .list(try list(depth: depth))
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return .text(try string())
        case .dash, 0x30...0x39: return .number(try number())
        default:
            for (word, value) in [("true", OptionValue.bool(true)), ("false", .bool(false)), ("null", .null)] {
                if let after = rest.after(word), after.first.map({ $0.isLetter || $0.isDigit }) != true {
                    rest = after
                    return value
                }
            }
            throw Refusal("the JSON has something where a value should be")
        }
    }

    private mutating func object(depth: Int) throws(Refusal) -> OptionObject {
        var object = OptionObject()
        rest = rest.dropFirst()
        if took(UInt8(ascii: "}")) { return object }
        while true {
            skipSpace()
            guard let quote = rest.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
                throw Refusal("the JSON lacks a key")
            }
            let key = try string()
            guard object[key] == nil else { throw Refusal("the JSON has the key '\(key)' twice") }
            guard took(.colon) else { throw Refusal("the JSON lacks a ':' after '\(key)'") }
            object[key] = try value(depth: depth + 1)
            if took(UInt8(ascii: "}")) { return object }
            guard took(.comma) else { throw Refusal("the JSON lacks a ',' or '}' after '\(key)'") }
        }
    }

    private mutating func list(depth: Int) throws(Refusal) -> [OptionValue] {
        var list: [OptionValue] = []
        rest = rest.dropFirst()
        if took(UInt8(ascii: "]")) { return list }
        while true {
            list.append(try value(depth: depth + 1))
            if took(UInt8(ascii: "]")) { return list }
            guard took(.comma) else { throw Refusal("the JSON lacks a ',' or ']' in a list") }
        }
    }

    private mutating func string() throws(Refusal) -> String {
        let quote = rest.first
        rest = rest.dropFirst()
        var result: [UInt8] = []
        while let byte = rest.first {
            rest = rest.dropFirst()
            if byte == quote { return result[...].text }
            guard byte >= 0x20 else { throw Refusal("the JSON has a control character in a string") }
            if byte == .backslash {
                result.append(contentsOf: Array(String(try escaped()).utf8))
            } else {
                result.append(byte)
            }
        }
        throw Refusal("the JSON has a string without an end")
    }

    private mutating func escaped() throws(Refusal) -> Character {
        guard let byte = rest.first else { throw Refusal("the JSON has a string without an end") }
        rest = rest.dropFirst()
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "'"): return "'"
        case .backslash: return "\\"
        case .slash: return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var code = try codeUnit()
            if (0xd800..<0xdc00).contains(code), let after = rest.after("\\u") {
                rest = after
                let low = try codeUnit()
                guard (0xdc00..<0xe000).contains(low) else { throw Refusal("the JSON has half a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard code != 0, let scalar = Unicode.Scalar(code) else { throw Refusal("the JSON has a bad \\u escape") }
            return Character(scalar)
        default: throw Refusal("the JSON has a bad escape in a string")
        }
    }

    private mutating func codeUnit() throws(Refusal) -> UInt32 {
        let digits = rest.prefix(4).compactMap(\.hexValue)
        guard digits.count == 4 else { throw Refusal("the JSON has a bad \\u escape") }
        rest = rest.dropFirst(4)
        return digits.reduce(0) { $0 << 4 | UInt32($1) }
    }

    private mutating func number() throws(Refusal) -> String {
        let start = rest
        if rest.first == .dash { rest = rest.dropFirst() }
        let whole = digits()
        guard whole > 0, whole == 1 || start.first(where: { $0 != .dash }) != 0x30 else {
            throw Refusal("the JSON has a bad number")
        }
        if rest.first == .dot {
            rest = rest.dropFirst()
            guard digits() > 0 else { throw Refusal("the JSON has a bad number") }
        }
        if let e = rest.first, e | 0x20 == 0x65 {
            rest = rest.dropFirst()
            if let sign = rest.first, sign == .dash || sign == UInt8(ascii: "+") { rest = rest.dropFirst() }
            guard digits() > 0 else { throw Refusal("the JSON has a bad number") }
        }
        return start[start.startIndex..<rest.startIndex].text
    }

    private mutating func digits() -> Int {
        let before = rest.count
        rest = rest.drop(while: \.isDigit)
        return before - rest.count
    }

    private mutating func skipSpace() {
        rest = rest.drop { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a || $0 == 0x0d }
    }

    private mutating func took(_ byte: UInt8) -> Bool {
        skipSpace()
        guard rest.first == byte else { return false }
        rest = rest.dropFirst()
        return true
    }
}
