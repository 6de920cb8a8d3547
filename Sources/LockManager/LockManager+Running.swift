import ControlProtocol
import SupervisorConnection

// What is asked of a guest that runs.
extension LockManager {
    /// How long a supervisor may take for what it does itself, beyond what it is told to wait.
    private static var patienceSeconds: Double { 120 }

    /// Takes the lease of a disk before it is plugged in, or a lease; the README's `AcquireResource`. A disk that is held in the
    /// other mode is converted. With `nop` nothing is taken.
    ///
    /// Blocks for as long as the storage takes, two minutes at most and the time given.
    ///
    /// - Parameter waitSeconds: how long to wait for what is busy.
    /// - Returns: the leases that were taken; none of a disk that is only read.
    /// - Throws: ``LockManagerError/busy(_:holder:)``, and all that a guest that runs can answer.
    @discardableResult
    public func acquireResource(
        _ resource: Resource, waitSeconds: Double = 0
    ) throws(LockManagerError) -> [GuestLease] {
        let checked = try resource.checked()
        guard let sanlock = try sanlock() else { return [] }
        let patience = LockManager.patienceSeconds + waitSeconds
        return try ask(
            checked.acquire(waitSeconds: waitSeconds), of: try find(sanlock), timeoutSeconds: patience
        ) { reply throws(WireError) in try reply.values("acquired") }
    }

    /// Gives the lease of a disk back that was unplugged, or a lease; the README's `ReleaseResource`. With `nop` nothing is done.
    /// Blocks for two minutes at most.
    ///
    /// - Throws: ``LockManagerError/invalidResource(_:why:)`` of one that the guest has no lease of, or has still open; then the
    ///   lease is kept.
    public func releaseResource(_ resource: Resource) throws(LockManagerError) {
        let checked = try resource.checked()
        guard let sanlock = try sanlock() else { return }
        try carryOut(checked.release, sanlock)
    }

    /// Stops the guest's processors. Needs the supervisor's option `--qmp`; `nop` has nobody to do it. Blocks for two minutes at
    /// most.
    ///
    /// - Parameter release: whether to give the leases back as well, for the time being.
    public func suspend(release: Bool = false) throws(LockManagerError) {
        try carryOut(.suspend(release: release), try supervised("pausing a guest"))
    }

    /// Lets a paused guest go on, with the leases that were given back. Blocks for two minutes at most.
    ///
    /// - Throws: ``LockManagerError/busy(_:holder:)`` where somebody has one, or had it meanwhile; then the guest stays paused.
    public func resume() throws(LockManagerError) {
        try carryOut(.resume, try supervised("letting a guest go on"))
    }

    // MARK: - Migration

    /// The source's first step; the README's `PrepareMigrate`. The guest runs on. Blocks for two minutes at most.
    ///
    /// - Parameter uri: where the guest is to go, for people and for the ticket.
    /// - Returns: what the target needs to start.
    public func prepareMigrate(to uri: String) throws(LockManagerError) -> MigrationTicket {
        guard let sanlock = try sanlock() else { return MigrationTicket(nothingHeldOf: guest, uri: uri) }
        return try ticket(.prepareMigrate(uri: uri), sanlock, LockManager.patienceSeconds)
    }

    /// The source's last step: waits until the emulator has sent the guest and stopped it, and gives its leases back. With
    /// `cancel` it takes them again where they were given back, and lets the guest run on.
    ///
    /// - Parameter timeoutSeconds: how long to wait at most; nil: as long as it takes.
    /// - Returns: what the target needs to take them.
    public func completeMigrateOut(
        cancel: Bool = false, timeoutSeconds: Double? = nil
    ) throws(LockManagerError) -> MigrationTicket {
        guard let sanlock = try sanlock() else { return MigrationTicket(nothingHeldOf: guest, uri: "") }
        return try ticket(.completeMigrateOut(cancel: cancel), sanlock, timeoutSeconds)
    }

