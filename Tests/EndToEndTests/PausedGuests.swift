import TestSupport

/// A guest was ended that was to be paused: it didn't stand still in the half second that it is given where others may have
/// its lease (`docs/decisions/pausing.md`). So it has to be on a machine that is busy, and says nothing of what a test is about.
struct NotPaused: Error {
    let what: String
}

/// Runs a test about paused guests, from the start again where one was ended instead. One that never is paused fails.
func withPausedGuests<Result>(_ body: () throws -> Result) throws -> Result {
    for attempt in 1...5 {
        do { return try body() } catch let failure as NotPaused {
            print("attempt \(attempt): \(failure.what) was ended instead of paused")
        }
    }
    do { return try body() } catch let failure as NotPaused {
        throw TestFailure("\(failure.what) is ended instead of paused, again and again")
    }
}

extension RunningProgram {
    /// Waits until a guest is paused under this supervisor.
    ///
    /// - Throws: `NotPaused` where it was ended.
    func waitUntilPaused(within seconds: Double, _ isPaused: () throws -> Bool) throws {
        try eventually(within: seconds, "\(self) being paused: \(errors)") {
            // It may end while it is asked, and one that was paused may have been ended since.
            if (try? isPaused()) == true { return true }
            if status == .exit(74) { throw NotPaused(what: "\(self): \(errors)") }
            return false
        }
    }
}

/// The same on a pair of hosts of its own.
func withPausedHosts(_ body: (TwoHosts) throws -> Void) throws {
    try withPausedGuests { try withTwoHosts { try body($0) } }
}
