extension String {
    /// The text on one line, with everything spelled out that could move a terminal's cursor or turn its direction.
    public var printable: String {
        unicodeScalars.reduce(into: "") { text, scalar in
            switch scalar.value {
            case 0..<0x20, 0x7f...0x9f, 0x2028...0x2029, 0x200e...0x200f, 0x202a...0x202e, 0x2066...0x2069:
                text += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                text.unicodeScalars.append(scalar)
            }
        }
    }

    /// Whether both are the same bytes. Swift's `==` also takes texts for equal that only look the same, and to a file
    /// system those are two.
    public func hasSameBytes(as other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }

    /// Whether the bytes begin with others.
    public func startsWithBytes(of prefix: String) -> Bool {
        utf8.starts(with: prefix.utf8)
    }
}
