import Leases

/// What the supervisor is to do. The order within one answer counts.
public enum Action: Equatable, Sendable {
    /// Ask the lease manager to let this process in, on the worker.
    case connect
    /// Ask the lease manager for all leases, on the worker.
    case takeLeases
    /// Make sure, on the worker, that lockspace and leases can be reached, and take none: they are another host's yet.
    case reachLeases
    /// Have the keeper forked and the guest executed.
    case startGuest
    /// Tell everyone who waits that the guest runs.
    case announceStart
    /// Ask the guest's process to end.
    case askGuestToStop
    /// Have every process of the guest killed.
    case killGuest
    /// Kill the keeper, which doesn't answer; what it kept falls to the supervisor.
    case killKeeper
    /// Kill what has fallen to the supervisor, one pass, and say when nothing is left.
    case killOrphans
    /// Stop the supervisor itself by the same signal, as the shell's job control expects.
    case suspendSelf(signal: Int32)
    /// Look at the leases, beside all else, where no look is under way.
    ///
    /// isUrged: there is reason to think that a lockspace has failed.
    case lookAtLeases(isUrged: Bool)
    /// Say that a lockspace isn't renewed.
    case announceLeaseWarning
    /// Say that the leases are lost.
    case announceLeaseLoss
    /// Have the guest stand still, and make sure that it does and that its writes are done.
    case pauseGuest
    /// Say that it stands still, and why.
    case announcePause(PausePurpose)
    /// Say that its leases are given back while it does.
    case announceGivenBack
    /// Give all leases back, on the worker, and keep the connection: the guest stands still.
    case giveLeasesBack
    /// Take the leases again under the versions that they had, on the worker.
    ///
    /// orNext: or, where those aren't to be had, under the next ones: another host had them in between, on this guest's behalf.
    case retakeLeases(orNext: Bool)
    /// These are the guest's leases from now on, which it doesn't hold yet.
    case expectLeases([HeldLease])
    /// Ask the guest's monitor, until told otherwise, whether the guest stands still where a migration has put it.
    case awaitStandstill
    /// Ask no more.
    case stopAwaiting
    /// End a migration that is under way in the emulator.
    case cancelMigration
    /// Take these leases on top, or change how they are held, all or none, on the worker.
    case takeMore([LeaseRequest])
    /// They are the guest's now.
    case keepTaken
    /// Give them back: nobody waits for them any more.
    case dropTaken
    /// Give some of the leases back, on the worker, once the guest has nothing of their disks open.
    case giveSomeBack([LeaseRequest])
    /// Write down where the guest is in its life.
    case writeDown
    /// Answer whoever gave the order: it is done.
    case completeOrder
    /// Answer whoever gave the order: it is not.
    case refuseOrder(OrderRefusal)
    /// Have the guest go on.
    case resumeGuest
    /// Say that it goes on.
    case announceResume
    /// Say that it stays as it is, and why.
    case announceStay(LeaseFailure)
    /// How long the keeper is to leave a lost connection to the supervisor before it kills the guest; nil: for good.
    case letKeeperWait(seconds: Double?)
    /// Say that the guest has ended.
    case announceEnd(GuestEnd, EndReason)
    /// Give all leases back, on the worker.
    case releaseLeases
    /// Start a timer over.
    case startTimer(Timer, seconds: Double)
    /// Start a timer, or let it end sooner where it runs.
    case hastenTimer(Timer, seconds: Double)
    /// Stop a timer.
    case cancelTimer(Timer)
    /// Write the record, answer those who wait, and end.
    case finish(Outcome, leasesFree: Bool)
}
