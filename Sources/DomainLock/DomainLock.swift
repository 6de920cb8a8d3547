import Glibc
import LockManager
import Platform

/// A guest's locks through its whole life: the README's sequences, one call each, with the application's own steps as closures in
/// their places. As safe to share and to repeat as ``LockManager``, whose calls say how long each may block; a closure's time
/// comes on top.
public final class DomainLock: Sendable {
    /// The lock manager of this guest, for single steps.
    public let manager: LockManager
    private let startedPid: Int32?

    private init(_ manager: LockManager, startedPid: Int32? = nil) {
        self.manager = manager
        self.startedPid = startedPid
    }

    // MARK: - Beginning and end

    /// Guest startup: looks whether the leases can be had, has the command run, and returns once the guest runs under them.
    ///
    /// - Parameters:
    ///   - resources: the disks and leases; those in an emulator's command line are found besides.
    ///   - options: further options of the supervisor.
    ///   - waitSeconds: how long to wait for what is busy.
    ///   - timeoutSeconds: how long the guest may take to run. One that takes longer is ended.
    ///   - run: starts this program with these arguments, and returns its pid.
    public static func start(
        _ guest: GuestIdentity, _ plugin: LockManagerPlugin, resources: [Resource], options: [String] = [],
        command: [String], waitSeconds: Double = 0, timeoutSeconds: Double = 30, run: ([String]) throws -> Int32
    ) throws(DomainLockError) -> DomainLock {
        try begin(
            .new, guest, plugin, resources, options + (waitSeconds > 0 ? ["--wait", "\(waitSeconds)s"] : []), command,
            waitSeconds, timeoutSeconds + waitSeconds, run)
    }

    /// A migration's target, before it begins: starts the guest so that it waits for the migration, without its leases.
    /// Parameters as of `start`; the command has QEMU's `-incoming`.
    public static func startIncoming(
        _ guest: GuestIdentity, _ plugin: LockManagerPlugin, resources: [Resource], options: [String] = [],
        command: [String], timeoutSeconds: Double = 30, run: ([String]) throws -> Int32
    ) throws(DomainLockError) -> DomainLock {
        try begin(.incoming, guest, plugin, resources, options, command, 0, timeoutSeconds, run)
    }

    private static func begin(
        _ beginning: LockManager.Beginning, _ guest: GuestIdentity, _ plugin: LockManagerPlugin,
        _ resources: [Resource], _ options: [String], _ command: [String], _ waitSeconds: Double,
        _ timeoutSeconds: Double, _ run: ([String]) throws -> Int32
    ) throws(DomainLockError) -> DomainLock {
        var arguments: [String] = []
        let manager = try DomainLockError.refusing { () throws(LockManagerError) in
            let manager = try LockManager(plugin, for: guest, beginning, options: options)
            for resource in resources { try manager.registerResource(resource) }
            try manager.acquireObject(waitSeconds: waitSeconds)
            arguments = try manager.supervisorPath.map { [$0] } ?? []
            arguments += try manager.supervisorArguments + command
            return manager
        }
        let pid: Int32
        do { pid = try run(arguments) } catch { throw .application(error, undoing: nil) }
        if !manager.isSupervised { return DomainLock(manager, startedPid: pid) }
        let supervisor = ProcessIdentity(runningAs: pid)
        do throws(LockManagerError) {
            _ = try manager.child(supervisorPid: pid, timeoutSeconds: timeoutSeconds)
            return DomainLock(manager)
        } catch {
            // Where it hasn't got its name yet, only the record of an earlier guest is found by that.
            _ = try? manager.kill()
            if supervisor?.isAlive == true { supervisor?.signal(SIGKILL) }
            // What was taken since the first look tells more than that nothing runs.
            try DomainLockError.refusing { () throws(LockManagerError) in try manager.acquireObject() }
            throw .refused(error)
        }
    }

    /// A management program's restart: finds a guest that runs.
    public static func attach(
        _ guest: GuestIdentity, _ plugin: LockManagerPlugin
    ) throws(DomainLockError) -> DomainLock {
        try DomainLockError.refusing { () throws(LockManagerError) in
            DomainLock(try LockManager(plugin, for: guest, .attach))
        }
    }

    /// The same of all guests that supervisors of this host tell of.
    public static func attachAll(_ plugin: LockManagerPlugin) throws(DomainLockError) -> [DomainLock] {
        try DomainLockError.refusing { () throws(LockManagerError) in
            try plugin.guests().compactMap { listed in
                // One that has ended since is none any more.
                listed.identity.flatMap { try? DomainLock(LockManager(plugin, for: $0, .attach)) }
            }
        }
    }

    /// The guest's process. With `nop` it is the one that `start` was told of.
    public func child() throws(DomainLockError) -> Int32 {
        if let startedPid { return startedPid }
        return try DomainLockError.refusing { () throws(LockManagerError) in try manager.child() }
    }

