import CPlatform
import Glibc

/// A counter that a thread raises and the event loop sees. Source: `man 2 eventfd`.
public struct Wakeup: ~Copyable, Sendable {
    /// Borrowed by the poller.
    public let descriptor: Descriptor

    /// Makes one that nobody has raised.
    public init() throws(SystemError) {
        let flags = Int32(EFD_CLOEXEC | EFD_NONBLOCK)
        descriptor = Descriptor(adopting: try checked("eventfd") { eventfd(0, flags) })
    }

    /// Wakes the loop. Any thread may call it.
    public borrowing func raise() {
        eventfd_write(descriptor.number, 1)
    }

    /// Takes the wake-ups back that have come.
    public borrowing func clear() {
        var count: eventfd_t = 0
        eventfd_read(descriptor.number, &count)
    }
}
