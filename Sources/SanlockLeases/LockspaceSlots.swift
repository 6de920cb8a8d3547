import Glibc
import Platform

/// What a host has written into its slot of a lockspace.
public struct LockspaceSlot: Equatable, Sendable {
    /// The host's id.
    public let hostId: UInt64
    /// The host's name; nil where it is none that can be shown.
    public let name: String?
    /// How often the id has been joined.
    public let generation: UInt64
    /// Seconds of that host's monotonic clock at its last renewal; 0 where it has left.
    public let timestamp: UInt64
    /// The host's io timeout in seconds; 0 where it didn't say.
    public let ioTimeoutSeconds: UInt32
}

/// What a lockspace's file says of its hosts: a slot each, one sector long. Read past every cache; blocks for as long as
/// the storage does.
///
/// Source: `leader_record` in sanlock's `leader.h`.
enum LockspaceSlots {
    /// What a lockspace was made with, in bytes.
    struct Sizes: Equatable {
        let sectorBytes: Int
        let alignBytes: Int

        /// What sanlock makes of a file where it isn't told otherwise.
        static let usual = Sizes(sectorBytes: 512, alignBytes: 1 << 20)
        /// The same for storage that can only be read and written in 4096 bytes: as many hosts.
        static let large = Sizes(sectorBytes: 4096, alignBytes: 8 << 20)
    }

    private static let magic: UInt32 = 0x1221_2010
    private static let blockBytes = 4096
    static let mostHosts = 2000

    /// The sizes of a lockspace; nil where it is none or can't be read.
    static func sizes(in path: String) -> Sizes? {
        guard let block = try? SharedFile.read(path, offset: 0, count: blockBytes) else { return nil }
        return sizes(block[...])
    }

    /// What stands in a host's slot; nil where no host of that id was ever there, or it can't be read.
    static func slot(of hostId: UInt64, in path: String) -> LockspaceSlot? {
        guard hostId >= 1, hostId <= UInt64(mostHosts),
            let first = try? SharedFile.read(path, offset: 0, count: blockBytes), let sizes = sizes(first[...])
        else { return nil }
        let offset = Int(hostId - 1) * sizes.sectorBytes
        let block = offset & ~(blockBytes - 1)
        if block == 0 { return slot(first.dropFirst(offset), hostId) }
        guard let bytes = try? SharedFile.read(path, offset: Int64(block), count: blockBytes) else { return nil }
        return slot(bytes.dropFirst(offset - block), hostId)
    }

    /// The slots of all hosts that were ever there.
    static func all(in path: String) -> [LockspaceSlot] {
        guard let sizes = sizes(in: path),
            let bytes = try? SharedFile.read(path, offset: 0, count: sizes.alignBytes)
        else { return [] }
        return all(bytes[...], sectorBytes: sizes.sectorBytes)
    }

    /// The same of a lockspace's bytes.
    static func all(_ bytes: ArraySlice<UInt8>, sectorBytes: Int) -> [LockspaceSlot] {
        (0..<min(mostHosts, bytes.count / sectorBytes)).compactMap { index in
            slot(bytes.dropFirst(index * sectorBytes).prefix(sectorBytes), UInt64(index + 1))
        }
    }

    /// The name of a host; nil where its slot was never used or can't be read.
    static func hostName(of hostId: UInt64, in path: String) -> String? {
        slot(of: hostId, in: path)?.name
    }

    private static func sizes(_ bytes: ArraySlice<UInt8>) -> Sizes? {
        let fields = LittleEndian(bytes)
        let sectorBytes = Int(fields.integer(at: 12, UInt32.self))
        guard fields.integer(at: 0, UInt32.self) == magic, sectorBytes == 512 || sectorBytes == 4096 else { return nil }
        return Sizes(sectorBytes: sectorBytes, alignBytes: fields.alignBytes)
    }

    private static func slot(_ bytes: ArraySlice<UInt8>, _ hostId: UInt64) -> LockspaceSlot? {
        let fields = LittleEndian(bytes)
        let generation = fields.integer(at: 40, UInt64.self)
        guard fields.integer(at: 0, UInt32.self) == magic, generation > 0 else { return nil }
        let name = fields.text(at: 104, count: 48)
        let isPlain = name.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7f }
        return LockspaceSlot(
            hostId: hostId, name: name.isEmpty || !isPlain ? nil : name, generation: generation,
            timestamp: fields.integer(at: 152, UInt64.self),
            ioTimeoutSeconds: UInt32(fields.integer(at: 174, UInt16.self)))
    }
}

extension LockspaceSlots {
    /// Whether nobody has ever joined through a lockspace's file that sanlock refuses, so that it may be replaced.
    static func isUnmade(_ bytes: ArraySlice<UInt8>) -> Bool {
        if bytes.allSatisfy({ $0 == 0 }) { return true }
        // Cut short, with what is left of it whole and unused.
        guard let sizes = sizes(bytes) else { return false }
        return bytes.count < sizes.alignBytes && all(bytes, sectorBytes: sizes.sectorBytes).isEmpty
    }
}
