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
        /// Something that can be read at an offset, without waiting for anybody.
        var holdsBytes: Bool { isRegular || isBlockDevice }
        /// Bytes, of a plain file.
        public var size: Int64 { Int64(status.st_size) }
        /// The owner.
        public var user: UInt32 { status.st_uid }
        /// The group.
        public var group: UInt32 { status.st_gid }
        /// Permission bits.
        public var mode: UInt32 { status.st_mode & 0o7777 }
        /// Which file of its file system it is.
        public var inode: UInt64 { UInt64(status.st_ino) }
        /// When the file system last saw content or attributes change, in seconds by that file system's clock.
        public var changedSeconds: Double { Double(status.st_ctim.tv_sec) + Double(status.st_ctim.tv_nsec) / 1e9 }
    }

    /// What tells a file from its next version under the same name: `DEVICE:INODE:SIZE:SECONDS.NANOSECONDS` of the last
    /// write.
    public static func version(of path: String) throws(SystemError) -> String {
        var status = stat()
        try checked("stat", on: path) { stat(path, &status) }
        let written = status.st_mtim
        return "\(status.st_dev):\(status.st_ino):\(status.st_size):\(written.tv_sec).\(written.tv_nsec)"
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

    /// Opens a file with the rights of another user and group, so that what is made belongs to them from its beginning
    /// where the file system forbids giving it to them (`man 2 setfsuid`). For the calling thread alone, and only root
    /// can.
    public static func open(
        _ path: String, _ flags: Int32, mode: mode_t, asUser user: UInt32, group: UInt32
    ) throws(SystemError) -> Descriptor {
        let own = (user: geteuid(), group: getegid())
        // The group first and back last: without root's file rights the group can't be changed.
        leasehold_set_file_group(group)
        leasehold_set_file_user(user)
        defer {
            leasehold_set_file_user(own.user)
            leasehold_set_file_group(own.group)
        }
        return try open(path, flags, mode: mode)
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
    /// - Parameters:
    ///   - mode: permission bits of the new file, whatever the umask.
    ///   - name: where it is written aside, if not beside its place.
    public static func writeWhole(
        _ bytes: [UInt8], to path: String, mode: mode_t = 0o644, aside name: String? = nil
    ) throws(SystemError) {
        // Nobody can have put something there under a name that nobody can know.
        let aside = name ?? "\(path).\(getpid()).\(UInt32.random(in: 0...(.max))).new"
        do throws(SystemError) {
            let file = try open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
            try checked("fchmod", on: aside) { fchmod(file.number, mode) }
            try write(bytes, to: file.number, named: aside)
            try checked("rename", on: path) { Glibc.rename(aside, path) }
        } catch {
            unlink(aside)
            throw error
        }
    }

    /// Waits until what was written to a file or device, by whomever, is on its storage. Blocks for as long as that does. A
    /// path where nothing is, or that has no storage behind it, is left.
    ///
    /// Source: `man 2 fdatasync`.
    public static func settle(_ path: String) throws(SystemError) {
        let file: Descriptor
        do throws(SystemError) { file = try open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY) } catch {
            if [ENOENT, ENOTDIR, ENXIO].contains(error.number) { return }
            throw error
        }
        if fdatasync(file.number) != 0, errno != EINVAL, errno != EROFS {
            throw SystemError("fdatasync", on: path)
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

    /// Puts a file under a new name, unless that is taken.
    ///
    /// In one step where the file system has one (`man 2 rename`, RENAME_NOREPLACE); on others, NFS among them, the file
    /// has both names for a moment.
    /// - Returns: false where the name is taken; the file keeps its own.
    public static func rename(_ path: String, toFree new: String) throws(SystemError) -> Bool {
        do throws(SystemError) {
            try checked("rename", on: new) { leasehold_rename_to_free(path, new) }
            return true
        } catch {
            if error.number == EEXIST { return false }
            guard error.number == EINVAL || error.number == ENOSYS || error.number == EOPNOTSUPP else { throw error }
        }
        do throws(SystemError) {
            try checked("link", on: new) { Glibc.link(path, new) }
        } catch {
            guard error.number == EEXIST else { throw error }
            return false
        }
        try remove(path)
        return true
    }

    /// Gives a file a second name, which must be free.
    public static func link(_ path: String, as new: String) throws(SystemError) {
        try checked("link", on: new) { Glibc.link(path, new) }
    }

    /// Puts a file in another's place, or under a new name, in one step.
    public static func rename(_ path: String, to new: String) throws(SystemError) {
        try checked("rename", on: new) { Glibc.rename(path, new) }
    }

    /// What an open file is.
    public static func kind(of file: borrowing Descriptor) throws(SystemError) -> Kind {
        var status = stat()
        let number = file.number
        try checked("fstat") { fstat(number, &status) }
        return Kind(status: status)
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

    /// Whether this process may execute what is at a path.
    public static func isExecutable(_ path: String) -> Bool {
        access(path, X_OK) == 0
    }

    /// Writes a file's first bytes past every cache and through to its storage; a multiple of 4096.
    public static func writeDirect(_ bytes: [UInt8], to path: String) throws(SystemError) {
        let flags = O_WRONLY | O_SYNC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW
        let file = try open(path, flags | leasehold_o_direct)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 4096)
        defer { buffer.deallocate() }
        buffer.copyBytes(from: bytes)
        let written = try checked("pwrite", on: path) { pwrite(file.number, buffer.baseAddress, bytes.count, 0) }
        guard written == bytes.count else { throw SystemError("pwrite", on: path, number: EIO) }
    }

    private static func openForReading(
        _ path: String, _ user: UInt32?, _ group: UInt32?
    ) throws(SystemError) -> Descriptor {
        let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY
        if let user, let group {
            return try open(path, flags | leasehold_o_direct, mode: 0, asUser: user, group: group)
        }
        do throws(SystemError) { return try open(path, flags | leasehold_o_direct) } catch {
            guard error.number == EINVAL else { throw error }
        }
        return try open(path, flags)
    }

    /// Whether a file can be written directly in pieces of so many bytes, as it can on a device with sectors of that size.
    /// Tried by writing zeros behind the first such piece: a read of what was never written may ask no device. A file
    /// system without direct access has no such limit.
    public static func writesDirectly(_ path: String, granularityBytes: Int) -> Bool {
        guard let file = try? open(path, O_WRONLY | leasehold_o_direct | O_NONBLOCK) else { return true }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: granularityBytes, alignment: 4096)
        defer { buffer.deallocate() }
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        return pwrite(file.number, buffer.baseAddress, granularityBytes, off_t(granularityBytes)) >= 0
    }

    /// Bytes read past every cache, for what other hosts write. Offset and count are multiples of 4096; fewer come where
    /// the file ends. A file system without such reads gives what its cache has.
    ///
    /// - Parameters:
    ///   - user: with whose rights, and `group`'s; nil: this process's own.
    ///   - group: see `user`.
    public static func readDirect(
        _ path: String, offset: Int64, count: Int, asUser user: UInt32? = nil, group: UInt32? = nil
    ) throws(SystemError) -> [UInt8] {
        let file = try openForReading(path, user, group)
        guard try kind(of: file).holdsBytes else { throw SystemError.notRegular(path) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
        defer { buffer.deallocate() }
        var used = 0
        while used < count {
            let got = try checked("pread", on: path) {
                pread(file.number, buffer.baseAddress.map { $0 + used }, count - used, off_t(offset) + off_t(used))
            }
            used += got
            // The end, or as good as: what follows a partial block can't be read at its own offset.
            if got == 0 || used % 512 != 0 { break }
        }
        return Array(buffer[0..<used])
    }
}
