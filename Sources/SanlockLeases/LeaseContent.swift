import Leases

/// What the first sector of a lease says.
///
/// Source: `leader_record` in sanlock's `leader.h`; integers are little-endian.
struct LeaseLeader: Equatable {
    /// Bytes of a sector, 512 or 4096.
    let sectorBytes: Int
    /// Bytes of the whole lease.
    let alignBytes: Int
    /// How many hosts it has slots for.
    let hosts: Int
    /// The host that took it last.
    let ownerId: UInt64
    /// Which stay of that host in the lockspace it was.
    let generation: UInt64
    /// The lver.
    let version: UInt64
    /// The lockspace it was made for.
    let lockspace: String
    /// The resource it was made for.
    let resource: String
    /// Zero: no host owns it exclusively.
    let timestamp: UInt64
    /// The host that wrote all this: the owner, or one that lost the ballot to it.
    let writerId: UInt64

    /// The exclusive owner, where there is one.
    var owner: UInt64? { timestamp != 0 && ownerId != 0 ? ownerId : nil }
}

/// What a lease file's bytes are worth. Pure: whether the file may be replaced also rests on what sanlock says of it.
enum LeaseContent: Equatable {
    /// A lease.
    case whole(LeaseLeader)
    /// Nothing was ever held through it: empty, cut short, all zero, or cleared.
    case unmade
    /// Something else; the words complete a sentence, `it …`.
    case damaged(String)

    /// The size of a sector whose layout is read here, and the least that has to be given.
    static let leaderBytes = 512
    private static let magic: UInt32 = 0x0615_2010
    private static let clearedMagic: UInt32 = 0x1128_2016
    private static let majorVersion: UInt32 = 0x0006_0000
    private static let checksummedBytes = 168

    /// Judges the bytes of a lease file, from its beginning.
    ///
    /// - Parameters:
    ///   - bytes: all of the file, or as much as a lease has.
    ///   - isCutShort: whether sanlock found the file too short.
    init(_ bytes: ArraySlice<UInt8>, isCutShort: Bool) {
        if bytes.allSatisfy({ $0 == 0 }) {
            self = .unmade
            return
        }
        let fields = LittleEndian(bytes)
        let magic = fields.integer(at: 0, UInt32.self)
        let owner = fields.integer(at: 32, UInt64.self)
        let timestamp = fields.integer(at: 152, UInt64.self)
        if magic == LeaseContent.clearedMagic {
            // Clearing writes no owner, and nothing into the slots.
            let sharing = LeaseContent.sharing(bytes, sectorBytes: fields.sectorBytes, hosts: 2000)
            let isFree = owner == 0 && timestamp == 0 && sharing.isEmpty
            self = isFree ? .unmade : .damaged("is marked as cleared while a host holds the lease")
            return
        }
        if isCutShort {
            // What still can be read of a holder counts, whatever the rest is worth.
            let isHeld = magic == LeaseContent.magic && timestamp != 0 && owner != 0
            let sharing = LeaseContent.sharing(bytes, sectorBytes: fields.sectorBytes, hosts: 2000)
            if isHeld {
                self = .damaged("is cut short while host id \(owner) holds the lease")
            } else if let first = sharing.first?.id, magic == LeaseContent.magic {
                self = .damaged("is cut short while host id \(first) shares the lease")
            } else {
                self = .unmade
            }
            return
        }
        guard bytes.count >= LeaseContent.leaderBytes, magic == LeaseContent.magic else {
            self = .damaged("does not begin as a lease does")
            return
        }
        guard fields.integer(at: 4, UInt32.self) & 0xffff_0000 == LeaseContent.majorVersion else {
            self = .damaged("is of a version that this sanlock doesn't know")
            return
        }
        guard fields.integer(at: 168, UInt32.self) == CRC32C.leader(bytes.prefix(LeaseContent.checksummedBytes)) else {
            self = .damaged("has a wrong checksum")
            return
        }
        let leader = LeaseContent.leader(fields)
        guard leader.sectorBytes == 512 || leader.sectorBytes == 4096,
            (1...LockspaceSlots.mostHosts).contains(leader.hosts),
            (leader.hosts + 2) * leader.sectorBytes <= leader.alignBytes
        else {
            self = .damaged("has sizes that no lease has")
            return
        }
        self = .whole(leader)
    }

