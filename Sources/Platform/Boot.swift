/// The boot of this host that is going on.
public enum Boot {
    /// What tells it from every other (`man 5 proc`, random/boot_id); nil where the kernel doesn't say.
    public static let id: String? = {
        let bytes = try? Files.read("/proc/sys/kernel/random/boot_id", limit: 64)
        return bytes.map { String(decoding: $0.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self) }
    }()
}
