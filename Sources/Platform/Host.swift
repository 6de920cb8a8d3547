import Glibc

/// This host.
public enum Host {
    /// Its name as the kernel has it; nil where it has none. Source: `man 2 gethostname`.
    public static var name: String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65) { buffer in
            guard let start = buffer.baseAddress, gethostname(start, 64) == 0 else { return nil }
            buffer[64] = 0
            let name = String(cString: start)
            return name.isEmpty ? nil : name
        }
    }
}
