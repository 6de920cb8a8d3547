import CPlatform
import Glibc

/// A file without a name, for trying what its file system can do. Nothing is left of it, however the process ends; only
/// where the file system has no such files it has a name for the moment between two calls.
public struct ProbeFile: ~Copyable {
    private let file: Descriptor
    /// The same file, opened once more.
    private let second: Descriptor

    /// Makes one in a directory. Blocks for as long as the file system doesn't answer.
    ///
    /// - Parameter name: its path where it needs one.
    public static func make(in directory: String, name: String) throws(SystemError) -> ProbeFile {
        do throws(SystemError) {
            let file = try Files.open(directory, O_RDWR | leasehold_o_unnamed, mode: 0o600)
            let second = try Files.open("/proc/self/fd/\(file.number)", O_RDWR)
            return ProbeFile(file: file, second: second)
        } catch {
            guard [EOPNOTSUPP, EISDIR, EINVAL].contains(error.number) else { throw error }
        }
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_BLOCK, &all, &before)
        defer { sigprocmask(SIG_SETMASK, &before, nil) }
        let file = try Files.open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        defer { try? Files.remove(name) }
        let second = try Files.open(name, O_RDWR)
        return ProbeFile(file: file, second: second)
    }

    /// Writes 4096 bytes past every cache and through to the storage, and reads them back the same way.
    ///
    /// - Throws: EINVAL where the file system has no direct access; EIO where something else comes back.
    public borrowing func tryDirectAccess() throws(SystemError) {
        let number = file.number
        try checked("fcntl") { fcntl(number, F_SETFL, leasehold_o_direct) }
        let count = 4096
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: count)
        defer { buffer.deallocate() }
        buffer.initializeMemory(as: UInt8.self, repeating: 0x5a)
        let written = try checked("pwrite") { pwrite(number, buffer.baseAddress, count, 0) }
        try checked("fdatasync") { fdatasync(number) }
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        let read = try checked("pread") { pread(number, buffer.baseAddress, count, 0) }
        guard written == count, read == count, buffer.allSatisfy({ $0 == 0x5a }) else {
            throw SystemError("pread", number: EIO)
        }
    }

    /// Whether a lock on it keeps another one away.
    public borrowing func tryLocks() throws(SystemError) -> Bool {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_len = 1
        let number = file.number
        try checked("fcntl") { fcntl(number, leasehold_set_lock, &lock) }
        if fcntl(second.number, leasehold_set_lock, &lock) == 0 { return false }
        guard errno == EAGAIN || errno == EACCES else { throw SystemError("fcntl") }
        return true
    }
}
