import Platform

/// One thread's wait for descriptors and timers. It decides nothing: it says which of them is due.
struct EventLoop<Source, Timer: Hashable>: ~Copyable {
    private var poller: Poller
    private var sources: [UInt64: Source] = [:]
    private var lastIdentity: UInt64 = 0
    private var deadlines: [Timer: Double] = [:]

    init() throws(SystemError) {
        poller = try Poller()
    }

    /// Watches a descriptor, and returns the registration's identity.
    mutating func watch(_ number: Int32, for interest: Readiness, as source: Source) throws(SystemError) -> UInt64 {
        lastIdentity += 1
        try poller.add(number, for: interest, identity: lastIdentity)
        sources[lastIdentity] = source
        return lastIdentity
    }

    /// Watches a descriptor for something else.
    mutating func change(_ number: Int32, to interest: Readiness, identity: UInt64) {
        try? poller.change(number, to: interest, identity: identity)
    }

    /// Stops watching; to be called before the descriptor is closed.
    mutating func forget(_ number: Int32, identity: UInt64) {
        poller.remove(number)
        sources[identity] = nil
    }

    mutating func start(_ timer: Timer, seconds: Double) {
        deadlines[timer] = Clock.monotonicSeconds() + seconds
    }

    mutating func cancel(_ timer: Timer) {
        deadlines[timer] = nil
    }

    func isRunning(_ timer: Timer) -> Bool { deadlines[timer] != nil }

    /// Waits for what comes next. With no timer set it waits without limit, so that an idle guest costs nothing.
    mutating func next() throws(SystemError) -> [(source: Source, identity: UInt64, seen: Readiness)] {
        var milliseconds: Int32?
        if let earliest = deadlines.values.min() {
            let left = (earliest - Clock.monotonicSeconds()) * 1000
            milliseconds = Int32(max(0, min(left.rounded(.up), 3_600_000)))
        }
        let seen = try poller.wait(milliseconds: milliseconds)
        return seen.compactMap { event in sources[event.identity].map { ($0, event.identity, event.seen) } }
    }

    /// The timers that have run out, which are stopped by this.
    mutating func takeDue() -> [Timer] {
        if deadlines.isEmpty { return [] }
        let now = Clock.monotonicSeconds()
        let due = deadlines.filter { $0.value <= now }.map(\.key)
        for timer in due { deadlines[timer] = nil }
        return due
    }

    /// Starts a timer, or lets one that runs end sooner.
    mutating func hasten(_ timer: Timer, seconds: Double) {
        let deadline = Clock.monotonicSeconds() + seconds
        deadlines[timer] = min(deadlines[timer] ?? deadline, deadline)
    }
}
