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
