import CPlatform
import Glibc

/// Files and directories. Every call may block for as long as the file system does.
public enum Files {
    /// What is at a path.
    public struct Kind: Sendable {
        let status: stat
        /// A directory.
        public var isDirectory: Bool { status.st_mode & S_IFMT == S_IFDIR }
        /// A plain file.
        public var isRegular: Bool { status.st_mode & S_IFMT == S_IFREG }
        /// A block device.
        public var isBlockDevice: Bool { status.st_mode & S_IFMT == S_IFBLK }
        /// Bytes, of a plain file.
        public var size: Int64 { Int64(status.st_size) }
        /// The owner.
        public var user: UInt32 { status.st_uid }
        /// Permission bits.
        public var mode: UInt32 { status.st_mode & 0o7777 }
    }

    /// Looks at a path, following symbolic links; nil where nothing is.
    public static func kind(of path: String) throws(SystemError) -> Kind? {
        var status = stat()
        do throws(SystemError) {
            try checked("stat", on: path) { stat(path, &status) }
            return Kind(status: status)
        } catch {
            guard error.number == ENOENT else { throw error }
            return nil
        }
    }

    /// Opens a file close-on-exec.
    public static func open(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(SystemError) -> Descriptor {
        Descriptor(adopting: try checked("open", on: path) { Glibc.open(path, flags | O_CLOEXEC, mode) })
    }

    /// The bytes of a regular file, up to a limit; a longer one is cut there. What can't be read twice, a pipe or a
    /// terminal, is an error.
    public static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
        let file = try open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        var status = stat()
        let number = file.number
        try checked("fstat", on: path) { fstat(number, &status) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError.notRegular(path) }
        var bytes = [UInt8](repeating: 0, count: min(limit, 65536))
        var used = 0
        while used < limit {
            if used == bytes.count { bytes.append(contentsOf: repeatElement(0, count: min(bytes.count, limit - used))) }
            var failure: SystemError?
            let got = bytes.withUnsafeMutableBytes { buffer -> Int in
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[used...])
                do throws(SystemError) { return try file.read(into: rest) ?? 0 } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw SystemError(failure.call, on: path, number: failure.number) }
            if got == 0 { break }
            used += got
        }
        return Array(bytes[0..<used])
    }

    /// The names in a directory but `.` and `..`, in the file system's order.
    public static func names(in path: String) throws(SystemError) -> [String] {
        guard let directory = opendir(path) else { throw SystemError("opendir", on: path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Makes one directory. One that is there already stays as it is.
    public static func makeDirectory(_ path: String, mode: mode_t) throws(SystemError) {
        do throws(SystemError) {
            try checked("mkdir", on: path) { mkdir(path, mode) }
        } catch {
            guard error.number == EEXIST else { throw error }
        }
    }

    /// Makes a directory and those above it that are missing.
    public static func makeDirectories(_ path: String, mode: mode_t) throws(SystemError) {
        do throws(SystemError) {
            try makeDirectory(path, mode: mode)
        } catch {
            guard error.number == ENOENT else { throw error }
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { throw error }
            try makeDirectories(String(path[..<slash]), mode: 0o755)
            try makeDirectory(path, mode: mode)
        }
    }

    /// Puts a file whole under its name: written aside in the same directory, then renamed over what is there.
    ///
    /// - Parameter mode: permission bits of the new file, whatever the umask.
    public static func writeWhole(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(SystemError) {
        // Nobody can have put something there under a name that nobody can know.
        let aside = "\(path).\(getpid()).\(UInt32.random(in: 0...(.max))).new"
        do throws(SystemError) {
            let file = try open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
            try checked("fchmod", on: aside) { fchmod(file.number, mode) }
            try write(bytes, to: file.number, named: aside)
            try checked("rename", on: path) { rename(aside, path) }
        } catch {
            unlink(aside)
            throw error
        }
    }

    /// Whether a file can be read now, or is known not to be there.
    public static func isReadableOrMissing(_ path: String) -> Bool {
        do throws(SystemError) {
            _ = try read(path, limit: 1)
            return true
        } catch {
            return error.number == ENOENT || error.number == 0
        }
    }

    /// Whether a line can be written without waiting for a reader.
    public static func hasRoom(_ number: Int32) -> Bool {
        var wait = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
        return poll(&wait, 1, 0) == 1 && wait.revents & Int16(POLLOUT) != 0
    }

    /// Writes all bytes to a blocking descriptor.
    public static func write(_ bytes: [UInt8], to number: Int32, named name: String? = nil) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            done += try checked("write", on: name) {
                bytes.withUnsafeBytes { Glibc.write(number, $0.baseAddress.map { $0 + done }, bytes.count - done) }
            }
        }
    }

    /// Removes a file; one that is not there is as good as removed.
    public static func remove(_ path: String) throws(SystemError) {
        do throws(SystemError) {
            try checked("unlink", on: path) { unlink(path) }
        } catch {
            guard error.number == ENOENT else { throw error }
        }
    }

    /// Removes an empty directory, if it is there.
    public static func removeDirectory(_ path: String) throws(SystemError) {
        do throws(SystemError) {
            try checked("rmdir", on: path) { rmdir(path) }
        } catch {
            guard error.number == ENOENT else { throw error }
        }
    }

    /// Gives a name to a file that has one already, unless the new name is taken.
    ///
    /// - Returns: false where the name is taken.
    public static func link(_ existing: String, as path: String) throws(SystemError) -> Bool {
        do throws(SystemError) {
            try checked("link", on: path) { Glibc.link(existing, path) }
            return true
        } catch {
            guard error.number == EEXIST else { throw error }
            return false
        }
    }

    /// Changes an open file's owner and group; nil leaves one as it is.
    public static func changeOwner(
        of file: borrowing Descriptor, user: UInt32?, group: UInt32?
    ) throws(SystemError) {
        let number = file.number
        try checked("fchown") { fchown(number, user ?? UInt32.max, group ?? UInt32.max) }
    }

    /// Changes an open file's permission bits.
    public static func changeMode(of file: borrowing Descriptor, to mode: mode_t) throws(SystemError) {
        let number = file.number
        try checked("fchmod") { fchmod(number, mode) }
    }

    /// Where a symbolic link points; nil where there is none.
    public static func linkTarget(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let size = readlink(path, start, buffer.count)
            return size < 0 ? nil : String(decoding: UnsafeRawBufferPointer(start: start, count: size), as: UTF8.self)
        }
    }

    /// Whether this process may write and search the directory. Source: `man 2 access`.
    public static func isWritableDirectory(_ path: String) -> Bool {
        access(path, W_OK | X_OK) == 0
    }

    /// Writes a file's content, or a directory's names, through to its storage.
    public static func synchronize(_ path: String) throws(SystemError) {
        let file = try open(path, O_RDONLY)
        try checked("fsync", on: path) { fsync(file.number) }
    }

    /// Bytes read past every cache, for what other hosts write. Offset and count are multiples of 4096.
    public static func readDirect(_ path: String, offset: Int64, count: Int) throws(SystemError) -> [UInt8] {
        let file = try open(path, O_RDONLY | leasehold_o_direct | O_NONBLOCK)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
        defer { buffer.deallocate() }
        let got = try checked("pread", on: path) { pread(file.number, buffer.baseAddress, count, off_t(offset)) }
        return Array(buffer[0..<got])
    }
}
