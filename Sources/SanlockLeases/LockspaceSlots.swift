import Platform

/// What a lockspace's file says of its hosts.
///
/// Source: `leader_record` in sanlock's `leader.h`: a sector a host, whose field `resource_name` (bytes 104 to 151) is
/// the host's name.
enum LockspaceSlots {
    // DELTA_DISK_MAGIC, little-endian.
    private static let magic: [UInt8] = [0x10, 0x20, 0x21, 0x12]
    private static let sectorBytes = 512
    private static let nameBytes = 104..<152

    /// The name of a host; nil where the slot was never used or can't be read.
    static func hostName(of hostId: UInt64, in path: String) -> String? {
        guard hostId >= 1, hostId <= 2000 else { return nil }
        let offset = Int(hostId - 1) * sectorBytes
        let block = offset & ~4095
        guard let bytes = try? Files.readDirect(path, offset: Int64(block), count: 4096), bytes.count == 4096 else {
            return nil
        }
        let slot = bytes[(offset - block)...].prefix(sectorBytes)
        guard Array(slot.prefix(4)) == magic else { return nil }
        let name = slot.dropFirst(nameBytes.lowerBound).prefix(nameBytes.count).prefix { $0 != 0 }
        let text = String(decoding: name, as: UTF8.self)
        let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7f }
        return text.isEmpty || !isPlain ? nil : text
    }
}
