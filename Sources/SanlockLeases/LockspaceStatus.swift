import Glibc
import Leases
import Platform

/// A host of the lockspace of automatic leases.
public struct LockspaceHost: Sendable {
    /// What is known of it.
    public enum State: String, Sendable {
        /// It renews.
        case live
        /// It has not renewed for eight io timeouts, and may be ending its guests.
        case failing
        /// It has not renewed for so long that its leases are free.
        case dead
        /// It was watched too short a time to say; or nobody here watches.
        case unknown
        /// It has left.
        case left
    }

    /// Its id.
    public let id: UInt64
    /// Its name.
    public let name: String?
    /// Whether it is this host.
    public let isOwn: Bool
    /// What is known of it.
    public let state: State
    /// How often it has joined.
    public let generation: UInt64
    /// How long its last renewal is ago, in seconds: between these, as far as this host can tell.
    public let renewedSecondsAgo: (least: Double, most: Double?)
}

/// The lockspace of automatic leases, as this host sees it.
public struct LockspaceStatus: Sendable {
    /// Its name.
    public let name = LeaseName.lockspace
    /// Its file.
    public let path: String
    /// This host's id, where one is set.
    public let hostId: UInt64?
    /// Whether this host has joined it.
    public let isJoined: Bool
    /// The hosts that were ever there, by their ids.
    public let hosts: [LockspaceHost]
    /// A host that wanted this host's id.
    public let clash: HostIdClash?
}

/// What can be done to the lockspace of automatic leases on this host.
public struct LockspaceAdministration: Sendable {
    private let settings: SanlockSettings
    private let membership: LockspaceMembership

    /// Nothing is asked yet.
    public init(settings: SanlockSettings) {
        self.settings = settings
        membership = LockspaceMembership(settings: settings)
    }

    /// Makes the lockspace's file, unless a whole one is there.
    ///
    /// - Parameter force: also where leases of the directory are held: by hosts that the new lockspace doesn't know.
    /// - Returns: whether one was made.
    public func initialize(force: Bool, progress: (LeaseProgress) -> Void) throws(LeaseFailure) -> Bool {
        try LeaseFiles(settings: settings).checkDirectory()
        try LeaseDirectory.checkDaemon()
        return try membership.provide(force: force, progress)
    }

    /// Joins it as this host. Returns false where that was so already.
    public func join(progress: (LeaseProgress) -> Void) throws(LeaseFailure) -> Bool {
        try membership.checkHostId()
        try LeaseFiles(settings: settings).checkDirectory()
        try LeaseDirectory.checkDaemon()
        if membership.isJoined() { return false }
        try membership.join(progress: progress)
        return true
    }

    /// Leaves it. Returns false where this host wasn't in it. Refused while a process of this host has a lease in it.
    public func leave() throws(LeaseFailure) -> Bool {
        try membership.checkHostId()
        try LeaseDirectory.checkDaemon()
        guard membership.isJoined(), let hostId = settings.hostId else { return false }
        let path = settings.lockspacePath
        do throws(SanlockCode) {
            try SanlockCalls.leave(LeaseName.lockspace, hostId: hostId, path: path, ifUnused: true)
            return true
        } catch {
            if error.outcome == .beingReleased {
                throw LeaseFailure(
                    .heldElsewhere,
                    detail:
                        "guests of this host hold leases in lockspace \(LeaseName.lockspace) (\(error.symbol)); stop "
                        + "them first (leasehold list, sanlock client status)")
            }
            throw LeaseFailure(
                error.outcome, detail: "lockspace \(LeaseName.lockspace) can't be left: \(error.explanation)")
        }
    }

    /// What is known of it and its hosts.
    public func status() throws(LeaseFailure) -> LockspaceStatus {
        try LeaseFiles(settings: settings).checkPresence()
        let path = settings.lockspacePath
        let isJoined = membership.isJoined()
        var watched: [UInt64: WatchedHost] = [:]
        if isJoined {
            do throws(SanlockCode) {
                for host in try SanlockCalls.hosts(of: LeaseName.lockspace) { watched[host.id] = host }
            } catch  where error.number == -EAGAIN {
                // Joined this moment: nobody was looked at yet.
            } catch {
                throw LeaseFailure(error.outcome, detail: "the hosts can't be asked for: \(error.explanation)")
            }
        }
        do throws(SystemError) {
            guard try Files.kind(of: path) != nil else {
                throw SystemError("missing; leasehold lockspace init makes it", on: path, number: 0)
            }
            _ = try SharedFile.read(path, offset: 0, count: 4096)
        } catch {
            throw LeaseFailure(.lockspaceGone, detail: "lockspace file \(error.message)")
        }
        guard LockspaceSlots.sizes(in: path) != nil else {
            throw LeaseFailure(.lockspaceGone, detail: "lockspace file \(path) is not formatted")
        }
        let now = Clock.monotonicSeconds()
        let hosts = LockspaceSlots.all(in: path).map { slot in
            host(slot, watched[slot.hostId], isOwn: slot.hostId == settings.hostId && isJoined, now)
        }
        return LockspaceStatus(
            path: path, hostId: settings.hostId, isJoined: isJoined, hosts: hosts,
            clash: settings.hostId.flatMap { HostIdClash.read(settings: settings, hostId: $0) })
    }

    private func host(_ slot: LockspaceSlot, _ watched: WatchedHost?, isOwn: Bool, _ now: Double) -> LockspaceHost {
        let ioTimeoutSeconds = Double.ioSeconds(slot.ioTimeoutSeconds)
        var state = LockspaceHost.State.unknown
        var age: (least: Double, most: Double?) = (0, nil)
        if slot.timestamp == 0 {
            state = .left
        } else if isOwn {
            // A renewal's time is that of this host's own clock.
            let seconds = max(0, now - Double(slot.timestamp))
            age = (seconds, seconds)
            state = seconds <= 8 * ioTimeoutSeconds ? .live : .failing
        } else if let watched {
            switch watched.state {
            case .live: (state, age) = (.live, (0, 8 * ioTimeoutSeconds))
            case .failing: (state, age) = (.failing, (8 * ioTimeoutSeconds, watched.deadSeconds))
            case .dead: (state, age) = (.dead, (watched.deadSeconds, nil))
            case .free: state = .left
            case .unknown: break
            }
        }
        return LockspaceHost(
            id: slot.hostId, name: slot.name, isOwn: isOwn, state: state, generation: slot.generation,
            renewedSecondsAgo: age)
    }
}
