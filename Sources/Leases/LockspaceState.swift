/// What is known of a lockspace, and when its time runs out.
///
/// sanlock's times follow from the io timeout T (`timeouts.c`): a renewal every 2T; after 8T without one the lockspace has
/// failed; its grace later (40 s) it kills what still holds leases in it; at 8T + 60 s other hosts may take them.
public struct LockspaceState: Equatable, Sendable {
    /// Its name.
    public var name: String
    /// This host in it.
    public var hostId: UInt64
    /// This host's name in it.
    public var hostName: String?
    /// Its io timeout, in seconds.
    public var ioTimeoutSeconds: Double
    /// How long the daemon leaves those it has told, in seconds.
    public var graceSeconds: Double
    /// A renewal that is certain, in seconds of the monotonic clock; nil: none was seen yet. The daemon shows one when it has
    /// begun the next, so while all is well there is a later one (docs/decisions/watching-renewals.md).
    public var shownRenewalSeconds: Double?

    /// Says what is known.
    public init(
        name: String, hostId: UInt64, hostName: String?, ioTimeoutSeconds: Double = 10, graceSeconds: Double = 40,
        shownRenewalSeconds: Double? = nil
    ) {
        self.name = name
        self.hostId = hostId
        self.hostName = hostName
        self.ioTimeoutSeconds = ioTimeoutSeconds
        self.graceSeconds = graceSeconds
        self.shownRenewalSeconds = shownRenewalSeconds
    }

    /// After how long a renewal that is shown has been replaced by the next, where all is well: two periods, each up to one
    /// and a half seconds longer than it should be, and the second in which the daemon looks.
    private var freshSeconds: Double { 4 * ioTimeoutSeconds + 4 }

    /// How long ago the last renewal was, as far as it can be told.
    public func renewalAgeSeconds(now: Double) -> Double? {
        guard let shownRenewalSeconds else { return nil }
        let age = max(0, now - shownRenewalSeconds)
        return age <= freshSeconds ? max(0, age - 2 * ioTimeoutSeconds) : age
    }

    /// Whether the next renewal should have shown by now.
    public func isOverdue(now: Double) -> Bool {
        shownRenewalSeconds.map { now - $0 > freshSeconds } ?? false
    }

    /// The same where the daemon has just said that it hasn't given the lockspace up: then it renewed it within its limit.
    public func notFailed(now: Double) -> LockspaceState {
        var state = self
        state.shownRenewalSeconds = shownRenewalSeconds.map { max($0, now - 8 * ioTimeoutSeconds) }
        return state
    }

    /// In how many seconds the daemon gives the lockspace up, if no renewal succeeds until then.
    public func failsInSeconds(now: Double) -> Double? {
        renewalAgeSeconds(now: now).map { max(0, 8 * ioTimeoutSeconds - $0) }
    }

    /// In how many seconds another host may take this one's leases, if no renewal succeeds until then.
    public func othersMayTakeInSeconds(now: Double) -> Double? {
        renewalAgeSeconds(now: now).map { max(0, 8 * ioTimeoutSeconds + 60 - $0) }
    }

    /// The times that a guest's supervisor goes by.
    public func deadlines(now: Double) -> LeaseDeadlines {
        // Where nothing was seen yet, the leases were taken a moment ago.
        let age = now - (shownRenewalSeconds ?? now - 2 * ioTimeoutSeconds)
        let period = 2 * ioTimeoutSeconds
        // Once a period; and when the next renewal should show, so that one that is merely due isn't taken for one that fails.
        let next = shownRenewalSeconds == nil ? period : min(period, 2 * period + 3 - age)
        // A daemon that says nothing may have renewed twice since, and been seen doing neither.
        let verdict = min(12.5 * ioTimeoutSeconds + 4, 8 * ioTimeoutSeconds + max(graceSeconds - 15, graceSeconds / 2))
        return LeaseDeadlines(
            nextLookSeconds: max(next, ioTimeoutSeconds / 2),
            warningSeconds: max(0, 3 * period + 2 - age),
            failureSeconds: max(0, verdict - age),
            endSeconds: max(0, 8 * ioTimeoutSeconds + graceSeconds - LockspaceState.marginSeconds - age))
    }

    /// The longest time between two looks at leases, in seconds.
    public static func longestLookSeconds(ioTimeoutSeconds: Double) -> Double { 2 * ioTimeoutSeconds + 1 }

    /// How long before the daemon's SIGKILL the guest's death is certain. Killing takes milliseconds.
    private static let marginSeconds = 5.0
}

/// When something has to be done about leases whose lockspace isn't renewed. All in seconds from when it was worked out.
public struct LeaseDeadlines: Equatable, Sendable {
    /// When to look again.
    public var nextLookSeconds: Double
    /// When to warn.
    public var warningSeconds: Double
    /// When the leases count as lost, whether or not the daemon has said so: later than its own limit, which is the rule.
    public var failureSeconds: Double
    /// When the guest must not write any more: before the daemon kills the supervisor, and long before another host may
    /// take the leases.
    public var endSeconds: Double

    /// States all of it.
    public init(nextLookSeconds: Double, warningSeconds: Double, failureSeconds: Double, endSeconds: Double) {
        self.nextLookSeconds = nextLookSeconds
        self.warningSeconds = warningSeconds
        self.failureSeconds = failureSeconds
        self.endSeconds = endSeconds
    }

    /// The earlier one of each.
    public func earliest(_ other: LeaseDeadlines) -> LeaseDeadlines {
        LeaseDeadlines(
            nextLookSeconds: min(nextLookSeconds, other.nextLookSeconds),
            warningSeconds: min(warningSeconds, other.warningSeconds),
            failureSeconds: min(failureSeconds, other.failureSeconds), endSeconds: min(endSeconds, other.endSeconds))
    }
}
