import Configuration
import Testing

@Suite struct DurationTests {
    @Test(
        arguments: [
            ("0", 0), ("30", 30), ("30s", 30), ("2m", 120), ("1h", 3600), ("500ms", 0.5), ("1.5s", 1.5), ("0.25h", 900),
            ("007", 7), ("0s", 0), ("87600h", 315_360_000), ("315360000", 315_360_000),
        ] as [(String, Double)])
    func readsDuration(text: String, seconds: Double) {
        #expect(parseDuration(text) == seconds)
    }

    @Test(arguments: [
        "", " ", "s", "ms", "-1", "-0", "+1", "1 s", " 1", "1 ", "1S", "1d", "1w", "1sec", "1s1", "1m30s", ".5", "5.",
        ".",
        "1..5", "1.2.3", "1,5", "1e3", "0x10", "nan", "inf", "infinity", "1e999", "87601h", "315360000.1", "315360001",
        "٣s", "1\u{0}", "1s\u{0}", "1s\n", String(repeating: "9", count: 32), String(repeating: "0", count: 33),
    ])
    func refusesWhatIsNoDuration(text: String) {
        #expect(parseDuration(text) == nil)
    }

    @Test func refusesAMegabyte() {
        for digit in ["9", "m"] { #expect(parseDuration(String(repeating: digit, count: 1 << 20)) == nil) }
    }
}
