/// Why bytes aren't acceptable JSON, and where.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        /// The text ends in the middle of a value.
        case unexpectedEnd
        /// A byte that can't stand here.
        case unexpectedByte(UInt8)
        /// Something follows the value.
        case trailingBytes
        /// More arrays and objects inside one another than ``JSON/Limits/depth``.
        case tooDeep
        /// More values than ``JSON/Limits/values``.
        case tooManyValues
        /// A string that isn't UTF-8.
        case invalidUTF8
        /// A backslash with nothing sensible after it.
        case invalidEscape
        /// Half of a surrogate pair.
        case loneSurrogate
        /// A control character that should have been escaped.
        case unescapedControlCharacter
        /// An integer outside 64 bits, or another number outside the finite doubles.
        case numberOutOfRange
        /// A key that the same object already has.
        case duplicateKey(String)
    }

    /// What is wrong.
    public let reason: Reason
    /// How many bytes stand before the place.
    public let offset: Int

    /// Makes an error of its two halves.
    public init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    /// One line for people.
    public var description: String {
        "not valid JSON at byte \(offset): \(what)"
    }

    private var what: String {
        switch reason {
        case .unexpectedEnd: "it ends in the middle of a value"
        case .unexpectedByte(let byte) where (0x20..<0x7f).contains(byte):
            "unexpected “\(Character(Unicode.Scalar(byte)))”"
        case .unexpectedByte(let byte): "unexpected byte \(byte)"
        case .trailingBytes: "something follows the value"
        case .tooDeep: "nested too deeply"
        case .tooManyValues: "too many values"
        case .invalidUTF8: "a string that is not UTF-8"
        case .invalidEscape: "an invalid escape"
        case .loneSurrogate: "half a surrogate pair"
        case .unescapedControlCharacter: "an unescaped control character"
        case .numberOutOfRange: "a number that does not fit"
        case .duplicateKey(let key): "the key “\(oneLine(key))” twice in one object"
        }
    }
}
