import Glibc
import Leases
import Platform

/// This host in the lockspace of automatic leases.
struct LockspaceMembership {
    let settings: SanlockSettings
    private let files: LeaseFiles

    init(settings: SanlockSettings) {
        self.settings = settings
        files = LeaseFiles(settings: settings)
    }

    /// Throws where no host id is set.
    func checkHostId() throws(LeaseFailure) {
        if settings.hostId == nil {
            throw LeaseFailure(
                .configurationWrong,
                detail: "host_id is not set; give each host that shares the lease directory "
                    + "a number of its own, from 1 to 2000")
        }
    }

    /// Whether the daemon has joined it, as this host and from this file.
    func isJoined() -> Bool {
        (try? isJoined(waits: false)) ?? false
    }

    func isJoined(waits: Bool) throws(SanlockCode) -> Bool {
        guard let hostId = settings.hostId else { return false }
        return try SanlockCalls.isJoined(
            LeaseName.lockspace, hostId: hostId, path: settings.lockspacePath, waits: waits)
    }

    /// Looks whether the daemon renews in the file that is at the path now. In one that was removed or emptied since, other
    /// hosts can't see that this one lives.
    func checkOwnSlot() throws(LeaseFailure) {
        guard let hostId = settings.hostId else { return }
        let path = settings.lockspacePath
        let slot = LockspaceSlots.slot(of: hostId, in: path)
        let ioSeconds = slot.map { Double.ioSeconds($0.ioTimeoutSeconds) } ?? 0
        if let slot, slot.timestamp != 0,
            Clock.monotonicSeconds() - Double(slot.timestamp) < 8 * ioSeconds + LockspaceMembership.slackSeconds
        {
            return
        }
        throw LeaseFailure(
            .lockspaceGone,
            detail:
                "the sanlock daemon has joined a lockspace file that is not at \(path) any more, or can't renew there; stop "
                + "this host's guests, then leasehold lockspace leave, and start again")
    }

    // What fails to renew any longer the daemon has given up by itself.
    private static let slackSeconds = 10.0

    /// Joins it, and makes it where it is missing or was never finished. Another process of this host may do so at the
    /// same time. Blocks for three io timeouts, or more than eight and a minute where this host's id was not given back.
    ///
    /// - Parameter makes: whether to make its file where there is none. Not where leases were held in it: what is missing
    ///   then may come back.
    func join(makes: Bool = true, progress: (LeaseProgress) -> Void) throws(LeaseFailure) {
        guard let hostId = settings.hostId else { return }
        let path = settings.lockspacePath
        if makes { try provide(progress) }
        do throws(SanlockCode) {
            progress(joining(hostId, path))
            // Joined or being joined by somebody else here, it is this host's own renewal that its slot would show.
            if try isJoined(waits: true) { return }
            // Of two hosts that want one id in the same moment, the second sees the first one's renewals.
            let section = try? LeaseSection(
                of: ["host-id-\(hostId)"], in: files, waitingSeconds: 20 * settings.ioSeconds + 90)
            defer { _ = section }
            if try isJoined(waits: true) { return }
            try checkSlot(hostId, path, progress)
            let ioTimeoutSeconds = settings.ioTimeoutSeconds
            progress(joining(hostId, path))
            do throws(SanlockCode) {
                try SanlockCalls.join(
                    LeaseName.lockspace, hostId: hostId, path: path, ioTimeoutSeconds: ioTimeoutSeconds)
            } catch {
                // Joined already, or being joined by another supervisor of this host at this moment.
                guard error.number == -EEXIST || error.number == -EINPROGRESS else { throw error }
                guard try isJoined(waits: true) else { throw error }
            }
            HostIdClash.remove(settings: settings, hostId: hostId)
        } catch {
            throw failure(error, hostId, path)
        }
    }

    private func joining(_ hostId: UInt64, _ path: String) -> LeaseProgress {
        LeaseProgress(
            "joining lockspace \(LeaseName.lockspace) as host id \(hostId)", secondsAtMost: joinSeconds(hostId, path))
    }

    // MARK: - The file

    /// Makes the lockspace's file where there is none, or one that no host has ever joined and sanlock refuses; but not
    /// while leases are held that were taken through another one, whose hosts would all be unknown in the new one.
    ///
    /// - Parameter force: even then.
    /// - Returns: whether one was made.
    @discardableResult
    func provide(force: Bool = false, _ progress: (LeaseProgress) -> Void) throws(LeaseFailure) -> Bool {
        var isMade = false
        if ((try? Files.kind(of: settings.lockspacePath)) ?? nil) == nil {
            if !force { try checkNobodyHolds() }
            try files.make(files.lockspace)
            isMade = true
        }
        guard let refusal = refusal() else { return isMade }
        guard refusal.isUnformatted else {
            throw LeaseFailure(
                outcome(refusal), detail: "\(files.lockspace.subject) can't be used: \(refusal.explanation)")
        }
        if !force { try checkNobodyHolds() }
        let section: LeaseSection?
        do throws(SystemError) {
            section = try LeaseSection(of: [LeaseName.lockspace], in: files, waitingSeconds: 60)
        } catch {
            throw files.notMade(files.lockspace, error)
        }
        switch section {
        case .none:
            throw LeaseFailure(
                .leaseFileNotMade,
                detail: "\(files.lockspace.subject) is not formatted, and another host is at it; try again")
        case .some(let section):
            do throws(LeaseFailure) {
                try files.mend(files.lockspace, holding: section, progress: progress, refusal: self.refusal)
            } catch {
                // Not a guest's lease file: nothing can be leased at all.
                guard error.outcome == .leaseFileUnusable else { throw error }
                throw LeaseFailure(.lockspaceGone, detail: error.detail)
            }
        }
        return true
    }

