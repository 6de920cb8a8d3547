import ControlProtocol
import Platform
import QEMUMonitor
import Supervision

/// A migration that this supervisor has the guest's emulator make, for a caller who waits for its end.
final class OutgoingMigration {
    /// Nil: the caller takes no answer.
    var client: ControlClient?
    /// Whether it was called off.
    var isAbandoned = false

    init(client: ControlClient?) {
        self.client = client
    }
}

extension Supervisor {
    /// How often the monitor is asked how far a migration has come.
    private static var migrationLookSeconds: Double { 0.05 }

    // MARK: - Waiting for a migration's end, whoever makes it

    func awaitStandstill() {
        isAwaitingStandstill = true
        lookForStandstill()
    }

    func stopAwaiting() {
        isAwaitingStandstill = false
        loop.cancel(.standstill)
    }

    func lookForStandstill() {
        guard isAwaitingStandstill else { return }
        if monitor.connection?.conversation.isReady == true, !monitor.questions.values.contains(.standstill) {
            ask(.queryStatus, .standstill)
        }
        loop.start(.standstill, seconds: Supervisor.migrationLookSeconds)
    }

    func takeStandstill(_ status: MonitorStatus) {
        guard isAwaitingStandstill else { return }
        // A source that somebody has merely stopped has not been migrated.
        let hasCome = supervision.isLeaving ? status.hasMigratedAway : status.staysStopped
        guard hasCome else { return }
        stopAwaiting()
        handle(.guestStoodStill)
    }

    /// Whether the guest is the target of a migration that was never let run: what its source remembers still fits its disks.
    var isUnused: Bool { plan.settings.isIncoming && !monitor.mayHaveGoneOn }

    // MARK: - Making one

    /// Nil: the answer comes when it is done.
    func migrate(to uri: String, for client: ControlClient?) -> Reply? {
        guard supervision.isLeaving, supervision.hasLeasesInPeace else {
            return .error(.wrongState(state: wireState.rawValue))
        }
        guard migration == nil, pendingOrder == nil else { return .error(error(for: .underWay)) }
        guard monitor.connection?.conversation.isReady == true else { return .error(error(for: .silent)) }
        migration = OutgoingMigration(client: client)
        ask(.migrate(uri: uri), .migrate)
        return nil
    }

    func migrationBegan() {
        loop.start(.migration, seconds: Supervisor.migrationLookSeconds)
    }

    func lookAtMigration() {
        guard migration != nil else { return }
        if monitor.connection?.conversation.isReady == true, !monitor.questions.values.contains(.migration) {
            ask(.queryMigration, .migration)
        }
        loop.start(.migration, seconds: Supervisor.migrationLookSeconds)
    }

    func take(_ state: MonitorMigration) {
        guard let migration else { return }
        if state.isCompleted {
            endMigration(.empty)
            // Nobody is left to bring it to its end: the guest has its leases, and goes on here.
            if migration.isAbandoned { callBack() }
        } else if state.hasFailed {
            endMigration(
                .error(.unavailable(why: "the migration \(state.word): \(state.problem ?? "no reason given")")))
            if migration.isAbandoned { callBack() }
        }
    }

    func endMigration(_ reply: Reply) {
        guard let migration else { return }
        self.migration = nil
        loop.cancel(.migration)
        if let client = migration.client { answer(client, reply) }
    }

    /// The caller is gone.
    func abandonMigration() {
        migration?.client = nil
        migration?.isAbandoned = true
        note(.warning, "whoever migrates the guest is gone: the migration is called off")
        ask(.cancelMigration, nil)
    }

    private func callBack() {
        guard pendingOrder == nil else { return }
        let order = Order.comeBack
        pendingOrder = PendingOrder(order, .nothing, client: nil)
        handle(.ordered(order))
    }
}
