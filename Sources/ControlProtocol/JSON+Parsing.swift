extension JSON {
    /// What a parser accepts.
    public struct Limits: Sendable, Equatable {
        /// How many arrays and objects may stand inside one another. Also bounds the parser's stack.
        public var depth: Int
        /// How many values there may be in all. Bounds the memory a short text can claim: `[0,0,…` needs two bytes
        /// a value and takes twenty-four.
        public var values: Int
        /// Whether `NaN`, `Infinity`, `-Infinity` and numbers too large are read as doubles, which may be not finite,
        /// instead of being refused. Python's clients write them, and are owed an answer by name.
        public var readsNonFinite: Bool

        /// Limits for files and replies, unless told otherwise.
        public init(depth: Int = 64, values: Int = 1 << 20, readsNonFinite: Bool = false) {
            self.depth = depth
            self.values = values
            self.readsNonFinite = readsNonFinite
        }
    }

    /// Parses one JSON text, strictly as RFC 8259: UTF-8 without a byte order mark, no key twice in an object, no half
    /// surrogate pairs, integers within 64 bits, numbers finite, nothing but white space around.
    ///
    /// - Parameters:
    ///   - bytes: the whole text.
    ///   - limits: what to accept.
    /// - Throws: ``JSONError``, with the offset of the first offence.
    public init(parsing bytes: [UInt8], limits: Limits = Limits()) throws(JSONError) {
        var parser = JSONParser(bytes: bytes, limits: limits)
        self = try parser.parseText()
    }

    /// Parses one JSON text; see ``init(parsing:limits:)``.
    public init(parsing bytes: UnsafeRawBufferPointer, limits: Limits = Limits()) throws(JSONError) {
        try self.init(parsing: [UInt8](bytes), limits: limits)
    }

    /// Parses one JSON text; see ``init(parsing:limits:)``.
    public init(parsing text: String, limits: Limits = Limits()) throws(JSONError) {
        try self.init(parsing: [UInt8](text.utf8), limits: limits)
    }
}

/// A recursive descent over an array: every access is bounds-checked, and the depth limit bounds the stack.
struct JSONParser {
    private let bytes: [UInt8]
    private let limits: JSON.Limits
    private var position = 0
    private var values = 0

    init(bytes: [UInt8], limits: JSON.Limits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func parseText() throws(JSONError) -> JSON {
        let value = try parseValue(depth: 0)
        skipWhiteSpace()
        guard position == bytes.count else { throw JSONError(.trailingBytes, at: position) }
        return value
    }

    /// The byte at hand. Zero, which JSON allows nowhere, also stands for the end.
    private var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

    private func unexpected() -> JSONError {
        position < bytes.count
            ? JSONError(.unexpectedByte(bytes[position]), at: position) : JSONError(.unexpectedEnd, at: position)
    }

    private mutating func skipWhiteSpace() {
        while current == 0x20 || current == 0x0a || current == 0x0d || current == 0x09 { position += 1 }
    }

    private mutating func parseValue(depth: Int) throws(JSONError) -> JSON {
        skipWhiteSpace()
        values += 1
        guard values <= limits.values else { throw JSONError(.tooManyValues, at: position) }
        switch current {
        case UInt8(ascii: "{"): return .object(try parseObject(depth: depth + 1))
        case UInt8(ascii: "["): return .array(try parseArray(depth: depth + 1))
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        case UInt8(ascii: "N") where limits.readsNonFinite: return try parseWord("NaN", .number(.nan))
        case UInt8(ascii: "I") where limits.readsNonFinite: return try parseWord("Infinity", .number(.infinity))
        default: throw unexpected()
        }
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        for index in 0..<word.utf8CodeUnitCount {
            guard current == word.utf8Start[index] else { throw unexpected() }
            position += 1
        }
        return value
    }

    private mutating func parseArray(depth: Int) throws(JSONError) -> [JSON] {
        guard depth <= limits.depth else { throw JSONError(.tooDeep, at: position) }
        position += 1
        var elements: [JSON] = []
        skipWhiteSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return elements
        }
        while true {
            elements.append(try parseValue(depth: depth))
            skipWhiteSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return elements
            default: throw unexpected()
            }
        }
    }

    private mutating func parseObject(depth: Int) throws(JSONError) -> JSON.Object {
        guard depth <= limits.depth else { throw JSONError(.tooDeep, at: position) }
        position += 1
        var members: [JSON.Object.Member] = []
        var keys = SeenKeys()
        skipWhiteSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return JSON.Object()
        }
        while true {
            skipWhiteSpace()
            guard current == UInt8(ascii: "\"") else { throw unexpected() }
            let start = position
            let key = try parseString()
            guard keys.insert(key, after: members) else { throw JSONError(.duplicateKey(key), at: start) }
            skipWhiteSpace()
            guard current == UInt8(ascii: ":") else { throw unexpected() }
            position += 1
            members.append(JSON.Object.Member(key: key, value: try parseValue(depth: depth)))
            skipWhiteSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return JSON.Object(distinct: members)
            default: throw unexpected()
            }
        }
    }
}

// MARK: - Numbers

