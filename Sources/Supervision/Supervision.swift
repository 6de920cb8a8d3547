import Leases

/// The story of one guest: what happens (`Event`) decides what is done (`Action`). Pure: no clock, no descriptor.
public struct Supervision: Equatable, Sendable {
    /// Where the guest is in its life.
    public internal(set) var state: State = .acquiring(Acquiring())
    let settings: Settings
    /// Whether the guest's program was executed.
    var hasRun = false
    /// Whether the connection that the leases hang on stands.
    var isConnected = false
    /// Whether one is being made: a second one would be closed by whoever holds the first, with the leases taken through it.
    var isConnecting = false
    /// Whether everybody was told that the leases are lost.
    var isLossAnnounced = false
    /// Whether it has any lease to look after.
    var isLeased: Bool
    /// Whether a migration away from here was begun.
    public internal(set) var isLeaving = false
    /// Whether the guest stood still, by order, when that was.
    public internal(set) var stoodBeforeLeaving = false
    /// What somebody has ordered and waits for.
    var order: Order?
    /// Whether the worker is at an order's leases.
    var isWorking = false
    /// Whether nobody waits for that any more.
    var isWorkDisowned = false
    /// Since when an order has waited for a busy lease, in seconds of the monotonic clock.
    var waitingSinceSeconds: Double?
    /// From the moment at which leases that aren't renewed count as lost to the one at which the guest's death is certain.
    var endSeconds = 0.0

    /// What is to be expected of the guest, and how long each thing may take.
    public struct Settings: Equatable, Sendable {
        /// Whether the guest's first process ends when another one is ready, which is the guest then.
        public var daemonizes: Bool
        /// How long to wait for a busy lease, in seconds.
        public var waitSeconds: Double
        /// How long the lease manager may take to let this process in.
        public var connectSeconds = 10.0
        /// How long it may take to answer an attempt. Joining a lockspace is part of the first.
        public var attemptSeconds: Double
        /// How long a lease may take to become free whose holder has just ended. sanlock needs about 10 ms, and a host
        /// that is slow some hundred; nobody is asked to wait for this with `--wait`.
        public var releasingSeconds = 3.0
        /// How long a lease is asked for again whose holder left no record. A clean-up by libvirt's script holds each lease
        /// for some 20 ms, and a guest of Leasehold writes its record within that time; but two hosts that want a lease in
        /// one moment have sanlock pause for up to a second.
        public var strangerSeconds = 1.8
        /// How long the keeper may take to kill a guest before it is itself killed. It does so in milliseconds; a guest
        /// that is blocked in the kernel dies no sooner for the supervisor.
        public var killSeconds = 2.0
        /// How long the release may take before the supervisor ends without its confirmation. The leases are given back
        /// by its end in any case.
        public var releaseSeconds = 5.0
        /// From SIGTERM to SIGKILL at the most, where the leases are lost and others can't have them at once.
        public var stopSeconds = 30.0
        /// Whether the guest is made to stand still when its leases are lost, rather than to end.
        public var pauses = false
        /// How long that may take where others may have the leases already. The guest has to be still or dead within a
        /// second.
        public var urgentPauseSeconds = 0.55
        /// How long it must stand before it is known that a monitor which is gone comes back.
        public var monitorSeconds = 1.0
        /// When something has to be done about leases that were just taken; nil: the lease manager needs no looking after.
        public var firstDeadlines: LeaseDeadlines?
        /// Whether the guest has any lease at its start.
        public var isLeased = true
        /// Whether there is a monitor, which can have the guest stand still and go on.
        public var hasMonitor = false
        /// Whether the guest is the target of a migration: loaded, it stands still without its leases until they are its own.
        public var isIncoming = false

        /// States what differs from guest to guest.
        public init(daemonizes: Bool, waitSeconds: Double, attemptSeconds: Double) {
            self.daemonizes = daemonizes
            self.waitSeconds = waitSeconds
            self.attemptSeconds = attemptSeconds
        }
    }

    /// A guest whose leases have not been asked for.
    public init(settings: Settings) {
        self.settings = settings
        isLeased = settings.isLeased
    }

    /// The first actions.
    public mutating func begin() -> [Action] {
        isConnecting = true
        return [.connect, .startTimer(.attemptAnswer, seconds: settings.connectSeconds)]
    }

    /// Takes an event in and says what to do. An event that means nothing in a state changes nothing.
    public mutating func handle(_ event: Event) -> [Action] {
        let actions = tell(event)
        return actions + answerForTheDead()
    }

