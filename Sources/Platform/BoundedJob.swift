import CPlatform
import Glibc

/// A look at something that may hang for good, in a process of its own that can be given up: a thread that is blocked in
/// the kernel would keep its process from ending.
///
/// The process has none of the caller's descriptors and is killed when the caller ends. Only for a process of one thread.
public final class BoundedJob {
    /// What has become of it.
    public enum State: Equatable, Sendable {
        /// It is at it.
        case running
        /// It has said all that it had to say.
        case finished
        /// It ended before.
        case died
    }

    /// What has become of it, as of the last look.
    public private(set) var state = State.running
    /// Readable when the job has said something, or ended.
    public var number: Int32 { reader.number }
    private let reader: Descriptor
    private let pid: pid_t
    private var rest: [UInt8] = []
    private static let end: UInt8 = 4

    /// Starts it.
    ///
    /// - Parameter body: runs in the other process, and is given the way to say something: a line without its end.
    public init(_ body: (_ say: @escaping (String) -> Void) -> Void) throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        try checked("pipe") { pipe(&ends) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        reader = Descriptor(adopting: ends[0])
        let writer = ends[1]
        pid = leasehold_fork_alone(writer)
        guard pid == 0 else {
            let failure = errno
            close(writer)
            if pid < 0 { throw SystemError("fork", number: failure) }
            _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
            return
        }
        body { try? Files.write(Array($0.utf8) + [UInt8(ascii: "\n")], to: writer) }
        try? Files.write([BoundedJob.end, UInt8(ascii: "\n")], to: writer)
        leasehold_end_at_once(0)
    }

    deinit { giveUp() }

    /// The lines that it has said since the last look. Doesn't block.
    public func takeLines() -> [String] {
        var isOver = false
        var buffer = [UInt8](repeating: 0, count: 65536)
        while state == .running {
            let count = buffer.withUnsafeMutableBytes { (try? reader.read(into: $0)) ?? nil }
            guard let count else { break }
            if count == 0 {
                isOver = true
                break
            }
            rest += buffer[..<count]
        }
        var lines: [String] = []
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            if rest.first == BoundedJob.end {
                state = .finished
            } else {
                lines.append(String(decoding: rest[..<end], as: UTF8.self))
            }
            rest.removeFirst(end + 1)
        }
        if isOver, state == .running { state = .died }
        if state != .running { reap(WNOHANG) }
        return lines
    }

    /// Kills it, where it still is at it. One that is blocked in the kernel dies when it no longer is.
    public func giveUp() {
        if state == .running { kill(pid, SIGKILL) }
        // Long enough for one that can die.
        for _ in 0..<20 where !isReaped {
            if reap(WNOHANG) { break }
            usleep(1000)
        }
    }

    private var isReaped = false

    @discardableResult
    private func reap(_ options: Int32) -> Bool {
        if !isReaped { isReaped = waitpid(pid, nil, options) == pid }
        return isReaped
    }
}
