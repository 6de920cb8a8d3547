import CPlatform
import Glibc

/// One signal that came.
public struct SignalReceived: Sendable {
    /// Its number.
    public let number: Int32
    /// Whether the kernel sent it: a key on the terminal, which the guest got as well.
    public let isFromKernel: Bool
}

/// Signals as a descriptor to read. Source: `man 2 signalfd`.
public struct SignalReader: ~Copyable {
    /// Borrowed by the poller.
    public let descriptor: Descriptor

    /// Watches for the given signals, which the process has blocked.
    public init(_ numbers: [Int32]) throws(SystemError) {
        var mask = sigset_t()
        sigemptyset(&mask)
        for number in numbers { sigaddset(&mask, number) }
        let flags = Int32(SFD_CLOEXEC | SFD_NONBLOCK)
        descriptor = Descriptor(adopting: try checked("signalfd") { signalfd(-1, &mask, flags) })
    }

    /// The next signal that waits, or nil.
    public borrowing func next() -> SignalReceived? {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        let got = withUnsafeMutableBytes(of: &information) { Glibc.read(descriptor.number, $0.baseAddress, size) }
        guard got == size else { return nil }
        // SI_KERNEL is 0x80: the terminal driver's, among others.
        return SignalReceived(number: Int32(information.ssi_signo), isFromKernel: information.ssi_code == 0x80)
    }
}

/// The signals by which the lease manager's helper tells a supervisor something: real-time ones, which nobody else sends.
public enum LeaseNotice: CaseIterable, Sendable {
    /// A lockspace of its leases has failed, or is being left: look.
    case look
    /// Somebody asks for one of its leases.
    case requested

    /// The signal's number. The first ones are the C library's own.
    public var signal: Int32 {
        switch self {
        case .look: __libc_current_sigrtmin() + 4
        case .requested: __libc_current_sigrtmin() + 5
        }
    }

    /// Tells a supervisor, if the process of this pid runs the same program as this one.
    public func send(to pid: Int32) throws(SystemError) {
        guard let process = ProcessIdentity(runningAs: pid) else { throw SystemError("kill", number: ESRCH) }
        let isSupervisor = ["exe", "comm"].contains { name in
            let one = LeaseNotice.text("/proc/\(pid)/\(name)")
            return one != nil && one == LeaseNotice.text("/proc/self/\(name)")
        }
        guard isSupervisor, process.signal(signal) else { throw SystemError("kill", number: ESRCH) }
    }

    private static func text(_ path: String) -> String? {
        Files.linkTarget(path)
            ?? (try? Files.read(path, limit: 64)).map { String(decoding: $0, as: UTF8.self) }
    }
}
