import CPlatform
import Glibc

/// What a descriptor is watched for, and what was seen.
public struct Readiness: OptionSet, Sendable {
    /// epoll's bits.
    public let rawValue: UInt32

    /// Takes epoll's bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Something can be read, or accepted.
    public static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    /// There is room to write.
    public static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The other side is gone, or the descriptor failed. Always watched for.
    public static let hungUp = Readiness(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue | EPOLLRDHUP.rawValue)
}

/// Waits for many descriptors at once. A registration is named by an identity of the caller's choice that is never used
/// twice, so that a stale event of a closed and reused descriptor is told apart.
///
/// Source: `man 7 epoll`.
public struct Poller: ~Copyable {
    private let descriptor: Descriptor
    private var buffer: [epoll_event]

    /// Makes the kernel's side of it.
    public init() throws(SystemError) {
        descriptor = Descriptor(adopting: try checked("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
        buffer = [epoll_event](repeating: epoll_event(), count: 64)
    }

    /// Starts to watch a descriptor.
    public borrowing func add(_ number: Int32, for interest: Readiness, identity: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_ADD, number, interest, identity)
    }

    /// Watches the descriptor for something else from now on.
    public borrowing func change(_ number: Int32, to interest: Readiness, identity: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_MOD, number, interest, identity)
    }

    /// Stops watching. To be called before the descriptor is closed: a copy elsewhere would keep it registered.
    public borrowing func remove(_ number: Int32) {
        var event = epoll_event()
        _ = epoll_ctl(descriptor.number, EPOLL_CTL_DEL, number, &event)
    }

    /// Blocks until something happens or the time is over (nil: without limit; nothing came: empty).
    public mutating func wait(milliseconds: Int32?) throws(SystemError) -> [(identity: UInt64, seen: Readiness)] {
        let count = buffer.withUnsafeMutableBufferPointer {
            epoll_wait(descriptor.number, $0.baseAddress, Int32($0.count), milliseconds ?? -1)
        }
        if count < 0 {
            if errno == EINTR { return [] }
            throw SystemError("epoll_wait")
        }
        return buffer[0..<Int(count)].map { ($0.data.u64, Readiness(rawValue: $0.events)) }
    }

    private borrowing func control(
        _ operation: Int32, _ number: Int32, _ interest: Readiness, _ identity: UInt64
    ) throws(SystemError) {
        var event = epoll_event(events: interest.rawValue | EPOLLRDHUP.rawValue, data: epoll_data_t(u64: identity))
        try checked("epoll_ctl") { epoll_ctl(descriptor.number, operation, number, &event) }
    }
}
