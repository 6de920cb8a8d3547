import Foundation

/// CLOCK_MONOTONIC in nanoseconds: the clock of ProbeGuest's records and of sanlock's timestamps.
public func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// Seconds from `earlier` (a value of `monotonicNanoseconds`) until now.
public func secondsSince(_ earlier: UInt64) -> Double {
    let now = monotonicNanoseconds()
    return now >= earlier ? Double(now - earlier) / 1e9 : -Double(earlier - now) / 1e9
}

/// How many seconds of a processor `body` takes on the calling thread. What a test waits for its turn beside all others (a time
/// limit of Swift Testing's counts that too) and what the machine does meanwhile isn't part of it.
public func processorSeconds(of body: () throws -> Void) rethrows -> Double {
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let before = now()
    try body()
    return now() - before
}

/// Blocks the calling thread; `Task.sleep` is not for synchronous tests.
public func pause(milliseconds: Double) {
    usleep(UInt32(milliseconds * 1000))
}

/// Waits until `condition` holds, looking every `milliseconds`. Blocks the calling thread. Time is what a `FairClock` counts.
///
/// - Returns: how long it took, in seconds.
/// - Throws: `TestFailure` after `seconds`; whatever `condition` throws.
@discardableResult
public func eventually(
    within seconds: Double, every milliseconds: Double = 2, _ what: @autoclosure () -> String = "the condition",
    file: String = #fileID, line: Int = #line, condition: () throws -> Bool
) throws -> Double {
    var clock = FairClock()
    while true {
        if try condition() { return clock.seconds }
        if clock.seconds > seconds {
            throw TestFailure("\(what()) did not come true within \(seconds) s (\(file):\(line); \(clock))")
        }
        clock.pause(milliseconds: milliseconds)
    }
}

/// Like `eventually`, for something that has to be found: returns the first value that isn't nil.
public func eventuallyFound<Value>(
    within seconds: Double, every milliseconds: Double = 2, _ what: @autoclosure () -> String = "the value",
    file: String = #fileID, line: Int = #line, find: () throws -> Value?
) throws -> Value {
    var found: Value?
    try eventually(within: seconds, every: milliseconds, what(), file: file, line: line) {
        found = try find()
        return found != nil
    }
    guard let found else { throw TestFailure("\(what()) was not found") }
    return found
}
