import Leases

/// What somebody asks for in a guest's life. One at a time, and answered when it is done or refused.
public enum Order: Equatable, Sendable {
    /// Take leases on top, or hold some in another way: all or none. How long to wait for busy ones, in seconds.
    case attach([LeaseRequest], waitSeconds: Double)
    /// Give leases back whose disks the guest has let go of.
    case detach([LeaseRequest])
    /// Stand still; with `release`, without the leases.
    case suspend(release: Bool)
    /// Go on, under the leases.
    case resume
    /// A migration of the guest to another host begins.
    case prepareToLeave
    /// The migration has brought the guest's state to the target: give the leases back for it.
    case leave
    /// The migration has failed or was called off: go on here.
    case comeBack
    /// The migration has brought the guest's state here: take these leases, under their versions, and go on, if it ran.
    case arrive([HeldLease], goesOn: Bool)
}

extension Order {
    /// Whether it is about some leases, while the guest lives as it did.
    var isOfLeases: Bool {
        switch self {
        case .attach, .detach: true
        case .suspend, .resume, .prepareToLeave, .leave, .comeBack, .arrive: false
        }
    }
}

/// Why an order is not carried out. The guest is then as it was before, but for what `silent` says.
public enum OrderRefusal: Error, Equatable, Sendable {
    /// It doesn't fit where the guest is in its life.
    case wrongState
    /// Another one is under way.
    case underWay
    /// The leases can't be had.
    case leases(LeaseFailure)
    /// The guest's leases were lost meanwhile.
    case leasesLost
    /// The guest ended meanwhile.
    case ended
    /// The guest can't be made to stand still.
    case notStill
    /// Lease manager or monitor don't answer. What they bring late is undone.
    case silent
    /// There is no monitor to ask.
    case noMonitor
    /// A disk that the guest still has open, or a lease that can't be used so: which, and why.
    case unusable(String, why: String)
}
