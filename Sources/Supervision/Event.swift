import Leases

/// What happens to a guest and around it.
public enum Event: Equatable, Sendable {
    /// The lease manager let this process in.
    case connected
    /// All leases are held.
    case leasesTaken
    /// Lockspace and leases can be reached.
    case leasesReachable
    /// None is held. Seconds of the monotonic clock.
    case leasesRefused(LeaseFailure, nowSeconds: Double)
    /// The guest's program runs.
    case guestStarted
    /// It could not be executed, and nothing is left of the attempt.
    case guestFailedToStart(step: String, number: Int32)
    /// The first process ended and left another one that is the guest now.
    case guestAdopted
    /// A signal of the terminal stopped the guest.
    case guestSuspended(signal: Int32)
    /// The guest ended, and no process of it is left.
    case guestEnded(GuestEnd)
    /// The keeper is gone without having said that the guest ended.
    case keeperEnded
    /// After the keeper's end: no process is left below the supervisor.
    case orphansGone
    /// The lease manager closed the connection that the leases hang on.
    case leaseConnectionLost
    /// A look has shown the leases held, and when something has to be done next.
    case leasesSeen(LeaseDeadlines)
    /// The lease manager says that it is time to look at the leases.
    case lookUrged
    /// The leases are lost, and the guest must not write any more when these seconds are over: 0 where others may have them
    /// already.
    case leasesLost(endSeconds: Double)
    /// The guest was made to stand still, as far as monitor and kernel tell; or still does.
    case guestPaused
    /// It can't be made to.
    case pauseFailed
    /// The guest goes on, whoever made it.
    case guestWentOn
    /// The guest's monitor is gone, and nobody can tell whether it stands still.
    case monitorLost
    /// The guest's monitor says that the guest stands still where its migration has put it.
    case guestStoodStill
    /// Somebody gives an order.
    case ordered(Order)
    /// Whoever gave the order is gone.
    case orderAbandoned
    /// What an order takes on top is held.
    case moreTaken
    /// What an order wanted of leases can't be had; none of it is. Seconds of the monotonic clock.
    case moreRefused(OrderRefusal, nowSeconds: Double)
    /// Some leases are the guest's no more. The problem: not all that were to be, or they may not be free.
    case someReleased(areAnyLeft: Bool, problem: OrderRefusal?)
    /// Another host asks for a lease of the guest's.
    case leaseRequested
    /// Someone wants the guest to end, and gives it this long.
    case stopRequested(timeoutSeconds: Double)
    /// A signal came that, with the guest running, would be the guest's.
    case interrupted(signal: Int32)
    /// Someone wants the guest dead.
    case killRequested
    /// A timer ran out.
    case timerFired(Timer)
    /// The leases are given back, or it is not known whether they are.
    case leasesReleased(free: Bool)
}

/// What the supervisor waits for with a time limit.
public enum Timer: Hashable, Sendable, CaseIterable {
    /// The next attempt to take the leases.
    case nextAttempt
    /// The lease manager's answer to an attempt.
    case attemptAnswer
    /// The next look at the leases.
    case leaseLook
    /// The moment to warn of a lockspace that isn't renewed.
    case renewalWarning
    /// The moment from which its leases count as lost.
    case renewalFailure
    /// The guest's standing still.
    case pause
    /// The monitor's coming back.
    case monitor
    /// The guest's going on.
    case resume
    /// What an order waits for.
    case orderAnswer
    /// The next attempt to take what an order wants.
    case orderAttempt
    /// The guest's own orderly end.
    case stop
    /// The keeper's word that everything is dead.
    case killConfirmation
    /// The next pass over orphans.
    case orphanPass
    /// The lease manager's answer to the release.
    case releaseAnswer
}