    /// Guest shutdown: ends it where it still runs, and frees the manager. With `nop` the application ends the guest.
    ///
    /// - Returns: how it ended; nil with `nop`.
    @discardableResult
    public func shutdown(stopTimeoutSeconds: Double? = nil) throws(DomainLockError) -> GuestExit? {
        let exit = try DomainLockError.refusing { () throws(LockManagerError) in
            try manager.shutdown(stopTimeoutSeconds: stopTimeoutSeconds)
        }
        manager.free()
        return exit
    }

    // MARK: - Pausing

    /// Stops the guest's processors, and gives its leases back if asked.
    public func pause(release: Bool = false) throws(DomainLockError) {
        try DomainLockError.refusing { () throws(LockManagerError) in try manager.suspend(release: release) }
    }

    /// Lets it go on, if nobody had its leases in between.
    public func resume() throws(DomainLockError) {
        try DomainLockError.refusing { () throws(LockManagerError) in try manager.resume() }
    }

    // MARK: - Disks and leases

    /// Disk hotplug: the lease, then the device. Where the device can't be added the lease is given back.
    ///
    /// - Parameter plug: adds the device; for instance with QEMU's `device_add`.
    public func attachDisk(
        _ path: String, _ mode: Resource.Mode = .exclusive, waitSeconds: Double = 0, plug: () throws -> Void
    ) throws(DomainLockError) {
        try attach(.disk(path, mode), waitSeconds, plug)
    }

    /// Disk unplug: the device, then the lease.
    ///
    /// - Parameter unplug: removes the device, and returns when it is gone.
    /// - Throws: ``DomainLockError/leaseKept(_:_:)`` where the supervisor finds that the guest still has it open.
    public func detachDisk(_ path: String, unplug: () throws -> Void) throws(DomainLockError) {
        do { try unplug() } catch { throw .application(error, undoing: nil) }
        try detach(.disk(path))
    }

    /// A further lease, in sanlock's spelling.
    public func attachLease(_ spelling: String, waitSeconds: Double = 0) throws(DomainLockError) {
        try attach(.lease(spelling), waitSeconds) {}
    }

    /// Gives a lease back that is no disk's.
    public func detachLease(_ spelling: String) throws(DomainLockError) {
        try DomainLockError.refusing { () throws(LockManagerError) in
            try manager.releaseResource(.lease(spelling))
        }
    }

    /// Another image for a disk (a snapshot, the end of a mirror, a blockcommit): the new one's lease, the change, and only then
    /// the old one's lease back. Fails whole: where the change fails, or the guest goes on writing the old image, the new one's lease
    /// is given back.
    ///
    /// - Parameters:
    ///   - mode: how the new image is used; nil: as the old one.
    ///   - change: has the emulator use the new image.
    /// - Throws: ``DomainLockError/leaseKept(_:_:)`` where the guest has both open; then it keeps both leases.
    public func replaceDisk(
        _ old: String, with new: String, _ mode: Resource.Mode? = nil, waitSeconds: Double = 0,
        change: () throws -> Void
    ) throws(DomainLockError) {
        var oldMode = Resource.Mode.exclusive
        if manager.isSupervised {
            let (leases, path) = try DomainLockError.refusing { () throws(LockManagerError) in
                (try manager.inquire(), try Resource.path(ofDisk: old))
            }
            guard let lease = leases.first(where: { $0.disk == path }) else {
                throw .refused(.invalidResource(old, why: "the guest has no lease of it"))
            }
            oldMode = lease.mode == .shared ? .shared : .exclusive
        }
        let resource = Resource.disk(new, mode ?? oldMode)
        let isNew = try attach(resource, waitSeconds, change)
        do throws(LockManagerError) { try manager.releaseResource(.disk(old)) } catch {
            guard isNew, failure(of: { () throws(LockManagerError) in try manager.releaseResource(resource) }) == nil
            else {
                throw .leaseKept(.disk(old), error)
            }
            throw .refused(error)
        }
    }

    // Whether a lease is new.
    @discardableResult
    private func attach(
        _ resource: Resource, _ waitSeconds: Double, _ use: () throws -> Void
    ) throws(DomainLockError) -> Bool {
        let taken = try DomainLockError.refusing { () throws(LockManagerError) in
            // What the guest has already is not to be given back when this fails.
            let before = try manager.inquire()
            let held = try manager.acquireResource(resource, waitSeconds: waitSeconds)
            return held.contains { lease in !before.contains { $0.names(lease) } }
        }
        do { try use() } catch {
            let undoing = taken ? failure { () throws(LockManagerError) in try manager.releaseResource(resource) } : nil
            throw .application(error, undoing: undoing)
        }
        return taken
    }

    private func detach(_ resource: Resource) throws(DomainLockError) {
        do throws(LockManagerError) { try manager.releaseResource(resource) } catch {
            throw .leaseKept(resource, error)
        }
    }
}

extension GuestLease {
    fileprivate func names(_ other: GuestLease) -> Bool {
        lockspace == other.lockspace && resource == other.resource
    }
}
