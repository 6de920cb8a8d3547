import Glibc
import Leases
import Platform

// Leases that are held, looked at.
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
        let now = Clock.monotonicSeconds()
        if isUrged || states.contains(where: { $0.isOverdue(now: now) }) {
            switch verdict(on: leases) {
            case .failed(let loss): return LeaseSight(lockspaces: states, loss: loss)
            case .stands: return LeaseSight(lockspaces: states.map { $0.notFailed(now: now) }, loss: nil)
            case .unknown: return LeaseSight(lockspaces: states, loss: nil)
            }
        }
        let isFresh = states.allSatisfy { state in
            state.renewalAgeSeconds(now: now).map { $0 <= 2 * state.ioTimeoutSeconds + 4 } ?? false
        }
        return LeaseSight(lockspaces: states, loss: isFresh ? lossInStorage(leases, states) : nil)
    }

    private func state(_ name: String, _ hostId: UInt64, _ path: String) -> LockspaceState {
        // Once, while the storage was just in use.
        if hostNames.withLock({ $0[name] == nil }) {
            let hostName = LockspaceSlots.hostName(of: hostId, in: path)
            hostNames.withLock { $0[name] = .some(hostName) }
        }
        let own = (try? SanlockCalls.hosts(of: name))?.first { $0.id == hostId }
        let grace = socket.withLock { $0 }.flatMap { DaemonProcess(connectedTo: $0) }?.graceSeconds
        return LockspaceState(
            name: name, hostId: hostId, hostName: hostNames.withLock { $0[name] ?? nil },
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

    private enum Verdict {
        case failed(LeaseLoss)
        case stands
        case unknown
    }

    // A lease that is held can't be taken (-17). In a lockspace that has failed the daemon says that first (-28); and once it has
    // told this process so, it refuses it every lease until it has given back what it has (-16).
    private func verdict(on leases: [HeldLease]) -> Verdict {
        var asked: Set<String> = []
        var verdict = Verdict.stands
        for lease in leases where asked.insert(lease.request.resource.lockspace).inserted {
            let code = refusal(of: lease)
            if code?.number == -EEXIST { continue }
            guard let code, code.outcome == .lockspaceGone || code.number == -EBUSY else {
                verdict = .unknown
                continue
            }
            let name = lease.request.resource.lockspace
            return .failed(
                LeaseLoss(
                    .byDeadline,
                    detail: "the sanlock daemon could not renew lockspace \(name) for too long and gave it up "
                        + "(\(code.symbol)); see to the lease storage"))
        }
        return verdict
    }

    // Somebody else's question about this process makes the daemon busy as well, for milliseconds.
    private func refusal(of lease: HeldLease) -> SanlockCode? {
        let probe = HeldLease(
            request: LeaseRequest(disk: nil, resource: lease.request.resource, mode: .exclusive), version: .max)
        var last: SanlockCode?
        for _ in 0..<5 {
            do throws(SanlockCode) {
                try inTurn { () throws(SanlockCode) in try SanlockCalls.retake([probe], for: pid) }
                return nil
            } catch {
                last = error
                if error.number != -EBUSY { return error }
                usleep(40_000)
            }
        }
        return last
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
}
