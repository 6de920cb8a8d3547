import CPlatform
import Glibc

/// The caller's signals as they were at the start, for the guest to get back.
public struct CallerSignals: Sendable {
    let value: leasehold_signals

    /// Takes all signals over: reads what the caller set, then blocks every signal and resets every disposition (but
    /// SIGPIPE's, which is ignored). To be called before any thread is started.
    ///
    /// A signalfd never shows an ignored signal, and an ignored SIGCHLD loses exit statuses, hence the reset.
    public static func takeOver() -> CallerSignals {
        let signals = CallerSignals(value: leasehold_signals_read())
        leasehold_signals_take()
        return signals
    }

    /// Whether the caller ignores a signal.
    public func ignores(_ signal: Int32) -> Bool {
        value.ignored & (1 << UInt64(signal - 1)) != 0
    }
}

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

/// The process and its own end.
public enum OwnProcess {
    /// Raises a signal with its default disposition: ends the process, or stops it and returns when it was continued.
    public static func raise(_ signal: Int32) {
        leasehold_signal_self(signal)
    }

    /// Dies of a signal as another process did, without a core file of its own.
    public static func die(of signal: Int32) -> Never {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        leasehold_signal_self(signal)
        exit(128 + signal)
    }

    /// Goes on in a session of its own, while the process that the caller waits for waits in front. See
    /// `leasehold_detach` in `keeper.h`.
    ///
    /// - Returns: the descriptor to write to once the guest runs; its closing lets the caller go on.
    public static func detach() throws(SystemError) -> Int32 {
        var front: Int32 = -1
        try checked("fork") { leasehold_detach(&front) }
        return front
    }

    /// Makes orphans below this process its children. Source: `man 2 PR_SET_CHILD_SUBREAPER`.
    public static func becomeSubreaper() throws(SystemError) {
        try checked("prctl") { leasehold_become_subreaper() }
    }

    /// Kills and reaps the process's children, one pass. Returns how many are left, nil where /proc can't tell.
    public static func killChildren() -> Int? {
        let left = leasehold_kill_children()
        return left < 0 ? nil : Int(left)
    }

    /// The wait status of a child that has ended, which is reaped by this; nil while it lives.
    public static func reap(_ pid: Int32) -> Int32? {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid ? status : nil
    }
}