    private mutating func tell(_ event: Event) -> [Action] {
        if case .finished = state {
            if case .ordered = event { return [.refuseOrder(.ended)] }
            return []
        }
        switch event {
        case .connected, .leasesRefused: isConnecting = false
        case .ordered(let order): return receive(order)
        case .orderAbandoned: return abandonOrder()
        case .timerFired(.orderAnswer): return unanswered()
        case .moreTaken, .moreRefused, .someReleased, .timerFired(.orderAttempt): return workEnded(event) ?? []
        default: break
        }
        return switch state {
        case .acquiring(let acquiring): whileAcquiring(acquiring, event)
        case .starting: whileStarting(event)
        case .running: whileRunning(event)
        case .pausing(let pausing): whilePausing(pausing, event)
        case .paused(let paused): whilePaused(paused, event)
        case .stopping(let stopping): whileStopping(stopping, event)
        case .rescuing(let reason): whileRescuing(reason, event)
        case .releasing(let outcome): whileReleasing(outcome, event)
        case .finished: []
        }
    }
}

// MARK: - While the guest lives: every failure is an event with an answer

extension Supervision {
    private mutating func whileRunning(_ event: Event) -> [Action] {
        switch event {
        case .guestEnded(let end):
            return guestEnded(end, .exited)
        case .guestSuspended(let signal):
            return [.suspendSelf(signal: signal)]
        case .keeperEnded:
            return rescue(.keeperDied)
        case .leaseConnectionLost:
            isConnected = false
            return lose(endSeconds: 0)
        case .leasesLost(let endSeconds):
            return lose(endSeconds: endSeconds)
        case .timerFired(.renewalFailure):
            return lose(endSeconds: endSeconds)
        case .leasesSeen, .lookUrged, .timerFired(.leaseLook), .timerFired(.renewalWarning):
            return watch(event)
        case .guestStoodStill:
            return stoodStill(stood: false)
        case .leaseRequested:
            return giveWay(stood: false)
        case .stopRequested(let timeoutSeconds):
            return stop(timeoutSeconds)
        case .killRequested:
            return kill(.killed)
        case .connected, .leasesTaken, .leasesReachable, .leasesRefused, .interrupted, .guestStarted,
            .guestFailedToStart, .guestAdopted, .orphansGone, .timerFired, .leasesReleased, .guestPaused, .pauseFailed,
            .guestWentOn, .monitorLost, .ordered, .orderAbandoned, .moreTaken, .moreRefused, .someReleased:
            return []
        }
    }

    private mutating func whileStopping(_ stopping: Stopping, _ event: Event) -> [Action] {
        switch event {
        case .guestEnded(let end):
            return guestEnded(end, stopping.reason)
        case .guestFailedToStart(let step, let number):
            return release(.notStarted(.program(step: step, number: number)))
        case .keeperEnded:
            return rescue(stopping.reason)
        case .leaseConnectionLost:
            isConnected = false
            // What was lost before isn't lost by this, and dies of what it dies of.
            return stopping.isKilling && isLossAnnounced ? [] : kill(.leaseLost) + announceLoss()
        case .leasesLost(let endSeconds):
            return stopping.isKilling ? announceLoss() : hurry(endSeconds)
        case .timerFired(.renewalFailure):
            return stopping.isKilling ? announceLoss() : hurry(endSeconds)
        case .leasesSeen, .lookUrged, .timerFired(.leaseLook), .timerFired(.renewalWarning):
            return watch(event)
        case .guestStarted:
            // Of one that was to end before it was known to run.
            hasRun = true
            return []
        case .guestAdopted:
            return stopping.isKilling ? [.killGuest] : [.askGuestToStop]
        case .killRequested:
            return stopping.isKilling ? [] : kill(.killed)
        case .stopRequested(let timeoutSeconds):
            return stopping.isKilling ? [] : [.hastenTimer(.stop, seconds: timeoutSeconds)]
        case .timerFired(.stop):
            return stopping.isKilling ? [] : kill(stopping.reason)
        case .timerFired(.killConfirmation):
            return [.killKeeper]
        case .connected, .leasesTaken, .leasesRefused, .interrupted, .guestSuspended, .orphansGone,
            .timerFired, .leasesReleased, .guestPaused, .pauseFailed, .guestWentOn, .monitorLost, .leasesReachable,
            .guestStoodStill, .ordered, .orderAbandoned, .moreTaken,
            .moreRefused, .someReleased, .leaseRequested:
            return []
        }
    }

