import Leases
import Testing

@testable import SanlockLeases

/// The second sector of a lease.
@Suite struct RequestRecordTests {
    // As a daemon wrote it for lver 2, gracefully; what follows the mode is whatever was in its memory.
    private static let graceful: [UInt8] = [
        0x11, 0x20, 0x29, 0x08, 0x01, 0x00, 0x01, 0x00, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0xb8, 0x7f, 0, 0,
    ]

    private func record(_ bytes: [UInt8], sectorBytes: Int = 512) -> RequestRecord? {
        RequestRecord(([UInt8](repeating: 0, count: sectorBytes) + bytes)[...], sectorBytes: sectorBytes)
    }

    private func setting(_ value: UInt8, at offset: Int) -> [UInt8] {
        var bytes = Self.graceful
        bytes[offset] = value
        return bytes
    }

    @Test func whatADaemonWroteIsRead() {
        for sectorBytes in [512, 4096] {
            #expect(record(Self.graceful, sectorBytes: sectorBytes)?.version == 2)
            #expect(record(Self.graceful, sectorBytes: sectorBytes)?.mode == .graceful)
        }
        #expect(record(setting(1, at: 16))?.mode == .force)
        #expect(record(setting(0x80, at: 15))?.version == 0x8000_0000_0000_0002)
    }

    @Test func whatIsNoneAsksForNothing() {
        #expect(record([]) == nil)
        #expect(record([UInt8](repeating: 0, count: 24)) == nil)
        #expect(record([UInt8](repeating: 0xff, count: 24)) == nil)
        for offset in [0, 1, 2, 3, 6, 7] { #expect(record(setting(0x55, at: offset)) == nil, "\(offset)") }
        for mode: UInt8 in [0, 3, 255] { #expect(record(setting(mode, at: 16)) == nil, "\(mode)") }
        #expect(record(setting(1, at: 19)) == nil)
        for length in 0..<17 { #expect(record(Array(Self.graceful.prefix(length))) == nil, "\(length)") }
    }
}
