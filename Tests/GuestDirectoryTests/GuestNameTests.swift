import GuestDirectory
import Testing

@Suite struct GuestNameTests {
    @Test(arguments: ["a", "web1", "A-Z.0_9+:@", String(repeating: "x", count: 64), "_x"])
    func namesOfThePlainKindAreTaken(_ text: String) {
        #expect(GuestName(given: text)?.fileName == text)
        #expect(GuestName(fromEmulator: text)?.fileName == text)
    }

    @Test(arguments: ["", ".", "..", ".x", "-x", "a/b", "a b", "a\nb", "é", "a%b", String(repeating: "x", count: 65)])
    func othersAreNotTakenAsGiven(_ text: String) {
        #expect(GuestName(given: text) == nil)
    }

    @Test(arguments: [
        ("a/b", "a%2Fb"), ("..", "%2E."), ("-x", "%2Dx"), ("a b", "a%20b"), ("a%b", "a%25b"), ("é", "%C3%A9"),
        ("e\u{301}", "e%CC%81"), ("a\u{0}b", "a%00b"),
    ])
    func emulatorsNamesAreEscapedInPaths(_ text: String, _ fileName: String) {
        #expect(GuestName(fromEmulator: text)?.fileName == fileName)
        #expect(GuestName(fromEmulator: text)?.text == text)
    }

    @Test func noEmulatorsNameLeavesItsDirectory() {
        for byte in UInt8(1)...255 {
            let text = String(decoding: [byte, UInt8(ascii: "/"), byte], as: UTF8.self)
            let name = GuestName(fromEmulator: text)?.fileName ?? ""
            #expect(!name.contains("/") && name != "." && name != "..")
        }
    }

    @Test func nameThatIsTooLongEscapedIsRefused() {
        #expect(GuestName(fromEmulator: String(repeating: "/", count: 21)) != nil)
        #expect(GuestName(fromEmulator: String(repeating: "/", count: 22)) == nil)
        #expect(GuestName(fromEmulator: "") == nil)
    }
}
