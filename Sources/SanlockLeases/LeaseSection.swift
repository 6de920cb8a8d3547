import Glibc
import Platform

/// The right to put another file in a lease's place, or to remove it: an advisory lock that every host takes before it
/// does so, and that a start takes when a lease looked busy, missing or broken at first. Who takes a lease that is whole
/// and free needs none.
///
/// A byte of `.leasehold/lock` a lease, at a place that its name decides. Gone with the process.
struct LeaseSection: ~Copyable {
    private let lock: RangeLock

    /// Takes the sections of some leases, waiting for those who have them.
    ///
    /// - Returns: nil where one was not had in time.
    init?(of names: [String], in files: LeaseFiles, waitingSeconds: Double) throws(SystemError) {
        let opened = try files.sectionLock()
        let deadline = Clock.monotonicSeconds() + waitingSeconds
        // In one order for everybody, so that nobody waits in a circle.
        for offset in Set(names.map { RangeLock.offset(of: $0.utf8) }).sorted() {
            guard try opened.lock(offset: offset, exclusive: true, deadlineSeconds: deadline) else { return nil }
        }
        lock = opened
    }
}