extension JSONParser {
    private mutating func parseNumber() throws(JSONError) -> JSON {
        let start = position
        let isNegative = current == UInt8(ascii: "-")
        if isNegative { position += 1 }
        if limits.readsNonFinite, isNegative, current == UInt8(ascii: "I") {
            return try parseWord("Infinity", .number(-.infinity))
        }
        let integer = try parseIntegerDigits(isNegative: isNegative)
        var isInteger = true
        if current == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try skipDigits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try skipDigits()
        }
        if isInteger, let integer { return .integer(integer) }
        guard !isInteger || limits.readsNonFinite else { throw JSONError(.numberOutOfRange, at: start) }
        // The grammar has been checked, so a nil can only mean a magnitude beyond the doubles.
        let value = Double(String(decoding: bytes[start..<position], as: UTF8.self)) ?? .infinity
        guard value.isFinite || limits.readsNonFinite else { throw JSONError(.numberOutOfRange, at: start) }
        return .number(value)
    }

    /// Passes the digits before the point. Nil is a value beyond 64 bits.
    private mutating func parseIntegerDigits(isNegative: Bool) throws(JSONError) -> Int64? {
        if current == UInt8(ascii: "0") {
            position += 1
            // A second digit is left for the caller to stumble over: leading zeros are not JSON.
            return 0
        }
        let start = position
        try skipDigits()
        var value: Int64 = 0
        for index in start..<position {
            let digit = Int64(bytes[index] - UInt8(ascii: "0"))
            let (product, overflowsProduct) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowsSum) =
                isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            if overflowsProduct || overflowsSum { return nil }
            value = sum
        }
        return value
    }

    private mutating func skipDigits() throws(JSONError) {
        guard current >= UInt8(ascii: "0"), current <= UInt8(ascii: "9") else { throw unexpected() }
        while current >= UInt8(ascii: "0"), current <= UInt8(ascii: "9") { position += 1 }
    }
}

// MARK: - Strings

extension JSONParser {
    private mutating func parseString() throws(JSONError) -> String {
        let start = position
        position += 1
        let contents = position
        skipPlainBytes()
        if current == UInt8(ascii: "\"") {
            position += 1
            return try text(bytes[contents..<position - 1], at: start)
        }
        var unescaped = Array(bytes[contents..<position])
        while true {
            switch current {
            case UInt8(ascii: "\""):
                position += 1
                return try text(unescaped[...], at: start)
            case UInt8(ascii: "\\"):
                try parseEscape(into: &unescaped)
            default:
                guard position < bytes.count else { throw unexpected() }
                throw JSONError(.unescapedControlCharacter, at: position)
            }
            let run = position
            skipPlainBytes()
            unescaped.append(contentsOf: bytes[run..<position])
        }
    }

    private mutating func skipPlainBytes() {
        while current >= 0x20, current != UInt8(ascii: "\""), current != UInt8(ascii: "\\") { position += 1 }
    }

    private func text(_ slice: ArraySlice<UInt8>, at start: Int) throws(JSONError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw JSONError(.invalidUTF8, at: start) }
        return text
    }

    private mutating func parseEscape(into output: inout [UInt8]) throws(JSONError) {
        let start = position
        position += 1
        let escape = current
        guard position < bytes.count else { throw unexpected() }
        position += 1
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(escape)
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0c)
        case UInt8(ascii: "n"): output.append(0x0a)
        case UInt8(ascii: "r"): output.append(0x0d)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "u"): output.append(contentsOf: String(Character(try parseScalar(from: start))).utf8)
        default: throw JSONError(.invalidEscape, at: start)
        }
    }

    /// The scalar of `\uXXXX`, or of two that make a pair; the position is behind the first `\u`.
    private mutating func parseScalar(from start: Int) throws(JSONError) -> Unicode.Scalar {
        let first = try parseHexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00, current == UInt8(ascii: "\\") else { throw JSONError(.loneSurrogate, at: start) }
        position += 1
        guard current == UInt8(ascii: "u") else { throw JSONError(.loneSurrogate, at: start) }
        position += 1
        let second = try parseHexadecimal()
        guard (0xdc00...0xdfff).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw JSONError(.loneSurrogate, at: start) }
        return scalar
    }

    private mutating func parseHexadecimal() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch current {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = current - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = current - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = current - UInt8(ascii: "A") + 10
            default: throw position < bytes.count ? JSONError(.invalidEscape, at: position) : unexpected()
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}

/// The keys an object has so far. The first few are looked for one by one; from then on they are hashed, as
/// otherwise a message of many keys would take quadratic time.
private struct SeenKeys {
    private struct Key: Hashable {
        let text: String

        static func == (left: Key, right: Key) -> Bool { left.text.hasSameBytes(as: right.text) }

        func hash(into hasher: inout Hasher) {
            for byte in text.utf8 { hasher.combine(byte) }
        }
    }

    private var hashed: Set<Key> = []

    /// - Returns: false where the key is there already.
    mutating func insert(_ key: String, after members: [JSON.Object.Member]) -> Bool {
        if members.count < 16 { return !members.contains { $0.key.hasSameBytes(as: key) } }
        if hashed.isEmpty { hashed = Set(members.map { Key(text: $0.key) }) }
        return hashed.insert(Key(text: key)).inserted
    }
}
