import CPlatform
import Glibc

/// A lock on a file that tells whether a process lives, and which.
///
/// The lock belongs to the open file (`man 2 fcntl`, F_OFD_SETLK), so that a look by anyone, the holder included, can't
/// drop it. A forked child shares it until it closes its copy; the keeper does so at once.
public struct LifeLock: ~Copyable {
    private let file: Descriptor

    /// Takes the lock on a file, which is made where it is missing, and writes the process's pid into it.
    ///
    /// - Returns: nil where another process holds it.
    public init?(on path: String) throws(SystemError) {
        let opened = try Files.open(path, O_RDWR | O_CREAT, mode: 0o644)
        let number = opened.number
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        let failure = fcntl(number, leasehold_set_lock, &lock) == 0 ? 0 : errno
        guard failure == 0 || failure == EAGAIN || failure == EACCES else {
            throw SystemError("fcntl", on: path, number: failure)
        }
        guard failure == 0 else { return nil }
        try checked("ftruncate", on: path) { ftruncate(number, 0) }
        try Files.write(Array("\(getpid())\n".utf8), to: number, named: path)
        file = opened
    }

    /// Goes on with a lock that this process took as another program.
    public init(adopting file: consuming Descriptor) {
        self.file = file
    }

    /// The descriptor that the lock lives by. Borrowed.
    public var number: Int32 { file.number }

    /// The pid of the process that holds the lock, as it wrote it; nil where nobody does, or there is no such file.
    /// 0: it has not written it yet.
    public static func holder(of path: String) -> Int32? {
        guard isHeld(path) else { return nil }
        let text = (try? Files.read(path, limit: 32)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return Int32(text.prefix { $0 != "\n" }) ?? 0
    }

    /// Whether some process holds the lock. Where it can't be told, it counts as held: nothing may be taken for dead that
    /// could live.
    public static func isHeld(_ path: String) -> Bool {
        let file: Descriptor
        do throws(SystemError) { file = try Files.open(path, O_RDONLY | O_NONBLOCK) } catch {
            return error.number != ENOENT && error.number != ENOTDIR
        }
        var lock = flock()
        // A read-only descriptor may ask for a write lock, it can't take one.
        lock.l_type = Int16(F_WRLCK)
        return fcntl(file.number, leasehold_get_lock, &lock) != 0 || lock.l_type != Int16(F_UNLCK)
    }
}

/// A short critical section between processes of one owner: an advisory lock on a directory that nobody else can open.
public struct SectionLock: ~Copyable {
    private let directory: Descriptor

    /// Waits for the lock; holders keep it for milliseconds.
    ///
    /// - Throws: EWOULDBLOCK where it wasn't had in time.
    public init(on path: String, waitingSeconds: Double) throws(SystemError) {
        let opened = try Files.open(path, O_RDONLY | O_DIRECTORY)
        let deadline = Clock.monotonicSeconds() + waitingSeconds
        while flock(opened.number, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR, Clock.monotonicSeconds() < deadline else {
                throw SystemError("flock", on: path)
            }
            usleep(1000)
        }
        directory = opened
    }
}
