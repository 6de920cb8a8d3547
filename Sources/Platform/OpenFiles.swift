import CPlatform
import Glibc

/// What processes have open, as the kernel tells: evidence that nobody can talk away.
public enum OpenFiles {
    /// Whether a process below one has a file or device open in a way that it can write to it; nil where the kernel doesn't tell
    /// (processes of other rights: CAP_SYS_PTRACE sees all). False of a path where nothing is. Blocks for as long as a look
    /// at the path does.
    ///
    /// Source: `man 5 proc_pid_fd`, `man 5 proc_pid_fdinfo` (`flags`, in octal).
    public static func areWritten(_ path: String, below process: ProcessIdentity) -> Bool? {
        var wanted = stat()
        if stat(path, &wanted) != 0 { return errno == ENOENT ? false : nil }
        for one in process.descendants() {
            let directory = "/proc/\(one.pid)/fd"
            guard let names = try? Files.names(in: directory) else {
                // It may have ended since.
                if one.isAlive { return nil }
                continue
            }
            for name in names {
                var found = stat()
                guard stat("\(directory)/\(name)", &found) == 0, isSame(found, wanted) else { continue }
                guard let flags = flags(of: "/proc/\(one.pid)/fdinfo/\(name)") else { return nil }
                if flags & O_ACCMODE != O_RDONLY { return true }
            }
        }
        return false
    }

    private static func isSame(_ found: stat, _ wanted: stat) -> Bool {
        guard found.st_mode & S_IFMT == wanted.st_mode & S_IFMT else { return false }
        if wanted.st_mode & S_IFMT == S_IFBLK { return found.st_rdev == wanted.st_rdev }
        return found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino
    }

    private static func flags(of path: String) -> Int32? {
        guard let bytes = try? Files.read(path, limit: 4096) else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "flags:".utf8) {
            let digits = line.dropFirst(6).filter { (0x30...0x37).contains($0) }
            return Int32(String(decoding: digits, as: UTF8.self), radix: 8)
        }
        return nil
    }
}
