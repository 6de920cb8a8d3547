/// Where leases come from. The supervisor knows no more than this of sanlock.
///
/// Every call may block without limit and is made on one worker thread, one at a time, never on the event loop.
public protocol LeaseDriver: Sendable {
    /// The driver's name, as `--driver` has it.
    var name: String { get }

    /// Registers this process with the lease manager and restricts what the connection allows.
    ///
    /// - Returns: the connection's descriptor, which stays the driver's and open until `disconnect`. When its last copy
    ///   is closed, in whichever process, the leases are free; when it hangs up, they are lost. Nil: there is no such thing.
    func connect() throws(LeaseFailure) -> Int32?

    /// Takes all of the leases or none, without waiting for an owner. Joins the lockspace and makes lease files where
    /// they are missing.
    ///
    /// - Parameter progress: told before anything that may take longer than a second, on the thread of the call.
    func acquire(
        _ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> [HeldLease]

    /// Writes down for people who holds the leases. Advice: a failure is none of the guest's.
    func record(_ leases: [HeldLease], holder: LeaseHolder)

    /// Takes back what `record` wrote.
    func removeRecords(_ leases: [HeldLease])

    /// Gives all leases back, and returns when they are free.
    func releaseAll() throws(LeaseFailure)

    /// The lockspaces that the leases are in, and this host in them.
    func lockspaces(of requests: [LeaseRequest]) -> [LockspaceState]

    /// Whether a watchdog resets this host when it can no longer be told to let go of its leases.
    func isWatchdogOn() -> Bool
}

/// What a lease driver is waiting for, for a person to read.
public struct LeaseProgress: Equatable, Sendable {
    /// The words of a line, such as `joining lockspace X`.
    public var text: String
    /// How long it takes at most, in seconds; nil where nobody can say.
    public var secondsAtMost: Double?

    /// States both.
    public init(_ text: String, secondsAtMost: Double?) {
        self.text = text
        self.secondsAtMost = secondsAtMost
    }
}

/// Leases nothing: the supervisor supervises, and every guest may start.
public struct NopDriver: LeaseDriver {
    /// Makes one; there is nothing to set.
    public init() {}

    /// `nop`.
    public var name: String { "nop" }

    /// Connects to nothing.
    public func connect() throws(LeaseFailure) -> Int32? { nil }

    /// Takes nothing, and says so: no lease is held.
    public func acquire(
        _ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> [HeldLease] { [] }

    /// Writes nothing.
    public func record(_ leases: [HeldLease], holder: LeaseHolder) {}

    /// Removes nothing.
    public func removeRecords(_ leases: [HeldLease]) {}

    /// Gives nothing back.
    public func releaseAll() throws(LeaseFailure) {}

    /// There are none.
    public func lockspaces(of requests: [LeaseRequest]) -> [LockspaceState] { [] }

    /// It is not.
    public func isWatchdogOn() -> Bool { false }
}