    private func checkNobodyHolds() throws(LeaseFailure) {
        let directory = LeaseDirectory(settings: settings)
        for name in (try? directory.names()) ?? [] where LeaseDirectory.isLeaseName(name) {
            let entry = directory.entry(name, disk: nil, [:])
            if entry.state == .unreadable {
                throw LeaseFailure(
                    .notPermitted,
                    detail: "\(files.lockspace.subject) is missing or empty, and lease \(entry.path) "
                        + "\(entry.problem ?? "can't be read"): nobody can say whether it is held")
            }
            guard let hostId = entry.holder?.hostId else { continue }
            throw LeaseFailure(
                .lockspaceGone,
                detail: "\(files.lockspace.subject) is missing or empty, but lease \(entry.path) was taken by host id "
                    + "\(hostId) through it and not given back; restore it, or once no host runs a guest of this directory: "
                    + "leasehold lockspace init --i-know-nobody-uses-it")
        }
    }

    // What sanlock says of the file; and of one whose end is missing it will say so when it renews.
    private func refusal() -> SanlockCode? {
        let path = settings.lockspacePath
        do throws(SanlockCode) { try SanlockCalls.readLockspace(LeaseName.lockspace, path: path) } catch {
            return error
        }
        guard let kind = try? Files.kind(of: path), kind.isRegular, let sizes = LockspaceSlots.sizes(in: path),
            kind.size < Int64(sizes.alignBytes)
        else { return nil }
        return SanlockCode(number: -EMSGSIZE)
    }

    // MARK: - The host id

    /// Looks whether another host lives under this host's id. sanlock would find that out in a minute or more; or never,
    /// where both hosts have the same name (copies of one machine, say).
    private func checkSlot(
        _ hostId: UInt64, _ path: String, _ progress: (LeaseProgress) -> Void
    ) throws(SanlockCode) {
        guard let first = LockspaceSlots.slot(of: hostId, in: path), first.timestamp != 0 else { return }
        let watchSeconds = 2 * Double.ioSeconds(first.ioTimeoutSeconds) + 1.5
        progress(
            LeaseProgress(
                "seeing whether another host uses host id \(hostId), which was not given back",
                secondsAtMost: watchSeconds))
        let deadline = Clock.monotonicSeconds() + watchSeconds
        while Clock.monotonicSeconds() < deadline {
            usleep(100_000)
            let now = LockspaceSlots.slot(of: hostId, in: path)
            if let now, now.timestamp != first.timestamp, now.timestamp != 0 {
                // It may be this host's own, which another process made join since.
                if try isJoined(waits: true) { return }
                HostIdClash.write(settings: settings, hostId: hostId, ownName: ownName, others: now.name)
                throw SanlockCode(number: SanlockCode.hostIdBusy)
            }
        }
    }

    /// The name of this host, as far as it can be told before it has joined.
    private var ownName: String? {
        DaemonProcess()?.hostName ?? Host.name
    }

    private func joinSeconds(_ hostId: UInt64, _ path: String) -> Double {
        let own = settings.ioSeconds
        guard let slot = LockspaceSlots.slot(of: hostId, in: path), slot.timestamp != 0 else { return 2 * own + 4 }
        // Not given back: sanlock waits until a watchdog is certain to have reset whoever had it.
        let other = Double.ioSeconds(slot.ioTimeoutSeconds)
        return slot.name == ownName ? 2 * own + 4 : 8 * other + 60 + 2 * other + 4
    }

    private func failure(_ code: SanlockCode, _ hostId: UInt64, _ path: String) -> LeaseFailure {
        switch code.number {
        case SanlockCode.hostIdBusy:
            let other = LockspaceSlots.hostName(of: hostId, in: path).map { " (\($0))" } ?? ""
            let own = ownName.map { ", and by this one (\($0))" } ?? ""
            return LeaseFailure(
                .hostIdInUse,
                detail: "host id \(hostId) of lockspace \(LeaseName.lockspace) is used by another host\(other)\(own) "
                    + "(\(code.symbol)); nothing was joined; give each host a host_id of its own")
        case -EINVAL:
            return LeaseFailure(
                .lockspaceGone,
                detail: "lockspace \(LeaseName.lockspace) can't be joined as host id \(hostId) (\(code.symbol)): the "
                    + "daemon has it under another host id or path; leave it first, or set host_id and "
                    + "disk_lease_dir alike")
        default:
            return LeaseFailure(
                code.outcome == .other ? .lockspaceGone : outcome(code),
                detail: "lockspace \(LeaseName.lockspace) in \(path) can't be joined: \(code.symbol); see the sanlock "
                    + "daemon's log")
        }
    }

    // A lockspace's file that is no lockspace is not a lease file of the guest's.
    private func outcome(_ code: SanlockCode) -> LeaseOutcome {
        switch code.outcome {
        case .notPermitted, .storageFailed, .daemonUnreachable, .hostIdInUse: code.outcome
        case .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .beingReleased, .orphaned, .sameDevice, .wrongVersion,
            .lockspaceGone, .leaseFileMissing, .leaseFileUnusable, .leaseFileNotMade, .hostIdTooLarge,
            .configurationWrong, .other:
            .lockspaceGone
        }
    }
}
