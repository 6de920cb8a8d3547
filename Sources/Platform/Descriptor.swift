import Glibc

/// A file descriptor with one owner, closed when the owner lets go of it.
public struct Descriptor: ~Copyable, Sendable {
    /// The descriptor's number, for a call that borrows it.
    public let number: Int32

    /// Takes over a descriptor that is open and that nobody else closes.
    public init(adopting number: Int32) {
        self.number = number
    }

    deinit {
        // A close that is interrupted has closed all the same (`man 2 close`).
        close(number)
    }

    /// Gives the descriptor up without closing it.
    public consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }

    /// Whether the other end of a connection is gone.
    public var hasHungUp: Bool {
        var wait = pollfd(fd: number, events: 0, revents: 0)
        return poll(&wait, 1, 0) > 0
    }

    /// Reads what is there, up to the buffer's size. Empty: end of file. Nil: nothing yet (a non-blocking descriptor).
    public borrowing func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int? {
        do throws(SystemError) {
            return try checked("read") { Glibc.read(number, buffer.baseAddress, buffer.count) }
        } catch {
            guard error.number == EAGAIN else { throw error }
            return nil
        }
    }

    /// Writes what the descriptor takes now. Nil: nothing now (a non-blocking descriptor).
    /// A reader that is gone is EPIPE: SIGPIPE is ignored in every process of ours.
    public borrowing func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int? {
        do throws(SystemError) {
            return try checked("write") { Glibc.write(number, bytes.baseAddress, bytes.count) }
        } catch {
            guard error.number == EAGAIN else { throw error }
            return nil
        }
    }
}

/// The descriptors that a process was started with.
public enum InheritedDescriptors {
    /// The numbers of the calling process's open descriptors, ascending. Blocks for no more than a look into /proc.
    public static func numbers() -> [Int32] {
        // The directory's own descriptor is among the names, and closed again by the time of the second look.
        ((try? Files.names(in: "/proc/self/fd")) ?? [])
            .compactMap { Int32($0) }.filter { fcntl($0, F_GETFD) >= 0 }.sorted()
    }

    /// Puts /dev/null, closed in children, where the caller left standard input, output or error closed, so that no
    /// descriptor of ours can end up there. The guest finds them closed as it would have without us.
    public static func plugStandardStreams() {
        for number in 0...2 as ClosedRange<Int32> where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is this one, as all below are open by now.
            let opened = open("/dev/null", O_RDWR | O_CLOEXEC)
            if opened >= 0, opened != number { Glibc.close(opened) }
        }
    }

    /// Keeps a descriptor from the programs that are executed from here on.
    public static func closeOnExec(_ number: Int32) {
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    }

    /// A copy of a descriptor under a number of its own, closed in children; nil where there is no room.
    public static func copyAside(_ number: Int32) -> Int32? {
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
        return copy < 0 ? nil : copy
    }

    /// Closes all of the given numbers but those kept.
    public static func close(_ numbers: [Int32], keeping kept: Set<Int32>) {
        for number in numbers where !kept.contains(number) { Glibc.close(number) }
    }

    /// Points standard input and output, and standard error if asked, at /dev/null.
    public static func silenceStandardStreams(includingError: Bool) {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { return }
        for number in 0...(includingError ? 2 : 1) as ClosedRange<Int32> { dup2(null, number) }
        if null > 2 { Glibc.close(null) }
    }

    /// The number that tells an open socket from every other, in /proc/PID/fd of whoever holds it.
    public static func inode(of number: Int32) -> UInt64? {
        var status = stat()
        return fstat(number, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// How many descriptors this process may have.
    public static func limit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }
}
