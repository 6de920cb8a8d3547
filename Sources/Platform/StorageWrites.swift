import Glibc

/// How much processes have written to storage, as the kernel has counted: evidence that nobody can talk away.
public enum StorageWrites {
    /// The bytes that the processes below one have caused to be written so far; nil where there are none, or the kernel doesn't
    /// tell (processes of other rights: CAP_SYS_PTRACE sees all). What goes to memory only (tmpfs) isn't counted.
    ///
    /// Source: `man 5 proc_pid_io`, `write_bytes`.
    public static func bytesBelow(_ process: ProcessIdentity) -> UInt64? {
        let all = process.descendants()
        var sum: UInt64 = 0
        for one in all {
            guard let count = bytes(ofPid: one.pid) else { return nil }
            sum &+= count
        }
        return all.isEmpty ? nil : sum
    }

    private static func bytes(ofPid pid: Int32) -> UInt64? {
        guard let bytes = try? Files.read("/proc/\(pid)/io", limit: 4096) else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: UInt8(ascii: " "))
            guard words.count == 2, words[0].elementsEqual("write_bytes:".utf8) else { continue }
            return UInt64(String(decoding: words[1], as: UTF8.self))
        }
        return nil
    }
}
