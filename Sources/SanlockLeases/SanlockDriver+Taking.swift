import Glibc
import Leases
import Platform

/// One lease that sanlock refused.
struct RefusedLease: Error {
    let request: LeaseRequest
    let code: SanlockCode
}

// How leases are taken, and what is done about one that is refused.
extension SanlockDriver {
    /// How long to wait for somebody else who has a lease's section: longer than a whole mending takes, and shorter than
    /// a person waits for a host that hangs with it.
    private var sectionSeconds: Double {
        30 + 4 * settings.ioSeconds
    }

    /// How long files are made again that somebody else removes, who knows nothing of sections.
    private static let makingSeconds = 20.0

    /// Once more, with the sections of the leases: nobody can clean them up, make or mend them meanwhile, so that what is
    /// busy now is in use.
    func acquireWithCare(
        _ requests: [LeaseRequest], _ automatic: [LeaseRequest], after refusal: RefusedLease,
        _ progress: (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> [HeldLease] {
        guard refusal.request.disk != nil else { throw failure(refusal) }
        if refusal.code.outcome != .leaseFileMissing, refusal.code.outcome != .lockspaceGone,
            !refusal.code.isUnformatted
        {
            // Whoever left a record that fits the lease is a guest, and no clean-up.
            let failure = failure(refusal)
            guard failure.isBusy, failure.holder?.record != .believed else { throw failure }
        }
        progress(LeaseProgress("somebody makes, mends or cleans up its leases", secondsAtMost: sectionSeconds))
        let section: LeaseSection?
        do throws(SystemError) {
            section = try LeaseSection(
                of: automatic.map(\.resource.name), in: files, waitingSeconds: sectionSeconds)
        } catch {
            // A directory without locks: what is missing can be made without, nothing is put over anything.
            section = nil
        }
        var joins = 0
        var deadline = Clock.monotonicSeconds() + SanlockDriver.makingSeconds
        while true {
            do throws(RefusedLease) {
                return try take(requests)
            } catch {
                try? release(requests)
                guard error.request.disk != nil else { throw failure(error) }
                switch error.code.outcome {
                case .lockspaceGone where joins == 0:
                    joins += 1
                    try membership.join(progress: progress)
                case .leaseFileMissing where Clock.monotonicSeconds() < deadline:
                    for request in automatic where files.isMissing(request) {
                        deadline += awaitHolders(of: request, progress)
                        try files.make(files.lease(request))
                    }
                case .leaseFileMissing:
                    throw LeaseFailure(
                        .beingReleased, request: error.request,
                        detail: "its lease file is removed again and again (\(error.code.symbol))")
                case .leaseFileUnusable where error.code.isUnformatted && Clock.monotonicSeconds() < deadline:
                    deadline += awaitHolders(of: error.request, progress)
                    try mend(error.request, section, progress)
                default:
                    throw failure(error)
                }
            }
        }
    }

    private func mend(
        _ request: LeaseRequest, _ section: borrowing LeaseSection?, _ progress: (LeaseProgress) -> Void
    ) throws(LeaseFailure) {
        let wanted = files.lease(request)
        switch section {
        case .none:
            throw LeaseFailure(
                .leaseFileUnusable, request: request,
                detail:
                    "\(wanted.subject) is not formatted, and can't be mended: another host is at it, or the directory "
                    + "has no locks (fcntl); mount it with locks")
        case .some(let section):
            do throws(LeaseFailure) {
                try files.mend(wanted, holding: section, progress: progress) {
                    do throws(SanlockCode) {
                        try inTurn { () throws(SanlockCode) in
                            try SanlockCalls.acquire([request], for: pid)
                            try? SanlockCalls.release([request], of: pid)
                        }
                        return nil
                    } catch {
                        return error
                    }
                }
            } catch {
                throw error.outcome == .leaseFileUnusable ? advisingRepair(error, request) : error
            }
        }
    }

    /// Takes all of them, and makes sure that they are the ones that others will ask for.
    func take(_ requests: [LeaseRequest]) throws(RefusedLease) -> [HeldLease] {
        try acquireAll(requests)
        let held = held(requests)
        for lease in held {
            do throws(SystemError) {
                if try isInPlace(lease) { continue }
            } catch  where error.number != ENOENT {
                throw RefusedLease(request: lease.request, code: SanlockCode(number: -error.number))
            } catch {}
            // The file was removed while the daemon had it open, and what it took is nobody else's business any more.
            throw RefusedLease(request: lease.request, code: SanlockCode(number: -ENOENT))
        }
        return held
    }

    // Whoever removes the file after this look has to take the lease first. Only automatic leases are ever removed.
    func isInPlace(_ lease: HeldLease) throws(SystemError) -> Bool {
        guard lease.request.disk != nil, let hostId = settings.hostId else { return true }
        let path = lease.request.resource.path
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try SharedFile.read(path, offset: 0, count: 4096) } catch {
            // Not this user's to read: the daemon's then.
            guard error.number == EACCES else { throw error }
            return (try? SanlockCalls.owners(of: lease.request.resource))?.hosts.contains { $0.id == hostId } ?? false
        }
        guard case .whole(let leader) = LeaseContent(bytes[...], isCutShort: false) else { return false }
        if lease.request.mode == .exclusive {
            return leader.owner == hostId && (lease.version == nil || leader.version == lease.version)
        }
        let slot = (Int(hostId) + 1) * leader.sectorBytes
        let block = slot & ~4095
        let slots = try SharedFile.read(path, offset: Int64(block), count: 4096)
        return LeaseContent.isSharing(slots.dropFirst(slot - block))
    }

    private func acquireAll(_ requests: [LeaseRequest]) throws(RefusedLease) {
        for some in SanlockDriver.calls(for: requests) {
            do throws(SanlockCode) {
                asked.withLock { $0 += some }
                try inTurn { () throws(SanlockCode) in try SanlockCalls.acquire(some, for: pid) }
            } catch {
                guard let first = some.first else { continue }
                if some.count == 1 { throw RefusedLease(request: first, code: error) }
                try acquireSingly(some)
            }
        }
    }

    // A call for several says only that one was refused. One by one they tell which; where all are had that way, the
    // one that was busy has become free, and all are held as wanted.
    private func acquireSingly(_ requests: ArraySlice<LeaseRequest>) throws(RefusedLease) {
        for request in requests {
            do throws(SanlockCode) {
                try inTurn { () throws(SanlockCode) in try SanlockCalls.acquire([request], for: pid) }
            } catch {
                throw RefusedLease(request: request, code: error)
            }
        }
    }

    /// The requests in portions that one call takes.
    static func calls(for requests: [LeaseRequest]) -> [ArraySlice<LeaseRequest>] {
        stride(from: 0, to: requests.count, by: SanlockCalls.resourcesPerCall).map {
            requests[$0..<min($0 + SanlockCalls.resourcesPerCall, requests.count)]
        }
    }

    func held(_ requests: [LeaseRequest]) -> [HeldLease] {
        let versions = (try? inTurn { () throws(SanlockCode) in try SanlockCalls.held(by: pid) }) ?? [:]
        return requests.map { request in
            if request.mode == .shared { return HeldLease(request: request, version: nil) }
            let name = [request.resource.lockspace, request.resource.name]
            // The daemon tells none where one lease's path has a space in it. The storage does.
            let version = versions[name].flatMap { $0 } ?? (try? SanlockCalls.owners(of: request.resource))?.version
            return HeldLease(request: request, version: version)
        }
    }
}