    /// The target's last step: waits until the guest has arrived, takes its leases under the versions that the source gave back,
    /// and lets it run. With `cancel` the guest is ended instead.
    ///
    /// - Parameters:
    ///   - ticket: what the source's `completeMigrateOut` returned; needed unless it is cancelled.
    ///   - timeoutSeconds: how long to wait at most; nil: as long as it takes.
    public func completeMigrateIn(
        _ ticket: MigrationTicket? = nil, cancel: Bool = false, timeoutSeconds: Double? = nil
    ) throws(LockManagerError) {
        guard cancel || ticket != nil else { throw .invalidTicket("none was given") }
        guard let sanlock = try sanlock() else { return }
        try carryOut(
            .completeMigrateIn(ticket: ticket?.json, cancel: cancel), sanlock, timeoutSeconds: timeoutSeconds)
    }

    private func ticket(
        _ call: Call, _ sanlock: LockManagerPlugin.Sanlock, _ timeoutSeconds: Double?
    ) throws(LockManagerError) -> MigrationTicket {
        try ask(call, of: try find(sanlock), timeoutSeconds: timeoutSeconds) { reply throws(WireError) in
            try MigrationTicket(reply)
        }
    }

    private func carryOut(
        _ call: Call, _ sanlock: LockManagerPlugin.Sanlock, timeoutSeconds: Double? = LockManager.patienceSeconds
    ) throws(LockManagerError) {
        try ask(call, of: try find(sanlock), timeoutSeconds: timeoutSeconds) { _ in }
    }

    // MARK: - Looking

    /// All that its supervisor says of the guest. Blocks for five seconds at most.
    public func status() throws(LockManagerError) -> GuestStatus {
        try status(of: try find(try supervised("telling a guest's status")))
    }

    /// The guest's leases with their versions; the README's `Inquire`. With `nop` there are none. Blocks for five seconds at most.
    public func inquire() throws(LockManagerError) -> [GuestLease] {
        try sanlock() == nil ? [] : status().leases
    }

    // MARK: - The end

    /// Ends the guest if it still runs, and returns when it is dead and its leases are free; the README's `Shutdown`. With `nop`
    /// nothing is done, and nil returned.
    ///
    /// Blocks for the guest's stop time-out, after which it is killed, and a few seconds.
    ///
    /// - Parameter stopTimeoutSeconds: from SIGTERM to SIGKILL; nil: as the supervisor was told.
    /// - Returns: how the guest ended; of one that had ended before, how it did then.
    @discardableResult
    public func shutdown(stopTimeoutSeconds: Double? = nil) throws(LockManagerError) -> GuestExit? {
        guard let sanlock = try sanlock() else { return nil }
        return try end(sanlock) { found throws(ConnectionError) in
            // A supervisor that doesn't answer this would not stop anything either.
            try found.ask(.getStatus, timeoutSeconds: 5) { _ in }
            return try found.ask(.shutdown(timeoutSeconds: stopTimeoutSeconds), timeoutSeconds: nil) {
                reply throws(WireError) in try reply.value("exit")
            }
        }
    }

    /// Kills the guest, and its supervisor too where that does not answer. Blocks for fifteen seconds at most.
    ///
    /// - Returns: how the guest ended.
    @discardableResult
    public func kill() throws(LockManagerError) -> GuestExit {
        let sanlock = try supervised("killing a guest")
        return try end(sanlock) { found throws(ConnectionError) in
            do throws(ConnectionError) {
                return try found.ask(.kill, timeoutSeconds: 12) { reply throws(WireError) in try reply.value("exit") }
            } catch {
                guard case .silent(let name, _) = error else { throw error }
                found.killSupervisor()
                throw .gone(name)
            }
        }
    }

    private func end(
        _ sanlock: LockManagerPlugin.Sanlock, _ ask: (FoundGuest) throws(ConnectionError) -> GuestExit
    ) throws(LockManagerError) -> GuestExit {
        let found: FoundGuest
        do throws(LockManagerError) { found = try find(sanlock) } catch {
            let record = EndedGuest.record("\(sanlock.directory.exits)/\(guest.guestName.fileName).json")
            guard case .notRunning = error, let record, record.uuid.lowercased() == guest.uuid else { throw error }
            return record
        }
        do throws(ConnectionError) { return try ask(found) } catch {
            guard error.isGone else { throw LockManagerError(error) }
            guard let exit = EndedGuest(found, uuid: nil, in: sanlock.directory).exit,
                exit.uuid.lowercased() == guest.uuid
            else { throw .notRunning(guest.name) }
            return exit
        }
    }
}
