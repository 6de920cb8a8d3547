/// The syntax of the file, read byte by byte: libvirt's virConf (`src/util/virconf.c`), without its lists, which no key
/// takes. Every step goes forward, so the time is linear in the length of the text.
struct ConfigurationScanner {
    private let path: String
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    init(_ text: String, path: String) {
        self.path = path
        bytes = Array(text.utf8)
    }

    /// The key of the next statement and its line, nil at the end of the text. The `=` is passed.
    mutating func nextKey() throws(ConfigurationError) -> (name: String, line: Int)? {
        try skipToStatement()
        guard let first = current else { return nil }
        guard first.isLetter || first == UInt8(ascii: "_") else {
            throw ConfigurationError(
                path: path, line: line, key: nil, problem: "no key, but \(restOfLine); allowed is KEY = VALUE")
        }
        let start = position
        while let byte = current, byte.isPartOfKey { position += 1 }
        let name = text(start..<position)
        skipBlanks()
        guard current == UInt8(ascii: "=") else {
            throw error(printable(name), "no = after the key, but \(restOfLine); allowed is KEY = VALUE")
        }
        position += 1
        return (name, line)
    }

    /// The value of the key that was read last, up to the end of its statement.
    mutating func value(of key: ConfigurationKey) throws(ConfigurationError) -> Setting {
        let start = line
        skipBlanks()
        let value: Setting.Value
        switch current {
        case UInt8(ascii: "\"") where bytes[position...].starts(with: tripleQuote):
            value = .text(try multilineText(of: key))
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            value = .text(try quotedText(of: key))
        case let byte? where byte.isDigit || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+"):
            value = .number(number())
        case UInt8(ascii: "["):
            throw error(key.rawValue, "it takes no list; allowed is \(key.allowed)")
        case nil, UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "#"), UInt8(ascii: ";"):
            throw error(key.rawValue, "no value; allowed is \(key.allowed)")
        default:
            throw error(key.rawValue, "not a number or a text in quotes: \(restOfLine); allowed is \(key.allowed)")
        }
        try endStatement(of: key)
        return Setting(path: path, line: start, key: key, value: value)
    }

    // MARK: Values

    private mutating func number() -> String {
        let start = position
        position += 1
        while let byte = current, byte.isDigit { position += 1 }
        return text(start..<position)
    }

    /// A text between two equal quotes on one line. There are no escapes in it.
    private mutating func quotedText(of key: ConfigurationKey) throws(ConfigurationError) -> String {
        let quote = current
        position += 1
        let start = position
        while let byte = current, byte != quote, !byte.isEndOfLine {
            try refuseNul(byte, key.rawValue)
            position += 1
        }
        guard current == quote, current != nil else {
            throw error(key.rawValue, "the text has no quote at its end; allowed is \(key.allowed)")
        }
        defer { position += 1 }
        return text(start..<position)
    }

    private mutating func multilineText(of key: ConfigurationKey) throws(ConfigurationError) -> String {
        let opened = line
        position += tripleQuote.count
        let start = position
        while let byte = current {
            if bytes[position...].starts(with: tripleQuote) {
                defer { position += tripleQuote.count }
                return text(start..<position)
            }
            try refuseNul(byte, key.rawValue)
            step()
        }
        line = opened
        throw error(key.rawValue, "the text has no \"\"\" at its end; allowed is \(key.allowed)")
    }

    // MARK: Between values

    /// Passes blanks, ends of lines and comments.
    private mutating func skipToStatement() throws(ConfigurationError) {
        while let byte = current {
            if byte.isBlank || byte.isEndOfLine {
                step()
            } else if byte == UInt8(ascii: "#") {
                try skipComment()
            } else {
                return
            }
        }
    }

    /// After a value: a comment, the end of the line or, as in virConf, a `;`.
    private mutating func endStatement(of key: ConfigurationKey) throws(ConfigurationError) {
        skipBlanks()
        switch current {
        case nil: return
        case UInt8(ascii: "#"): try skipComment()
        case let byte? where byte.isEndOfLine: return
        case UInt8(ascii: ";"): position += 1
        default:
            throw error(
                key.rawValue, "something after the value: \(restOfLine); allowed is \(key.allowed), and a # comment")
        }
    }

    private mutating func skipComment() throws(ConfigurationError) {
        while let byte = current, !byte.isEndOfLine {
            try refuseNul(byte, nil)
            position += 1
        }
    }

    private mutating func skipBlanks() {
        while let byte = current, byte.isBlank { position += 1 }
    }

    private mutating func step() {
        if current == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    // MARK: Text

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    /// The start of what is left of the line, for messages.
    private var restOfLine: String {
        let rest = bytes[position...].prefix { !$0.isEndOfLine }
        guard !rest.isEmpty else { return "the end of the line" }
        return "'\(printable(String(decoding: rest, as: UTF8.self), atMost: 40))'"
    }

    private func error(_ key: String?, _ problem: String) -> ConfigurationError {
        ConfigurationError(path: path, line: line, key: key, problem: problem)
    }

    /// A file that was being written when its host crashed often ends in zeros, and is better not believed.
    private func refuseNul(_ byte: UInt8, _ key: String?) throws(ConfigurationError) {
        guard byte != 0 else { throw error(key, "a NUL byte; allowed is text") }
    }
}

private let tripleQuote = Array(#"""""#.utf8)

extension UInt8 {
    fileprivate var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }
    fileprivate var isEndOfLine: Bool { self == UInt8(ascii: "\n") || self == UInt8(ascii: "\r") }
    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    fileprivate var isLetter: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) }
    fileprivate var isPartOfKey: Bool {
        isLetter || isDigit || self == UInt8(ascii: "_") || self == UInt8(ascii: ".") || self == UInt8(ascii: "-")
    }
}
