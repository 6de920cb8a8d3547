/// A guest's name, and how it is spelled as a file's name.
public struct GuestName: Equatable, Sendable {
    /// The name as people know it.
    public let text: String
    /// The name of its directory: characters other than `A-Za-z0-9._+:@-` as `%XX`.
    public let fileName: String

    /// The most bytes of a file's name: a control socket's path has to fit a Unix address.
    public static let longestBytes = 64

    /// A name given to us: 1 to 64 of `A-Za-z0-9._+:@-`, not with `.` or `-` first.
    public init?(given text: String) {
        guard GuestName.escaped(text) == text, (1...GuestName.longestBytes).contains(text.utf8.count) else {
            return nil
        }
        self.text = text
        fileName = text
    }

    /// A name that comes from the emulator's command line, where nearly everything is allowed; nil where it is empty or,
    /// escaped, longer than 64 bytes.
    public init?(fromEmulator text: String) {
        let escaped = GuestName.escaped(text)
        guard (1...GuestName.longestBytes).contains(escaped.utf8.count) else { return nil }
        self.text = text
        fileName = escaped
    }

    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        var result = ""
        for (index, byte) in text.utf8.enumerated() {
            let isFirst = index == 0
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: ":"),
                UInt8(ascii: "@"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: ".") where !isFirst, UInt8(ascii: "-") where !isFirst:
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                result += "%" + String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            }
        }
        return result
    }
}