    private mutating func whileRescuing(_ reason: EndReason, _ event: Event) -> [Action] {
        switch event {
        case .orphansGone:
            return guestEnded(.died(signal: 9), reason)
        case .timerFired(.orphanPass):
            return [.killOrphans, .startTimer(.orphanPass, seconds: Supervision.orphanPassSeconds)]
        case .leaseConnectionLost:
            isConnected = false
            if !isLossAnnounced { state = .rescuing(.leaseLost) }
            return announceLoss()
        case .connected, .leasesTaken, .leasesRefused, .interrupted, .guestStarted, .guestFailedToStart, .guestAdopted,
            .guestSuspended, .guestEnded, .keeperEnded, .stopRequested, .killRequested, .timerFired, .leasesReleased,
            .leasesSeen, .lookUrged, .leasesLost, .guestPaused, .pauseFailed, .guestWentOn, .monitorLost,
            .leasesReachable, .guestStoodStill, .ordered, .orderAbandoned, .moreTaken,
            .moreRefused, .someReleased, .leaseRequested:
            return []
        }
    }

    private static let orphanPassSeconds = 0.02

    mutating func stop(_ timeoutSeconds: Double, for reason: EndReason = .stopped) -> [Action] {
        state = .stopping(Stopping(reason: reason, isKilling: false))
        return [.askGuestToStop, .startTimer(.stop, seconds: timeoutSeconds)]
    }

    mutating func kill(_ reason: EndReason) -> [Action] {
        state = .stopping(Stopping(reason: reason, isKilling: true))
        return [.killGuest, .cancelTimer(.stop), .startTimer(.killConfirmation, seconds: settings.killSeconds)]
    }

    mutating func rescue(_ reason: EndReason) -> [Action] {
        state = .rescuing(reason)
        return [.killOrphans, .startTimer(.orphanPass, seconds: Supervision.orphanPassSeconds)]
    }

    mutating func guestEnded(_ end: GuestEnd, _ reason: EndReason) -> [Action] {
        if hasRun { return [.announceEnd(end, reason)] + release(.guestEnded(end, reason)) }
        return release(.notStarted(Supervision.failure(end, reason)))
    }

    // Of a process that ended before it had become the guest's program.
    private static func failure(_ end: GuestEnd, _ reason: EndReason) -> StartFailure {
        switch (end, reason) {
        case (_, .leaseLost):
            .leases(LeaseFailure(.daemonUnreachable, detail: "the lease manager ended before the guest ran"))
        case (_, .keeperDied), (_, .supervisorFailed): .keeperDied
        case (.died(let signal), _): .interrupted(signal: signal)
        case (.exited, _): .interrupted(signal: nil)
        }
    }
}

// MARK: - After the guest: the leases follow it, never the other way round

extension Supervision {
    mutating func release(_ outcome: Outcome) -> [Action] {
        state = .releasing(outcome)
        return [
            .cancelTimer(.stop), .cancelTimer(.killConfirmation), .cancelTimer(.orphanPass), .cancelTimer(.leaseLook),
            .cancelTimer(.renewalWarning), .cancelTimer(.renewalFailure), .releaseLeases,
            .startTimer(.releaseAnswer, seconds: settings.releaseSeconds),
        ]
    }

    private mutating func whileReleasing(_ outcome: Outcome, _ event: Event) -> [Action] {
        switch event {
        case .leasesReleased(let free):
            return finish(outcome, leasesFree: free)
        case .timerFired(.releaseAnswer), .leaseConnectionLost:
            return finish(outcome, leasesFree: false)
        case .connected, .leasesTaken, .leasesRefused, .interrupted, .guestStarted, .guestFailedToStart, .guestAdopted,
            .guestSuspended, .guestEnded, .keeperEnded, .orphansGone, .stopRequested, .killRequested, .timerFired,
            .leasesSeen, .lookUrged, .leasesLost, .guestPaused, .pauseFailed, .guestWentOn, .monitorLost,
            .leasesReachable, .guestStoodStill, .ordered, .orderAbandoned, .moreTaken,
            .moreRefused, .someReleased, .leaseRequested:
            return []
        }
    }

    private mutating func finish(_ outcome: Outcome, leasesFree: Bool) -> [Action] {
        state = .finished(outcome, leasesFree: leasesFree)
        return [.cancelTimer(.releaseAnswer), .finish(outcome, leasesFree: leasesFree)]
    }
}
