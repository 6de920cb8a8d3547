import Leases

/// Where a guest is in its life, and what is known there. A state carries only what can be true in it.
public enum State: Equatable, Sendable {
    /// The leases are asked for; there is no guest.
    case acquiring(Acquiring)
    /// The leases are held, and the guest's program is being executed.
    case starting
    /// The guest runs under its leases.
    case running
    /// The guest is being made to stand still, and may still write.
    case pausing(Pausing)
    /// The guest stands still.
    case paused(Paused)
    /// The guest is being ended, and something of it may still live.
    case stopping(Stopping)
    /// The keeper is gone; what it kept has fallen to the supervisor, which kills it.
    case rescuing(EndReason)
    /// Nothing of the guest lives (or it never did); the leases are being given back.
    case releasing(Outcome)
    /// All is done.
    case finished(Outcome, leasesFree: Bool)
}

/// How long a busy lease has been waited for.
public struct Acquiring: Equatable, Sendable {
    /// When it was busy for the first time, in seconds of the monotonic clock.
    public var busySinceSeconds: Double?
    /// How often it was asked for since.
    public var attempts = 0

    /// Nothing was busy yet.
    public init() {}
}

/// Why a guest stands still, or is made to.
public enum PausePurpose: Equatable, Sendable {
    /// Its leases were lost. `goesOn`: it goes on by itself when it has them again; one that stood still by order before
    /// doesn't.
    case loss(goesOn: Bool)
    /// Somebody ordered it; with `release`, its leases are given back meanwhile.
    case order(release: Bool)
    /// It has been migrated away, and its leases are for the target to take.
    case migration
    /// It is the target of a migration.
    case arrival
}

/// How a guest is being made to stand still.
public struct Pausing: Equatable, Sendable {
    /// What for.
    public var purpose: PausePurpose
    /// Of lost leases: from asking it to end to killing it, in seconds, should it not stand still in time; 0: it is killed
    /// at once.
    public var stopSeconds = 0.0
    /// Whether it stood still by order before, with its leases.
    public var stood = false

    /// Whether it stood already when this began.
    public var stands: Bool { stood || purpose == .loss(goesOn: false) }

    /// States what for.
    public init(_ purpose: PausePurpose, stopSeconds: Double = 0, stood: Bool = false) {
        self.purpose = purpose
        self.stopSeconds = stopSeconds
        self.stood = stood
    }
}

/// A guest that stands still.
public struct Paused: Equatable, Sendable {
    /// What is being done for it.
    public enum Step: Equatable, Sendable, CaseIterable {
        /// Nothing: it has its leases.
        case held
        /// Its leases are given back.
        case givingBack
        /// Nothing: they are given back, or were never taken, and somebody has to say how it goes on.
        case released
        /// Storage or lease manager are waited for.
        case waiting
        /// The leases are asked for again.
        case taking
        /// Nothing: somebody else had a lease in between, and its memory no longer fits its disk.
        case staying
        /// It has its leases, and is made to go on.
        case goingOn
    }

    /// What is being done.
    public var step: Step
    /// Why it stands still.
    public var purpose: PausePurpose

    /// States both.
    public init(_ step: Step, _ purpose: PausePurpose) {
        self.step = step
        self.purpose = purpose
    }

    /// Whether it has its leases.
    public var hasLeases: Bool { step == .held || step == .goingOn }
}

/// Why the guest is being ended, and how far that has come.
public struct Stopping: Equatable, Sendable {
    /// What for.
    public var reason: EndReason
    /// Whether it was asked, or is being killed.
    public var isKilling: Bool

    /// States both.
    public init(reason: EndReason, isKilling: Bool) {
        self.reason = reason
        self.isKilling = isKilling
    }
}

/// Why a guest that ran has ended. The words are those of the exit record.
public enum EndReason: String, Sendable, CaseIterable {
    /// By itself.
    case exited
    /// It was asked to.
    case stopped
    /// It was killed by order.
    case killed
    /// Its leases were lost.
    case leaseLost
    /// The keeper was gone.
    case keeperDied
    /// The supervisor could not go on.
    case supervisorFailed
}

/// How the guest's process ended.
public enum GuestEnd: Equatable, Sendable {
    /// With this status, 0 to 255.
    case exited(status: Int32)
    /// Of this signal.
    case died(signal: Int32)
}

/// What became of it all.
public enum Outcome: Equatable, Sendable {
    /// The guest ran, and ended.
    case guestEnded(GuestEnd, EndReason)
    /// The guest did not run.
    case notStarted(StartFailure)
}

/// Why a guest did not start.
public enum StartFailure: Equatable, Sendable {
    /// The leases could not be had.
    case leases(LeaseFailure)
    /// The lease manager did not answer in time.
    case leaseManagerSilent
    /// The guest's program could not be executed: the step that failed, and its errno.
    case program(step: String, number: Int32)
    /// The keeper was gone before it ran.
    case keeperDied
    /// Someone asked to stop before it ran: by a signal, or over the control socket.
    case interrupted(signal: Int32?)
}
