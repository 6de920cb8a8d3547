import Foundation
import TestSupport
import Testing

@testable import Configuration

@Suite struct GarbageTests {
    private static let megabyte = 1 << 20

    @Test(
        arguments: [
            "[", "]", "\"", "'", "\"\"\"", "#", "=", ";", "a", "-", "9", " ", "\n", "\r", "\t", "\\", "é", "\u{0}",
            "e\u{301}",
            "a=", "a=1\n", "user = [", "host_id = [[[", "user=\"\"\"", "user='", "wait=9", "\u{1b}[2J", "\u{2028}",
        ])
    func megabyteOfOneThingIsReadOrRefusedInOneShortLine(unit: String) {
        let seconds = processorSeconds { check(String(repeating: unit, count: Self.megabyte / unit.utf8.count)) }
        #expect(seconds < 60)
    }

    @Test(
        arguments: [
            ("host_id = ", "1"), ("host_id = -", "0"), ("user = \"", "u"), ("user = \"\"\"", "\n"), ("user = '", "\""),
            ("wait = \"", "1"), ("wait = '1", "."), ("disk_lease_dir = \"/", ":"), ("run_dir = '/", "r"), ("# ", "c"),
            ("on_lease_loss = \"", "p"), ("disk_lease_dir = [ ", "\"a\", "), ("disk_lease_dir = ", "["),
            ("x", "\u{301}"),
        ])
    func megabyteInAValueIsReadOrRefusedInOneShortLine(start: String, unit: String) {
        let filling = String(repeating: unit, count: Self.megabyte / unit.utf8.count)
        let seconds = processorSeconds {
            for end in ["", "\"", "'", "\"\"\""] { check(start + filling + end) }
        }
        #expect(seconds < 60)
    }

    @Test func randomTextIsReadOrRefusedInOneShortLine() {
        let given = ProcessInfo.processInfo.environment["LEASEHOLD_TEST_SEED"]
        let seed = given.flatMap(UInt64.init) ?? UInt64.random(in: .min ... .max)
        print("GarbageTests: seed \(seed)")
        var random = SplitMix64(state: seed)
        var accepted = 0
        for _ in 0..<20_000 {
            let text = Bool.random(using: &random) ? soup(&random) : mutatedFile(&random)
            if check(text, seed: seed) { accepted += 1 }
        }
        // Both ways have to be trodden, or the test tests nothing.
        #expect((200...19_800).contains(accepted), "seed \(seed)")
    }

    // MARK: Made of chance

    private static let pieces =
        ConfigurationKey.allCases.map(\.rawValue) + [
            " = ", "=", "\n", "\r\n", "\r", " ", "\t", "#", ";", ",", "[", "]", "\"", "'", "\"\"\"", "\\", "0", "1",
            "2000",
            "-1", "+7", "18446744073709551616", "\"30s\"", "\"pause\"", "'/srv/leases'", "\"sanlock\"", "\u{0}", "é",
            "\u{1F600}", "\u{feff}", "\u{fffd}", "x", "_", ".", "-",
        ]

    private func soup(_ random: inout SplitMix64) -> String {
        (0..<Int.random(in: 0...12, using: &random)).map { _ in Self.pieces.randomElement(using: &random) ?? "" }
            .joined()
    }

    private func mutatedFile(_ random: inout SplitMix64) -> String {
        var bytes = Array(LibvirtFileTests.edited.utf8)
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let position = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0...3, using: &random) {
            case 0: bytes[position] = UInt8.random(in: .min ... .max, using: &random)
            case 1: bytes.insert(UInt8.random(in: 0...0x7F, using: &random), at: position)
            case 2: bytes.remove(at: position)
            default: bytes.removeSubrange(Int.random(in: 0...position, using: &random)..<position)
            }
            if bytes.isEmpty { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: What always holds

    /// Returns whether the text was accepted.
    @discardableResult
    private func check(_ text: String, seed: UInt64? = nil) -> Bool {
        let about: Comment =
            "seed \(seed.map(String.init) ?? "none"), text \(String(text.unicodeScalars.prefix(500)).debugDescription)"
        do throws(ConfigurationError) {
            let read = try Configuration(parsing: text, path: "/etc/f.conf")
            #expect(read.hostId.map((1...2000).contains) ?? true, about)
            #expect((1...2000).contains(read.leaseHosts), about)
            #expect((0...255).contains(read.ioTimeoutSeconds), about)
            #expect((0...315_360_000).contains(read.waitSeconds), about)
            #expect((0...315_360_000).contains(read.stopTimeoutSeconds), about)
            for path in [read.diskLeaseDirectory, read.runDirectory ?? "/"] {
                #expect(path.utf8.first == UInt8(ascii: "/"), about)
                #expect(path.utf8.count <= 990 && !path.utf8.contains { $0 < 0x20 }, about)
            }
            return true
        } catch {
            let lines = 1 + text.utf8.count { $0 == UInt8(ascii: "\n") }
            #expect((1...lines).contains(error.line), about)
            #expect(error.message.hasPrefix("/etc/f.conf:\(error.line): "), about)
            #expect(error.message.utf8.count < 1000, about)
            #expect(error.message.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, about)
            return false
        }
    }
}

/// A generator whose whole state is its seed.
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
