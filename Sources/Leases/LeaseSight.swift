/// What a look at a guest's leases has shown.
public struct LeaseSight: Equatable, Sendable {
    /// Their lockspaces, as far as the daemon told.
    public var lockspaces: [LockspaceState]
    /// What is lost, where something is.
    public var loss: LeaseLoss?

    /// States both.
    public init(lockspaces: [LockspaceState], loss: LeaseLoss?) {
        self.lockspaces = lockspaces
        self.loss = loss
    }
}

/// How leases were lost.
public struct LeaseLoss: Equatable, Sendable {
    /// How much time there is.
    public enum Urgency: Sendable {
        /// Others may have them already, or within milliseconds.
        case atOnce
        /// Others may have them when this host's time in the lockspace is over.
        case byDeadline
    }

    /// How much time there is.
    public var urgency: Urgency
    /// What was seen, for a person to read.
    public var detail: String

    /// States both.
    public init(_ urgency: Urgency, detail: String) {
        self.urgency = urgency
        self.detail = detail
    }
}
