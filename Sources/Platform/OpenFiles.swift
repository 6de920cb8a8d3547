import CPlatform
import Glibc

/// What processes have open, as the kernel tells: evidence that nobody can talk away.
public enum OpenFiles {
    /// Whether a process below one has a file or device open in a way that it can write to it. Nil where nobody was seen to, and
    /// not all could be looked at (processes of other rights: CAP_SYS_PTRACE sees all). Of a path where nothing is any more, what
    /// was opened by that path counts. Blocks for as long as a look at the path does.
    ///
    /// Source: `man 5 proc_pid_fd`, `man 5 proc_pid_fdinfo` (`flags`, in octal).
    public static func areWritten(_ path: String, below process: ProcessIdentity) -> Bool? {
        var status = stat()
        let isThere = stat(path, &status) == 0
        if !isThere, errno != ENOENT { return nil }
        let processes = process.descendants()
        var sawAll = !processes.isEmpty
        for one in processes {
            let directory = "/proc/\(one.pid)/fd"
            guard let names = try? Files.names(in: directory) else {
                // It may have ended since.
                if one.isAlive { sawAll = false }
                continue
            }
            for name in names {
                let link = "\(directory)/\(name)"
                let isIt = isThere ? leads(link, to: status) : wasOpened(link, as: path)
                if isIt == false { continue }
                let flags = isIt == true ? flags(of: "/proc/\(one.pid)/fdinfo/\(name)") : nil
                if let flags, flags & O_ACCMODE != O_RDONLY { return true }
                // It may have been closed since.
                var left = stat()
                if flags == nil, lstat(link, &left) == 0 || errno != ENOENT { sawAll = false }
            }
        }
        return sawAll ? false : nil
    }

    // Nil: the kernel doesn't tell.
    private static func leads(_ link: String, to wanted: stat) -> Bool? {
        var found = stat()
        return stat(link, &found) == 0 ? isSame(found, wanted) : nil
    }

    private static func wasOpened(_ link: String, as path: String) -> Bool? {
        guard let target = Files.linkTarget(link) else { return nil }
        return target.hasSameBytes(as: path) || target.hasSameBytes(as: path + " (deleted)")
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
