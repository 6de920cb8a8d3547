/// A moment in UTC, to the nanosecond, between the years 0 and 9999.
public struct Timestamp: Sendable, Hashable, Comparable {
    /// Whole seconds since 1970, as `time(2)` counts them.
    public let secondsSince1970: Int64
    /// What comes on top, 0 to 999,999,999.
    public let nanoseconds: Int32

    private static let earliest: Int64 = -62_167_219_200
    private static let latest: Int64 = 253_402_300_799

    /// Makes a moment. Seconds beyond the years and nanoseconds beyond a second are brought back to the nearest bound,
    /// as no clock's nonsense may stop a supervisor.
    public init(secondsSince1970: Int64, nanoseconds: Int32 = 0) {
        self.secondsSince1970 = min(max(secondsSince1970, Timestamp.earliest), Timestamp.latest)
        self.nanoseconds = min(max(nanoseconds, 0), 999_999_999)
    }

    /// The earlier one is the lesser.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.secondsSince1970, left.nanoseconds) < (right.secondsSince1970, right.nanoseconds)
    }
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds, which are cut and not rounded: `2025-11-22T14:46:00.250Z`.
    public var rfc3339: String {
        let days = secondsSince1970.quotientRoundedDown(by: 86_400)
        let second = secondsSince1970 - days * 86_400
        let (year, month, day) = Timestamp.date(daysSince1970: days)
        var text: [UInt8] = []
        text.reserveCapacity(24)
        text.append(year, digits: 4)
        text.append(UInt8(ascii: "-"))
        text.append(month, digits: 2)
        text.append(UInt8(ascii: "-"))
        text.append(day, digits: 2)
        text.append(UInt8(ascii: "T"))
        text.append(second / 3600, digits: 2)
        text.append(UInt8(ascii: ":"))
        text.append(second / 60 % 60, digits: 2)
        text.append(UInt8(ascii: ":"))
        text.append(second % 60, digits: 2)
        text.append(UInt8(ascii: "."))
        text.append(Int64(nanoseconds) / 1_000_000, digits: 3)
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }

    /// The same as ``rfc3339``.
    public var description: String { rfc3339 }

    /// Reads RFC 3339 with any offset. A leap second counts as the one after it; digits beyond the nanoseconds are cut.
    public init?(rfc3339 text: String) {
        var reader = DigitReader(text: Array(text.utf8))
        guard let year = reader.number(digits: 4), reader.skip("-"),
            let month = reader.number(digits: 2), (1...12).contains(month), reader.skip("-"),
            let day = reader.number(digits: 2), (1...Timestamp.days(inMonth: month, of: year)).contains(day),
            reader.skip("Tt "),
            let hour = reader.number(digits: 2), hour < 24, reader.skip(":"),
            let minute = reader.number(digits: 2), minute < 60, reader.skip(":"),
            let second = reader.number(digits: 2), second <= 60,
            let nanoseconds = reader.fraction(),
            let offset = reader.offsetSeconds(),
            reader.isAtEnd
        else { return nil }
        let days = Timestamp.daysSince1970(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        guard (Timestamp.earliest...Timestamp.latest).contains(seconds) else { return nil }
        self.init(secondsSince1970: seconds, nanoseconds: nanoseconds)
    }
}

/// RFC 3339 in UTC with milliseconds; see ``Timestamp/rfc3339``.
public func rfc3339(secondsSince1970: Int64, nanoseconds: Int32 = 0) -> String {
    Timestamp(secondsSince1970: secondsSince1970, nanoseconds: nanoseconds).rfc3339
}

// MARK: - Calendar

extension Timestamp {
    /// Howard Hinnant's algorithms: years begin in March, so that the leap day is the last one, and come in eras of 400.
    private static func date(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let days = daysSince1970 + 719_468
        let era = days.quotientRoundedDown(by: 146_097)
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let era = marchYear.quotientRoundedDown(by: 400)
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension Int64 {
    fileprivate func quotientRoundedDown(by divisor: Int64) -> Int64 {
        self / divisor - (self % divisor < 0 ? 1 : 0)
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ number: Int64, digits: Int) {
        var divisor: Int64 = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }
}

private struct DigitReader {
    let text: [UInt8]
    var position = 0

    var isAtEnd: Bool { position == text.count }

    mutating func digit() -> Int64? {
        guard position < text.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[position]) else {
            return nil
        }
        position += 1
        return Int64(text[position - 1] - UInt8(ascii: "0"))
    }

    mutating func number(digits: Int) -> Int64? {
        var number: Int64 = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            number = number * 10 + digit
        }
        return number
    }

    mutating func skip(_ any: String) -> Bool {
        guard position < text.count, any.utf8.contains(text[position]) else { return false }
        position += 1
        return true
    }

    /// Nanoseconds; zero where there is no fraction.
    mutating func fraction() -> Int32? {
        guard skip(".") else { return 0 }
        guard var number = digit() else { return nil }
        var scale = 100_000_000
        number *= Int64(scale)
        while let digit = digit() {
            scale /= 10
            number += digit * Int64(scale)
        }
        return Int32(number)
    }

    mutating func offsetSeconds() -> Int64? {
        if skip("Zz") { return 0 }
        let sign: Int64
        if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return nil }
        guard let hour = number(digits: 2), hour < 24, skip(":"), let minute = number(digits: 2), minute < 60 else {
            return nil
        }
        return sign * (hour * 3600 + minute * 60)
    }
}
