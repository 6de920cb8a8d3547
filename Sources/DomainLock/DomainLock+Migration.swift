import LockManager

// During migration. The target is started with `startIncoming`; then, on the source, `migrate`; its ticket goes to the target's
// `finishIncoming`; then the source's `shutdown`. Where anything fails, `cancelIncoming` on the target before `cancelMigration` on
// the source.
extension DomainLock {
    /// The source: prepares, has the guest sent, and gives its leases back. Where it can't be sent the guest runs on.
    ///
    /// - Parameters:
    ///   - uri: where the guest is to go.
    ///   - timeoutSeconds: how long to wait for the guest to have stopped once `send` has returned; nil: as long as it takes.
    ///   - send: has the emulator migrate the guest and returns when that is completed; it is given what the target may want to
    ///     know before.
    /// - Returns: the ticket with which the target takes the leases. Until it has, this guest neither runs nor holds them.
    public func migrate(
        to uri: String, timeoutSeconds: Double? = nil, send: (MigrationTicket) throws -> Void
    ) throws(DomainLockError) -> MigrationTicket {
        let prepared = try DomainLockError.refusing { () throws(LockManagerError) in
            try manager.prepareMigrate(to: uri)
        }
        do {
            try send(prepared)
        } catch {
            throw .application(
                error,
                undoing: failure { () throws(LockManagerError) in _ = try manager.completeMigrateOut(cancel: true) })
        }
        do throws(LockManagerError) {
            return try manager.completeMigrateOut(timeoutSeconds: timeoutSeconds)
        } catch {
            // Released or not: cancelling finds the way back from both.
            let undoing = failure { () throws(LockManagerError) in _ = try manager.completeMigrateOut(cancel: true) }
            throw .application(error, undoing: undoing)
        }
    }

    /// The source, when the target could not take over: takes the leases back and lets the guest run on. Refused where the target,
    /// or anybody else, has them.
    public func cancelMigration() throws(DomainLockError) {
        _ = try DomainLockError.refusing { () throws(LockManagerError) in
            try manager.completeMigrateOut(cancel: true)
        }
    }

    /// The target: takes the leases that the source gave back, and lets the guest run.
    ///
    /// - Parameter timeoutSeconds: how long to wait for the guest to have arrived; nil: as long as it takes.
    public func finishIncoming(
        _ ticket: MigrationTicket, timeoutSeconds: Double? = nil
    ) throws(DomainLockError) {
        try DomainLockError.refusing { () throws(LockManagerError) in
            try manager.completeMigrateIn(ticket, timeoutSeconds: timeoutSeconds)
        }
    }

    /// The target, when the migration failed: ends the guest that waited, and frees the manager.
    public func cancelIncoming() throws(DomainLockError) {
        try DomainLockError.refusing { () throws(LockManagerError) in try manager.completeMigrateIn(cancel: true) }
        manager.free()
    }
}
