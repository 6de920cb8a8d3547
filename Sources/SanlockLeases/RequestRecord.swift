import Leases

/// The second sector of a lease: what somebody has asked of its holder last. Nobody ever clears it; it is meant for those who
/// hold the lease under a lower version than it has, and old as soon as the lease was taken once more.
///
/// Source: `request_record` in sanlock's `leader.h`; integers are little-endian.
struct RequestRecord: Equatable {
    /// The lver that the asker would have.
    let version: UInt64
    let mode: LeaseDemand.Mode

    private static let magic: UInt32 = 0x0829_2011
    private static let majorVersion: UInt32 = 0x0001_0000

    /// How much of a lease has to be read for it: two sectors, of whichever size.
    static let bytes = 8192

    /// Nil where nothing was ever asked, or in no way that is known.
    init?(_ lease: ArraySlice<UInt8>, sectorBytes: Int) {
        let fields = LittleEndian(lease.dropFirst(sectorBytes))
        guard fields.integer(at: 0, UInt32.self) == RequestRecord.magic,
            fields.integer(at: 4, UInt32.self) & 0xffff_0000 == RequestRecord.majorVersion
        else { return nil }
        switch fields.integer(at: 16, UInt32.self) {
        case 1: mode = .force
        case 2: mode = .graceful
        default: return nil
        }
        version = fields.integer(at: 8, UInt64.self)
    }
}
