/// Options are cut at bytes, as QEMU does. Swift's characters won't do: a comma with a combining mark after it is a
/// different character, and strings that differ in normalisation only are equal but name different files.
typealias Bytes = ArraySlice<UInt8>

extension UInt8 {
    static let comma = UInt8(ascii: ",")
    static let equals = UInt8(ascii: "=")
    static let colon = UInt8(ascii: ":")
    static let slash = UInt8(ascii: "/")
    static let dot = UInt8(ascii: ".")
    static let dash = UInt8(ascii: "-")
    static let backslash = UInt8(ascii: "\\")

    var isDigit: Bool { self >= 0x30 && self <= 0x39 }
    var isLetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7a }
    var isSpace: Bool { self == 0x20 || (self >= 0x09 && self <= 0x0d) }

    var hexValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x37
        case 0x61...0x66: self - 0x57
        default: nil
        }
    }
}

extension ArraySlice<UInt8> {
    var text: String { String(decoding: self, as: UTF8.self) }

    /// The parts before and after the first `separator`; nil where there is none.
    func cut(at separator: UInt8) -> (before: Bytes, after: Bytes)? {
        guard let index = firstIndex(of: separator) else { return nil }
        return (self[startIndex..<index], self[(index + 1)...])
    }

    /// The parts before and after the first occurrence of `separator`; nil where there is none.
    func cut(at separator: String) -> (before: Bytes, after: Bytes)? {
        let pattern = Array(separator.utf8)
        guard !pattern.isEmpty, count >= pattern.count else { return nil }
        for index in startIndex...(endIndex - pattern.count) where self[index...].starts(with: pattern) {
            return (self[startIndex..<index], self[(index + pattern.count)...])
        }
        return nil
    }

    /// What follows `prefix`; nil where this doesn't begin with it.
    func after(_ prefix: String) -> Bytes? {
        starts(with: prefix.utf8) ? dropFirst(prefix.utf8.count) : nil
    }
}

extension String {
    var bytes: Bytes { Array(utf8)[...] }

    func begins(with prefix: String) -> Bool {
        utf8.starts(with: prefix.utf8)
    }

    func ends(with suffix: String) -> Bool {
        utf8.reversed().starts(with: suffix.utf8.reversed())
    }

    var isDecimal: Bool {
        !isEmpty && utf8.allSatisfy(\.isDigit)
    }

    /// What follows the last slash.
    var fileName: String {
        guard let slash = utf8.lastIndex(of: .slash) else { return self }
        return String(self[utf8.index(after: slash)...])
    }

    /// This with the letters `A` to `Z` in lower case.
    var asciiLowercased: String {
        String(decoding: utf8.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}
