/// Ten years of 365 days, in seconds: longer than any wait that is meant, and far from what a timer overflows at.
let longestDurationSeconds = 315_360_000.0

/// Reads a duration as people write it: `30s`, `2m`, `1h`, `500ms`, `1.5h`, or a plain number of seconds.
///
/// - Parameter text: digits, with a point and further digits or without, then `ms`, `s`, `m`, `h` or nothing; no blanks,
///   no sign, no exponent.
/// - Returns: the seconds, 0 to ten years; nil where the text is anything else.
public func parseDuration(_ text: String) -> Double? {
    let bytes = text.utf8
    let number = bytes.prefix { $0.isDigit || $0 == UInt8(ascii: ".") }
    // A length no real number needs, and above which a conversion would only cost time.
    guard number.count <= 32, number.first?.isDigit == true, number.last?.isDigit == true else { return nil }
    // Two points in it are refused here.
    guard let count = Double(text[number.startIndex..<number.endIndex]) else { return nil }
    let seconds: Double
    switch text[number.endIndex...] {
    case "ms": seconds = count / 1000
    case "", "s": seconds = count
    case "m": seconds = count * 60
    case "h": seconds = count * 3600
    default: return nil
    }
    return seconds <= longestDurationSeconds ? seconds : nil
}
