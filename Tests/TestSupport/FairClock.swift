/// Time, without what the machine took from everybody.
///
/// Whoever waits by it sleeps for milliseconds at a time. By how much such a sleep is too long, beyond a good measure, the
/// machine kept ordinary processes waiting: the one that is waited for as well. That doesn't count, up to a limit.
public struct FairClock: Sendable, CustomStringConvertible {
    private let startNanoseconds: UInt64
    /// What doesn't count, in seconds.
    public private(set) var lostSeconds = 0.0

    /// How much longer than asked for a sleep may be on a machine that has other work too.
    private static let usualSeconds = 0.05
    /// Beyond it everything counts: what keeps the whole machine from running may be what is tested.
    private static let mostLostSeconds = 3.0

    /// A clock that was started now, or at a value of `monotonicNanoseconds`.
    public init(since nanoseconds: UInt64 = monotonicNanoseconds()) {
        startNanoseconds = nanoseconds
    }

    /// What counts, in seconds.
    public var seconds: Double { secondsSince(startNanoseconds) - lostSeconds }

    /// Blocks the calling thread.
    public mutating func pause(milliseconds: Double) {
        let before = monotonicNanoseconds()
        TestSupport.pause(milliseconds: milliseconds)
        let excess = secondsSince(before) - milliseconds / 1000 - FairClock.usualSeconds
        if excess > 0, lostSeconds < FairClock.mostLostSeconds { lostSeconds += excess }
    }

    /// What counts and what doesn't, for messages.
    public var description: String {
        let milliseconds = [seconds, lostSeconds].map { Int(($0 * 1000).rounded()) }
        return "\(milliseconds[0]) ms"
            + (milliseconds[1] > 0 ? ", and \(milliseconds[1]) ms of a machine that stood still" : "")
    }
}
