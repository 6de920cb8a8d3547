/// What came of a lease operation that failed. The closed list: every code of sanlock's is one of these.
public enum LeaseOutcome: Equatable, Sendable {
    /// A live process holds it, here or on another host.
    case heldElsewhere
    /// It is held, by a holder that left no record: a clean-up that holds it for milliseconds, perhaps.
    case heldWithoutRecord
    /// Its owner is gone, but the time it may still write for is not over.
    case deadNotExpired
    /// It is being released or taken this moment; ask again in milliseconds.
    case beingReleased
    /// Nobody has it: a process of this host ended and left it to be taken over.
    case orphaned
    /// It was had, but its disk is in use on this host under another name.
    case sameDevice
    /// The version on disk is not the one asked for.
    case wrongVersion
    /// The lockspace isn't joined, has failed, or is being left.
    case lockspaceGone
    /// Another host joined with this host's id.
    case hostIdInUse
    /// The lease file is missing.
    case leaseFileMissing
    /// The lease file is damaged, or made for something else.
    case leaseFileUnusable
    /// The lease file could not be made.
    case leaseFileNotMade
    /// The lease file has no slot for this host's id.
    case hostIdTooLarge
    /// The daemon doesn't run, or doesn't let us in.
    case daemonUnreachable
    /// The storage failed, or didn't answer in time.
    case storageFailed
    /// The file system or the daemon forbids it.
    case notPermitted
    /// The caller's settings don't allow it.
    case configurationWrong
    /// None of the above.
    case other
}

/// A lease operation that failed: all of it, nothing is held of it, but for what could not be given back.
public struct LeaseFailure: Error, Equatable, Sendable {
    /// Which kind of failure.
    public var outcome: LeaseOutcome
    /// The disk or lease it happened on, where it was one.
    public var request: LeaseRequest?
    /// Who holds it, where somebody does.
    public var holder: LeaseHolder?
    /// What was tried and why it failed, with the code's symbol and number; without what to do.
    public var detail: String
    /// Of leases that were to be given back: those that this process still holds.
    public var kept: [LeaseRequest] = []
    /// And those that it doesn't, among which is one that may not be marked free.
    public var adrift: [LeaseRequest] = []

    /// States a failure.
    public init(_ outcome: LeaseOutcome, request: LeaseRequest? = nil, holder: LeaseHolder? = nil, detail: String) {
        self.outcome = outcome
        self.request = request
        self.holder = holder
        self.detail = detail
    }

    /// Whether waiting may help.
    public var isBusy: Bool {
        switch outcome {
        case .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .beingReleased: true
        case .orphaned, .sameDevice, .wrongVersion, .lockspaceGone, .hostIdInUse, .leaseFileMissing, .leaseFileUnusable,
            .leaseFileNotMade, .hostIdTooLarge, .daemonUnreachable, .storageFailed, .notPermitted,
            .configurationWrong, .other:
            false
        }
    }
}
