/// A type of the interface text, as a value that can be sent, printed and read back.
public protocol WireValue: Sendable, Equatable {
    /// The value as JSON. What is nil is left out.
    var json: JSON { get }

    /// Reads a value from a reply or a file: keys it doesn't know are passed over, as a newer program may have
    /// written them, and null stands for what is left out.
    ///
    /// - Throws: ``WireError`` with the first field that is missing or of another type.
    init(json: JSON) throws(WireError)
}

/// A field that isn't what the interface text says.
public struct WireError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Which, from the outside in: `status.leases[0].mode`.
    public let field: String
    /// What it should be: `a string`.
    public let expected: String

    /// Makes an error of its two halves.
    public init(field: String, expected: String) {
        self.field = field
        self.expected = expected
    }

    /// One line for people.
    public var description: String {
        field.isEmpty ? "expected \(expected)" : "\(oneLine(field)): expected \(expected)"
    }

    func inside(_ outer: String) -> WireError {
        if field.isEmpty { return WireError(field: outer, expected: expected) }
        return WireError(
            field: field.utf8.first == UInt8(ascii: "[") ? outer + field : "\(outer).\(field)", expected: expected)
    }
}
