import Leases

// The story of a guest goes on in another program, where it is at rest.
extension Supervision {
    /// Where a guest is in its life, while nothing is under way.
    public struct Carried: Equatable, Sendable {
        /// How it stands still; nil: it runs.
        public var paused: Paused?
        /// Whether the connection that the leases hang on stands.
        public var isConnected: Bool
        /// Whether everybody was told that the leases are lost.
        public var isLossAnnounced: Bool
        /// Whether it has any lease to look after.
        public var isLeased: Bool
        /// From the moment at which leases that aren't renewed count as lost to the one at which the guest's death is certain.
        public var endSeconds: Double

        /// States all of it.
        public init(
            paused: Paused?, isConnected: Bool, isLossAnnounced: Bool, isLeased: Bool, endSeconds: Double
        ) {
            self.paused = paused
            self.isConnected = isConnected
            self.isLossAnnounced = isLossAnnounced
            self.isLeased = isLeased
            self.endSeconds = endSeconds
        }
    }

    /// What another program goes on from; nil while something is under way: a start, an order, a migration, an attempt to have
    /// the leases again, the guest's end.
    public var carried: Carried? {
        guard order == nil, !isWorking, !isWorkDisowned, !isLeaving, !isConnecting else { return nil }
        switch state {
        case .running: return carried(nil)
        case .paused(let paused): return paused.isAtRest ? carried(paused) : nil
        case .acquiring, .starting, .pausing, .stopping, .rescuing, .releasing, .finished: return nil
        }
    }

    private func carried(_ paused: Paused?) -> Carried {
        Carried(
            paused: paused, isConnected: isConnected, isLossAnnounced: isLossAnnounced, isLeased: isLeased,
            endSeconds: endSeconds)
    }

    /// Goes on from where another program was.
    public init(settings: Settings, carrying carried: Carried) {
        self.init(settings: settings)
        state = carried.paused.map(State.paused) ?? .running
        hasRun = true
        isConnected = carried.isConnected
        isLossAnnounced = carried.isLossAnnounced
        isLeased = carried.isLeased
        endSeconds = carried.endSeconds
    }

    /// The first actions of one that goes on.
    ///
    /// - Parameter deadlines: those of the leases by the last look at them; nil: there was none.
    public func goOn(_ deadlines: LeaseDeadlines?) -> [Action] {
        // Until the monitor is there again nobody can tell whether a guest without leases stands still.
        if case .paused(let paused) = state, !paused.hasLeases {
            return [.startTimer(.monitor, seconds: settings.monitorSeconds)]
        }
        guard isLeased, let deadlines = deadlines ?? settings.firstDeadlines else { return [] }
        return [.lookAtLeases(isUrged: false)] + timers(deadlines)
    }
}

extension Paused {
    /// Whether nothing is being done for the guest, and it is no target of a migration.
    fileprivate var isAtRest: Bool {
        switch (step, purpose) {
        case (_, .migration), (_, .arrival): false
        case (.held, _), (.released, _), (.staying, _): true
        case (.givingBack, _), (.waiting, _), (.taking, _), (.goingOn, _): false
        }
    }
}
