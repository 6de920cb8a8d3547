import TestSupport

/// How long a guest has had to die. It begins when a daemon is gone that was to be: one that was killed has requests under way
/// to wait for, and its sockets stay open until then.
struct KillClock: CustomStringConvertible {
    private let strike: KillStrike
    private var clock: FairClock
    private var daemonSeconds = 0.0

    private static let mostDaemonSeconds = 5.0

    init(_ strike: KillStrike) {
        self.strike = strike
        clock = FairClock(since: strike.nanoseconds)
    }

    /// How many seconds count by now.
    mutating func look() -> Double {
        guard strike.endsDaemon, daemonSeconds < KillClock.mostDaemonSeconds, strike.daemon?.exists == true else {
            return clock.seconds
        }
        daemonSeconds = secondsSince(strike.nanoseconds)
        clock = FairClock()
        return 0
    }

    mutating func pause() { clock.pause(milliseconds: 1) }

    var description: String {
        "\(clock)" + (strike.endsDaemon ? "; the daemon took \(Int(daemonSeconds * 1000)) ms to end" : "")
    }
}
