/// Where leases come from. The supervisor knows no more than this of sanlock.
///
/// Every call may block without limit and is made on a worker thread, never on the event loop; one at a time, but for `look`.
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

    /// Gives all leases back, and returns when they are free. They may be taken again on the same connection.
    func releaseAll() throws(LeaseFailure)

    /// Takes leases again that were given back or lost, if nobody had them in between: each exclusive one under the very
    /// version that it had, which is one higher afterwards. Shared ones have none and are taken unchecked. Joins the
    /// lockspace where that is needed, and makes no file.
    func retake(_ leases: [HeldLease]) throws(LeaseFailure) -> [HeldLease]

    /// Looks whether the leases are still held, and when their lockspaces were renewed. On a thread of its own, beside the
    /// other calls.
    ///
    /// - Parameter isUrged: whether there is reason to think that a lockspace has failed: then the daemon is asked that too.
    func look(at leases: [HeldLease], isUrged: Bool) -> LeaseSight

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

    /// Takes nothing.
    public func retake(_ leases: [HeldLease]) throws(LeaseFailure) -> [HeldLease] { leases }

    /// There is nothing to see.
    public func look(at leases: [HeldLease], isUrged: Bool) -> LeaseSight { LeaseSight(lockspaces: [], loss: nil) }

    /// It is not.
    public func isWatchdogOn() -> Bool { false }
}
