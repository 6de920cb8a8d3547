import Glibc

/// The two clocks that the supervisor goes by.
public enum Clock {
    /// Seconds of CLOCK_MONOTONIC: the clock of deadlines, and of sanlock's renewals.
    public static func monotonicSeconds() -> Double {
        seconds(of: CLOCK_MONOTONIC)
    }

    /// Whole seconds and milliseconds since 1970, for people and records.
    public static func wallTime() -> (seconds: Int64, milliseconds: Int) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return (Int64(now.tv_sec), now.tv_nsec / 1_000_000)
    }

    private static func seconds(of clock: clockid_t) -> Double {
        var now = timespec()
        clock_gettime(clock, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }
}
