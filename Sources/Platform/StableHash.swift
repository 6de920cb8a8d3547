/// A hash that is the same in every process and version, as Swift's own is not.
public enum StableHash {
    /// 64-bit FNV-1a (draft-eastlake-fnv).
    public static func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
