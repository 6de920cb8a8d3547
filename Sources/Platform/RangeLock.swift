import CPlatform
import Glibc

/// A file of which every byte is a lock of its own, for processes of one host, and of many where the file is on storage
/// that they share.
///
/// The locks belong to the open file (`man 2 fcntl`, F_OFD_SETLK): another `RangeLock` on the same file conflicts with
/// this one, in the same process too; a forked child shares the locks, and they go with the last copy of the descriptor.
/// The bytes needn't exist: the file stays empty.
///
/// On NFS every call asks the server, and blocks for as long as it doesn't answer. Mounts with `nolock` or `local_lock`
/// keep the locks to one host, and a client that an NFSv4 server has not heard of for its lease time may lose them
/// unnoticed: they order what hosts do, they don't fence.
public struct RangeLock: ~Copyable, Sendable {
    private let file: Descriptor
    private let path: String

    /// The descriptor that the locks live by. It is closed by exec, not by fork. Borrowed: whoever wants to keep the
    /// locks beyond this value makes a copy of it.
    public var number: Int32 { file.number }

    /// Opens the file, which is made where it is missing. No lock is taken.
    ///
    /// - Parameter mode: permission bits of a new file, less the umask.
    /// - Throws: ELOOP where the path is a symbolic link; number 0 where it is something else than a plain file.
    public init(on path: String, mode: mode_t = 0o600) throws(SystemError) {
        // Not blocking, so that a FIFO or a device in its place can't hold us.
        let flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let opened = try Files.open(path, flags, mode: mode)
        let number = opened.number
        var status = stat()
        try checked("fstat", on: path) { fstat(number, &status) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError.notRegular(path) }
        self.path = path
        file = opened
    }

    /// Goes on with locks that this process took as another program.
    public init(adopting file: consuming Descriptor, on path: String) {
        self.file = file
        self.path = path
    }

    /// Locks one byte, unless a conflicting lock is held elsewhere. A byte that is locked here already changes its kind,
    /// or keeps it where false is returned.
    ///
    /// - Parameters:
    ///   - offset: the byte, from 0.
    ///   - exclusive: alone (a write lock), else together with others that aren't exclusive (a read lock).
    /// - Returns: false where a conflicting lock is held elsewhere.
    /// - Throws: what the kernel or the file's server says: ENOLCK where it has no locks to give, EINVAL for a negative
    ///   offset.
    public borrowing func tryLock(offset: Int64, exclusive: Bool) throws(SystemError) -> Bool {
        do throws(SystemError) {
            try lock(exclusive ? F_WRLCK : F_RDLCK, offset, count: 1)
            return true
        } catch {
            guard error.number == EAGAIN || error.number == EACCES else { throw error }
            return false
        }
    }

    /// Locks one byte like `tryLock`, and tries again until a point in time. Waiters aren't served in order; one that
    /// wants a byte alone may be overtaken by others that share it.
    ///
    /// - Parameter deadlineSeconds: of `Clock.monotonicSeconds`; one that has passed makes it a single try.
    /// - Returns: false where the lock wasn't had in time.
    public borrowing func lock(offset: Int64, exclusive: Bool, deadlineSeconds: Double) throws(SystemError) -> Bool {
        var pauseSeconds = 0.001
        while try !tryLock(offset: offset, exclusive: exclusive) {
            let left = deadlineSeconds - Clock.monotonicSeconds()
            guard left > 0 else { return false }
            usleep(UInt32(min(pauseSeconds, left) * 1e6) + 1)
            pauseSeconds = min(pauseSeconds * 2, 0.05)
        }
        return true
    }

    /// Unlocks one byte, for whoever has a copy of the descriptor too. One that isn't locked stays so.
    public borrowing func unlock(offset: Int64) {
        try? lock(F_UNLCK, offset, count: 1)
    }

    /// Unlocks every byte, as `unlock` does one.
    public borrowing func unlockAll() {
        try? lock(F_UNLCK, 0, count: 0)
    }

    /// Locks every byte alone, unless any is locked elsewhere.
    public borrowing func tryLockAll() throws(SystemError) -> Bool {
        do throws(SystemError) {
            try lock(F_WRLCK, 0, count: 0)
            return true
        } catch {
            guard error.number == EAGAIN || error.number == EACCES else { throw error }
            return false
        }
    }

    /// Whether the file is still the one at its path.
    public var isInPlace: Bool {
        var own = stat()
        var there = stat()
        return fstat(number, &own) == 0 && stat(path, &there) == 0 && own.st_ino == there.st_ino
            && own.st_dev == there.st_dev
    }

    /// Removes the file, by whoever has all of it locked.
    public borrowing func removeFile() {
        unlink(path)
    }

    /// The byte that stands for something, given by what tells it from others: its hash, folded and not cut, so that every
    /// bit counts. A lock's offset is signed and has to leave room for its end.
    public static func offset(of identity: some Sequence<UInt8>) -> Int64 {
        let hash = StableHash.fnv1a(identity)
        return Int64((hash ^ (hash >> 62)) & (1 << 62 - 1))
    }

    private borrowing func lock(_ kind: Int32, _ offset: Int64, count: Int64) throws(SystemError) {
        var lock = flock()
        lock.l_type = Int16(kind)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(offset)
        lock.l_len = off_t(count)
        try checked("fcntl", on: path) { fcntl(number, leasehold_set_lock, &lock) }
    }
}
