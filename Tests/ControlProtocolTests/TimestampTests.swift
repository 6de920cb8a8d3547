import Foundation
import Testing

@testable import ControlProtocol

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, 0, "1970-01-01T00:00:00.000Z"), (-1, 999_999_999, "1969-12-31T23:59:59.999Z"),
            (951_782_400, 1_000_000, "2000-02-29T00:00:00.001Z"),
            (1_763_822_760, 250_999_999, "2025-11-22T14:46:00.250Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59.000Z"), (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (-62_167_219_200, 0, "0000-01-01T00:00:00.000Z"), (253_402_300_799, 0, "9999-12-31T23:59:59.000Z"),
            (.min, .min, "0000-01-01T00:00:00.000Z"), (.max, .max, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, Int32, String)])
    func isWrittenInUTCWithMilliseconds(seconds: Int64, nanoseconds: Int32, text: String) {
        #expect(rfc3339(secondsSince1970: seconds, nanoseconds: nanoseconds) == text)
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0, 0), ("1970-01-01t00:00:00z", 0, 0), ("1970-01-01 00:00:00.5Z", 0, 500_000_000),
            ("1970-01-01T01:30:00.123456789999+01:30", 0, 123_456_789), ("1969-12-31T19:00:00-05:00", 0, 0),
            ("2016-12-31T23:59:60Z", 1_483_228_800, 0), ("2000-02-29T00:00:00Z", 951_782_400, 0),
        ] as [(String, Int64, Int32)])
    func isReadWithAnyOffset(text: String, seconds: Int64, nanoseconds: Int32) {
        #expect(Timestamp(rfc3339: text) == Timestamp(secondsSince1970: seconds, nanoseconds: nanoseconds))
    }

    @Test(arguments: [
        "", "1970", "1970-01-01", "1970-01-01T00:00:00", "1970-1-01T00:00:00Z", "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "1970-04-31T00:00:00Z", "1970-01-00T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+24:00", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "-970-01-01T00:00:00Z",
        "1970-01-01X00:00:00Z",
    ])
    func isRefusedWhereItIsNone(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func agreesWithFoundationsCalendar() {
        SeededGenerator.run { random in
            let formatter = ISO8601DateFormatter()
            for _ in 0..<5000 {
                // Foundation's calendar is Julian before 1582.
                let seconds = Int64.random(in: -12_000_000_000...253_402_300_799, using: &random)
                let expected = formatter.string(from: Date(timeIntervalSince1970: Double(seconds)))
                let text = rfc3339(secondsSince1970: seconds)
                #expect(text == expected.dropLast() + ".000Z")
                #expect(Timestamp(rfc3339: text)?.secondsSince1970 == seconds)
            }
        }
    }

    @Test func comesBackFromItsTextInEveryYear() {
        for year in Int64(0)..<9999 {
            let moment = Timestamp(
                secondsSince1970: -62_167_219_200 + year * 31_556_952 + year * 7, nanoseconds: 7_000_000)
            #expect(Timestamp(rfc3339: moment.rfc3339) == moment)
        }
    }

    @Test func laterIsGreater() {
        #expect(Timestamp(secondsSince1970: 1, nanoseconds: 2) < Timestamp(secondsSince1970: 1, nanoseconds: 3))
        #expect(Timestamp(secondsSince1970: 1, nanoseconds: 3) < Timestamp(secondsSince1970: 2))
    }
}