    private static func leader(_ fields: LittleEndian) -> LeaseLeader {
        LeaseLeader(
            sectorBytes: Int(fields.integer(at: 12, UInt32.self)), alignBytes: fields.alignBytes,
            hosts: Int(clamping: fields.integer(at: 16, UInt64.self)),
            ownerId: fields.integer(at: 32, UInt64.self), generation: fields.integer(at: 40, UInt64.self),
            version: fields.integer(at: 48, UInt64.self), lockspace: fields.text(at: 56, count: 48),
            resource: fields.text(at: 104, count: 48), timestamp: fields.integer(at: 152, UInt64.self),
            writerId: fields.integer(at: 176, UInt64.self))
    }

    /// The hosts that share a lease: those whose slot is marked so.
    ///
    /// Source: `mode_block.h`; the slot of host N is sector N + 1.
    static func sharing(_ bytes: ArraySlice<UInt8>, sectorBytes: Int, hosts: Int) -> [LeaseOwner] {
        guard sectorBytes == 512 || sectorBytes == 4096 else { return [] }
        let fields = LittleEndian(bytes)
        let present = min(hosts, bytes.count / sectorBytes - 2)
        guard present > 0 else { return [] }
        return (1...present).compactMap { host in
            let slot = (host + 1) * sectorBytes
            guard fields.integer(at: slot + sharedMark, UInt32.self) & 1 != 0 else { return nil }
            return LeaseOwner(id: UInt64(host), generation: fields.integer(at: slot + sharedMark + 8, UInt64.self))
        }
    }

    private static let sharedMark = 128

    /// Whether a host's slot, from its first byte, is marked as sharing the lease.
    static func isSharing(_ slot: ArraySlice<UInt8>) -> Bool {
        LittleEndian(slot).integer(at: sharedMark, UInt32.self) & 1 != 0
    }

    /// Whether the owner has given a lease back that another host had written down for it: it then only marks its own slot.
    ///
    /// Source: `paxos_lease_acquire` in sanlock's `paxos_lease.c`, `DBLOCK_FL_RELEASED`.
    static func isReleased(_ bytes: ArraySlice<UInt8>, _ leader: LeaseLeader) -> Bool {
        guard let owner = leader.owner, leader.writerId != owner, owner <= UInt64(leader.hosts) else { return false }
        return LittleEndian(bytes).integer(at: (Int(owner) + 1) * leader.sectorBytes + 52, UInt32.self) & 1 != 0
    }

    /// The first bytes of a free lease with another version, its checksum made anew.
    static func setting(version: UInt64, in leader: [UInt8]) -> [UInt8] {
        var leader = leader
        for index in 0..<8 { leader[48 + index] = UInt8(truncatingIfNeeded: version >> (8 * UInt64(index))) }
        let sum = CRC32C.leader(leader.prefix(checksummedBytes))
        for index in 0..<4 { leader[168 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index))) }
        return leader
    }
}

/// Integers and texts in sanlock's structures on disk. What lies beyond the end is zero.
struct LittleEndian {
    private let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    func integer<Integer: FixedWidthInteger>(at offset: Int, _ type: Integer.Type) -> Integer {
        var value: Integer = 0
        for index in (0..<MemoryLayout<Integer>.size).reversed() {
            let position = bytes.startIndex + offset + index
            value = (value << 8) | (position < bytes.endIndex ? Integer(truncatingIfNeeded: bytes[position]) : 0)
        }
        return value
    }

    /// Of a leader, the bytes of a sector; 512 where it doesn't say what can be.
    var sectorBytes: Int { integer(at: 12, UInt32.self) == 4096 ? 4096 : 512 }

    /// Of a leader, the bytes of the whole: its flags say 1, 2, 4 or 8 MiB; where they don't it is what goes with the
    /// sector.
    var alignBytes: Int {
        let mebibytes = Int((integer(at: 8, UInt32.self) >> 4) & 0xf)
        return mebibytes == 0 ? (sectorBytes == 4096 ? 8 << 20 : 1 << 20) : mebibytes << 20
    }

    func text(at offset: Int, count: Int) -> String {
        String(decoding: bytes.dropFirst(offset).prefix(count).prefix { $0 != 0 }, as: UTF8.self)
    }
}

/// The checksum of sanlock's structures: Castagnoli's CRC, begun with ~1 and not inverted at the end.
///
/// Source: `leader_checksum` in sanlock's `paxos_lease.c`.
enum CRC32C {
    private static let polynomial: UInt32 = 0x82f6_3b78

    static func leader(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reduce(~1) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 0 ? sum >> 1 : (sum >> 1) ^ polynomial }
        }
    }
}
