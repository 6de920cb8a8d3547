import Foundation
import TestSupport
import Testing

@testable import SanlockLeases

/// What is made of a lease file's bytes, on files that a real daemon wrote.
@Suite struct LeaseContentTests {
    private static let bytes = Result { try formatted() }

    private static func formatted() throws -> (lease: [UInt8], lockspace: [UInt8]) {
        try withScratch { scratch in
            let lease = try scratch.disk("lease")
            let lockspace = try scratch.disk("lockspace")
            try Program.run("sanlock", ["direct", "init", "-r", "space:name:\(lease):0"]).expecting(.exit(0))
            try Program.run("sanlock", ["direct", "init", "-s", "space:0:\(lockspace):0"]).expecting(.exit(0))
            return (
                Array(try Data(contentsOf: URL(fileURLWithPath: lease))),
                Array(try Data(contentsOf: URL(fileURLWithPath: lockspace)))
            )
        }
    }

    private func setting(_ value: UInt8, at offset: Int, of bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        bytes[offset] = value
        return bytes
    }

    private func isDamaged(_ content: LeaseContent) -> Bool {
        if case .damaged = content { true } else { false }
    }

    @Test func aLeaseThatTheDaemonWroteIsRead() throws {
        let lease = try Self.bytes.get().lease
        guard case .whole(let leader) = LeaseContent(lease[...], isCutShort: false) else {
            return #expect(Bool(false), "not taken for a lease")
        }
        #expect(leader.lockspace == "space" && leader.resource == "name")
        #expect(leader.sectorBytes == 512 && leader.alignBytes == 1 << 20 && leader.hosts == 2000)
        #expect(leader.owner == nil && leader.version == 0)
    }

    @Test func everyFlippedBitOfTheLeaderIsNoticed() throws {
        let lease = try Self.bytes.get().lease
        for bit in 0..<(8 * 172) {
            let flipped = setting(lease[bit / 8] ^ 1 << UInt8(bit % 8), at: bit / 8, of: Array(lease.prefix(4096)))
            #expect(isDamaged(LeaseContent(flipped[...], isCutShort: false)), "bit \(bit)")
        }
    }

    @Test func whatWasNeverHeldCountsAsUnmade() throws {
        let lease = try Self.bytes.get().lease
        for length in [0, 1, 511, 512, 513, 4096, lease.count - 1] {
            #expect(LeaseContent(lease.prefix(length), isCutShort: true) == .unmade, "\(length)")
            #expect(LeaseContent([UInt8](repeating: 0, count: length)[...], isCutShort: false) == .unmade)
        }
        // Cleared: 0x11282016.
        let cleared = [0x16, 0x20, 0x28, 0x11] + lease.dropFirst(4)
        #expect(LeaseContent(cleared[...], isCutShort: false) == .unmade)
    }

    @Test func whatShowsAHolderIsNeverUnmade() throws {
        let lease = try Self.bytes.get().lease
        let owned = setting(3, at: 152, of: setting(7, at: 32, of: lease))
        let shared = setting(1, at: 6 * 512 + 128, of: lease)
        for held in [owned, shared] {
            for length in [4096, lease.count - 1] {
                #expect(isDamaged(LeaseContent(held.prefix(length), isCutShort: true)), "\(length)")
            }
            let cleared = [0x16, 0x20, 0x28, 0x11] + held.dropFirst(4)
            #expect(isDamaged(LeaseContent(cleared[...], isCutShort: false)))
        }
        #expect(LeaseContent.sharing(shared[...], sectorBytes: 512, hosts: 2000).map(\.id) == [5])
    }

    @Test func anyBytesCanBeLookedAt() throws {
        let seed = UInt64.random(in: 0...(.max))
        var state = seed
        func next() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
        let (lease, lockspace) = try Self.bytes.get()
        for _ in 0..<300 {
            var bytes = Array((next() & 1 == 0 ? lease : lockspace).prefix(2 * 4096))
            for _ in 0..<Int(next()) { bytes[Int(next()) << 5 | Int(next() & 31)] = next() }
            bytes.removeLast(Int(next()) * 32)
            _ = LeaseContent(bytes[...], isCutShort: next() & 1 == 0)
            _ = LeaseContent.sharing(bytes[...], sectorBytes: 512, hosts: Int(next()) * 100)
            _ = LockspaceSlots.isUnmade(bytes[...])
        }
        print("seed \(seed)")
    }

    @Test func aLockspaceIsUnmadeUntilAHostHasJoined() throws {
        let lockspace = try Self.bytes.get().lockspace
        #expect(!LockspaceSlots.isUnmade(lockspace[...]), "a whole one is not to be replaced")
        for length in [0, 512, 4096, lockspace.count - 512] {
            #expect(LockspaceSlots.isUnmade(lockspace.prefix(length)), "\(length)")
        }
        // Host 2 has joined once.
        let joined = setting(1, at: 512 + 40, of: lockspace)
        #expect(!LockspaceSlots.isUnmade(joined.prefix(lockspace.count - 512)))
        #expect(!LockspaceSlots.isUnmade([UInt8](repeating: 0x5a, count: 1 << 20)[...]))
    }
}
