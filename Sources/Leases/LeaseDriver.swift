/// Where leases come from. The supervisor knows no more than this of sanlock.
///
/// Every call may block without limit and is made on a worker thread, never on the event loop; one at a time, but for
/// `look` and `demands`.
public protocol LeaseDriver: Sendable {
    /// The driver's name, as `--driver` has it.
    var name: String { get }

    /// Registers this process with the lease manager and restricts what the connection allows.
    ///
    /// - Returns: the connection's descriptor, which stays the driver's and open until `disconnect`. When its last copy
    ///   is closed, in whichever process, the leases are free; when it hangs up, they are lost. Nil: there is no such thing.
    func connect() throws(LeaseFailure) -> Int32?

    /// The lease that stands for a disk, by its path as the guest has it; nil where disks have none of their own here.
    func request(forDisk path: String, mode: LeaseMode) -> LeaseRequest?

    /// Takes all of these leases or none, without waiting for an owner, on top of what is held. Joins the lockspace and
    /// makes lease files where they are missing.
    ///
    /// - Parameter progress: told before anything that may take longer than a second, on the thread of the call.
    func acquire(
        _ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> [HeldLease]

    /// Makes sure that these leases could be taken when they are free: joins the lockspace where that is needed, and reads
    /// each of them. Takes none and makes none: they are there, as somebody has them.
    func reach(_ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void) throws(LeaseFailure)

    /// Holds a lease in the other way from now on; it is never free meanwhile. Where that fails it is held as before.
    ///
    /// - Returns: the lease as it is held now.
    func convert(_ request: LeaseRequest, to mode: LeaseMode) throws(LeaseFailure) -> HeldLease

    /// Gives some leases back; they are free on return.
    ///
    /// - Throws: some are not; ``LeaseFailure/kept`` are those that this process has all the same.
    func release(_ requests: [LeaseRequest]) throws(LeaseFailure)

    /// Writes down for people who holds the leases. Advice: a failure is none of the guest's.
    func record(_ leases: [HeldLease], holder: LeaseHolder)

    /// Takes back what `record` wrote.
    func removeRecords(_ leases: [HeldLease])

    /// Gives all leases back, and returns when they are free. They may be taken again on the same connection.
    func releaseAll() throws(LeaseFailure)

    /// Takes leases again that were given back or lost, if nobody had them in between: each exclusive one under the very
    /// version that it had, which is one higher afterwards. Shared ones have none and are taken unchecked. Joins the
    /// lockspace where that is needed, and makes no file.
    func retake(_ leases: [HeldLease], in handover: LeaseHandover) throws(LeaseFailure) -> [HeldLease]

    /// Before leases are given back whose guest never ran under them: leaves word of that for the source of its migration.
    func recordUnused(_ holder: LeaseHolder)

    /// Looks whether the leases are still held, and when their lockspaces were renewed. On a thread of its own, beside the
    /// other calls.
    ///
    /// - Parameter isUrged: whether there is reason to think that a lockspace has failed: then the daemon is asked that too.
    func look(at leases: [HeldLease], isUrged: Bool) -> LeaseSight

    /// What other hosts ask of the holder of these leases: that it give them up. Beside the other calls, as `look`.
    ///
    /// - Throws: that a lease can't be read; then nobody can say.
    func demands(on leases: [HeldLease]) throws(LeaseFailure) -> [LeaseDemand]

    /// Whether a watchdog resets this host when it can no longer be told to let go of its leases.
    func isWatchdogOn() -> Bool

    /// What another program needs to go on with the leases in this process, beside the connection. While no call is under way.
    func carried() -> CarriedLeases
}

/// What a driver knows of its process's leases, for the program that the process becomes.
public struct CarriedLeases: Equatable, Sendable {
    /// What the lease manager may hold for the process.
    public var asked: [LeaseRequest] = []
    /// Leases that were given back under another version than the one they were taken with, and under which.
    public var raised: [HeldLease] = []

    /// Nothing.
    public init() {}
}

/// What taking leases again has to do with a migration.
public enum LeaseHandover: Equatable, Sendable {
    /// Nothing: they were the guest's own.
    case none
    /// The guest, of this UUID, was to leave: a lease that its target has had once, and given back without having run under it,
    /// is taken as well, under the next version. Whether that was so is told by the target's word alone: anybody else who
    /// had the lease once has left it with the same version.
    case calledOff(uuid: String)
    /// The guest has come: the leases are its source's, and those that are given back, as others can't be had, are given back
    /// with this holder's word that they were not used.
    case arrival(LeaseHolder)
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

    /// Disks have none.
    public func request(forDisk path: String, mode: LeaseMode) -> LeaseRequest? { nil }

    /// Takes nothing, and says so: no lease is held.
    public func acquire(
        _ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> [HeldLease] { [] }

    /// There is nothing to reach.
    public func reach(
        _ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void
    ) throws(LeaseFailure) {}

    /// Holds nothing, in any way.
    public func convert(_ request: LeaseRequest, to mode: LeaseMode) throws(LeaseFailure) -> HeldLease {
        var request = request
        request.mode = mode
        return HeldLease(request: request, version: nil)
    }

    /// Gives nothing back.
    public func release(_ requests: [LeaseRequest]) throws(LeaseFailure) {}

    /// Writes nothing.
    public func record(_ leases: [HeldLease], holder: LeaseHolder) {}

    /// Removes nothing.
    public func removeRecords(_ leases: [HeldLease]) {}

    /// Gives nothing back.
    public func releaseAll() throws(LeaseFailure) {}

    /// Takes nothing.
    public func retake(_ leases: [HeldLease], in handover: LeaseHandover) throws(LeaseFailure) -> [HeldLease] { leases }

    /// Writes nothing.
    public func recordUnused(_ holder: LeaseHolder) {}

    /// There is nothing to see.
    public func look(at leases: [HeldLease], isUrged: Bool) -> LeaseSight { LeaseSight(lockspaces: [], loss: nil) }

    /// There is nothing to ask for.
    public func demands(on leases: [HeldLease]) throws(LeaseFailure) -> [LeaseDemand] { [] }

    /// It is not.
    public func isWatchdogOn() -> Bool { false }

    /// Nothing.
    public func carried() -> CarriedLeases { CarriedLeases() }
}
