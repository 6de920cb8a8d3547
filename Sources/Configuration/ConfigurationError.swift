/// The first thing wrong in a configuration file.
public struct ConfigurationError: Error, Equatable, Sendable {
    /// The file, as it was named to `Configuration.init(parsing:path:)`.
    public let path: String

    /// The line that is wrong, from 1; of a value over several lines, the first.
    public let line: Int

    /// The key that is wrong, cut where it is very long; nil where the line has none.
    public let key: String?

    /// What is wrong and what is allowed: one line, without the place.
    public let problem: String

    /// The whole message, one line without its newline: `FILE:LINE: KEY: what is wrong; what is allowed`.
    public var message: String {
        let place = "\(printable(path, atMost: .max)):\(line): "
        guard let key else { return place + problem }
        return place + "\(key): \(problem)"
    }
}

/// The text made fit for one line of a terminal: control characters and those that turn the writing direction are
/// spelled out, and what is longer than the limit, in Unicode scalars, is cut.
func printable(_ text: String, atMost limit: Int = 60) -> String {
    var result = ""
    var count = 0
    for scalar in text.unicodeScalars {
        guard count < limit else { return result + "…" }
        count += 1
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
            result += "\\u{\(String(scalar.value, radix: 16))}"
        default:
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}
