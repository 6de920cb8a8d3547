import Glibc
import Leases
import Platform

// Leases that are held: looked at, and taken again where they had to be let go.
extension SanlockDriver {
    /// How many looks there are to one that reads all of a lease, a mebibyte: to see that it shows this host as its owner
    /// and not only this version.
    private static let looksToWholeReading = 4

    /// Looks at the daemon first, and at the lease files only where it has just renewed: they can be read then.
    public func look(at leases: [HeldLease], isUrged: Bool) -> LeaseSight {
        let wanted = Set(leases.map(\.request.resource.lockspace))
        // Where it can't be asked, the connection tells that it is gone, or the time since the last look that it hangs.
        guard let joined = try? SanlockCalls.joinedLockspaces() else { return LeaseSight(lockspaces: [], loss: nil) }
        let states = joined.filter { wanted.contains($0.name) }.map { state($0.name, $0.hostId, $0.path) }
        if let missing = wanted.first(where: { name in !states.contains { $0.name == name } }) {
            return LeaseSight(
                lockspaces: states,
                loss: LeaseLoss(.atOnce, detail: "the sanlock daemon has left lockspace \(missing)"))
        }
        if let loss = lossAtDaemon(leases) { return LeaseSight(lockspaces: states, loss: loss) }
        if isUrged, let loss = failedLockspace(leases) { return LeaseSight(lockspaces: states, loss: loss) }
        let now = Clock.monotonicSeconds()
        let isFresh = states.allSatisfy { state in
            state.renewalAgeSeconds(now: now).map { $0 <= 2 * state.ioTimeoutSeconds + 4 } ?? false
        }
        return LeaseSight(lockspaces: states, loss: isFresh ? lossInStorage(leases, states) : nil)
    }

    private func state(_ name: String, _ hostId: UInt64, _ path: String) -> LockspaceState {
        if hostNames.withLock({ $0[name] == nil }), let hostName = LockspaceSlots.hostName(of: hostId, in: path) {
            hostNames.withLock { $0[name] = hostName }
        }
        let own = (try? SanlockCalls.hosts(of: name))?.first { $0.id == hostId }
        let grace = socket.withLock { $0 }.flatMap { DaemonProcess(connectedTo: $0) }?.graceSeconds
        return LockspaceState(
            name: name, hostId: hostId, hostName: hostNames.withLock { $0[name] },
            ioTimeoutSeconds: own.map { Double.ioSeconds($0.ioTimeoutSeconds) } ?? settings.ioSeconds,
            graceSeconds: grace ?? 40, shownRenewalSeconds: own.map { Double($0.timestamp) })
    }

    // What it holds for this process. It says nothing where a lease's path has a space in it.
    private func lossAtDaemon(_ leases: [HeldLease]) -> LeaseLoss? {
        guard let held = try? inTurn({ () throws(SanlockCode) in try SanlockCalls.held(by: pid) }) else { return nil }
        for lease in leases {
            let resource = lease.request.resource
            guard let version = held[[resource.lockspace, resource.name]] else {
                return LeaseLoss(.atOnce, detail: "the sanlock daemon doesn't hold \(lease.request.subject) any more")
            }
            if let version, let own = lease.version, version != own {
                return LeaseLoss(
                    .atOnce,
                    detail: "\(lease.request.subject) has version \(version) by now, and was taken as version \(own)")
            }
        }
        return nil
    }

    // A lease that is held can't be taken; in a lockspace that has failed the daemon says that first (-28).
    private func failedLockspace(_ leases: [HeldLease]) -> LeaseLoss? {
        var asked: Set<String> = []
        for lease in leases where asked.insert(lease.request.resource.lockspace).inserted {
            let probe = HeldLease(
                request: LeaseRequest(disk: nil, resource: lease.request.resource, mode: .exclusive), version: .max)
            do throws(SanlockCode) {
                try inTurn { () throws(SanlockCode) in try SanlockCalls.retake([probe], for: pid) }
            } catch {
                guard error.outcome == .lockspaceGone else { continue }
                let name = lease.request.resource.lockspace
                return LeaseLoss(
                    .byDeadline,
                    detail: "the sanlock daemon could not renew lockspace \(name) for too long and gave it up "
                        + "(\(error.symbol)); see to the lease storage")
            }
        }
        return nil
    }

    // Another's hand at a lease file gives the lease away: what is at its path is what others go by.
    private func lossInStorage(_ leases: [HeldLease], _ states: [LockspaceState]) -> LeaseLoss? {
        let isWhole = looks.withLock { looks in
            looks += 1
            return looks % SanlockDriver.looksToWholeReading == 0
        }
        for lease in leases {
            guard storageProblem(lease, states, isWhole: isWhole) != nil else { continue }
            // Once may be a moment in somebody's writing.
            usleep(200_000)
            guard let problem = storageProblem(lease, states, isWhole: true) else { continue }
            return LeaseLoss(
                .atOnce,
                detail:
                    "the lease of \(lease.request.subject) in \(lease.request.resource.path) is not this guest's any more: "
                    + problem)
        }
        return nil
    }

    private func storageProblem(_ lease: HeldLease, _ states: [LockspaceState], isWhole: Bool) -> String? {
        let resource = lease.request.resource
        do throws(SanlockCode) {
            let version = try SanlockCalls.version(of: resource)
            if let own = lease.version, version != own { return "it has version \(version), and was taken as \(own)" }
            guard isWhole, let hostId = states.first(where: { $0.name == resource.lockspace })?.hostId else {
                return nil
            }
            let owners = try SanlockCalls.owners(of: resource).hosts
            return owners.contains { $0.id == hostId } ? nil : "it doesn't show this host as its owner"
        } catch {
            return error.isOfChangedStorage ? error.explanation : nil
        }
    }

    /// Takes leases again that were given back or lost. Blocks for as long as joining the lockspace takes.
    public func retake(_ leases: [HeldLease]) throws(LeaseFailure) -> [HeldLease] {
        if let lease = leases.first(where: { $0.request.mode == .exclusive && $0.version == nil }) {
            throw LeaseFailure(
                .wrongVersion, request: lease.request,
                detail: "its version was not known, so nobody can tell whether somebody had it in between")
        }
        if leases.contains(where: { $0.request.disk != nil }) {
            try files.checkPresence()
            if !membership.isJoined() { try membership.join(makes: false) { _ in } }
            try membership.checkOwnSlot()
        }
        do throws(RefusedLease) {
            try retakeAll(leases)
            let held = held(leases.map(\.request))
            for (old, new) in zip(leases, held) {
                guard old.version.map({ new.version == $0 + 1 }) ?? true, (try? isInPlace(new)) ?? false else {
                    throw RefusedLease(request: new.request, code: .wrongVersion)
                }
            }
            return held
        } catch {
            try? releaseAll()
            throw failure(error)
        }
    }

    private func retakeAll(_ leases: [HeldLease]) throws(RefusedLease) {
        // One by one: each says which it was, and there is no hurry.
        for lease in leases {
            do throws(SanlockCode) {
                asked.withLock { $0.append(lease.request) }
                try inTurn { () throws(SanlockCode) in try SanlockCalls.retake([lease], for: pid) }
            } catch {
                throw RefusedLease(request: lease.request, code: error)
            }
        }
    }
}
