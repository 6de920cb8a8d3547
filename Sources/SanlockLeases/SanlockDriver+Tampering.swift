import Glibc
import Leases
import Platform

// A lease file that somebody removed, emptied or wrote over while a guest ran under it. sanlock gives such a lease to whoever
// asks next; the guest's supervisor notices at its next look, and stops the guest. Until then its record keeps others away.
extension SanlockDriver {
    /// Waits until nobody who wrote down that he has a lease can still run under it, whose file is missing or empty.
    ///
    /// - Returns: how long that took, in seconds.
    func awaitHolders(of request: LeaseRequest, _ progress: (LeaseProgress) -> Void) -> Double {
        let start = Clock.monotonicSeconds()
        waitOut(request, progress) { records.claims(on: request) }
        return Clock.monotonicSeconds() - start
    }

    /// The same of leases that were had, where the record of another shows that they can't have been his.
    ///
    /// - Returns: the leases, taken anew where their versions were the ones that somebody goes by.
    func awaitOthers(
        _ held: [HeldLease], _ progress: (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> [HeldLease] {
        var held = held
        for (index, lease) in held.enumerated() where lease.request.disk != nil {
            guard let version = lease.version, contradicts(records.claim(on: lease.request), version) else { continue }
            do throws(LeaseFailure) {
                held[index] = try taking(lease, whereVersionIs: records.claim(on: lease.request)?.version)
                waitOut(lease.request, progress) {
                    records.claim(on: lease.request).map { contradicts($0, version) ? [$0] : [] } ?? []
                }
            } catch {
                try? release(held.map(\.request))
                throw error
            }
            records.discard(lease.request)
        }
        return held
    }

    // Each acquire makes the version one higher: whoever had the lease before has a lower one in his record.
    private func contradicts(_ claim: HolderRecords.Claim?, _ version: UInt64) -> Bool {
        guard let claimed = claim?.version else { return false }
        return version <= claimed
    }

    // The version is what the other looks at.
    private func taking(_ lease: HeldLease, whereVersionIs version: UInt64?) throws(LeaseFailure) -> HeldLease {
        guard lease.version == version else { return lease }
        do throws(SanlockCode) {
            try inTurn { () throws(SanlockCode) in
                try SanlockCalls.release([lease.request], of: pid)
                try SanlockCalls.acquire([lease.request], for: pid)
            }
        } catch {
            throw failure(RefusedLease(request: lease.request, code: error))
        }
        return held([lease.request]).first ?? lease
    }

    private func waitOut(
        _ request: LeaseRequest, _ progress: (LeaseProgress) -> Void, _ claims: () -> [HolderRecords.Claim]
    ) {
        let start = Clock.monotonicSeconds()
        var hasSaid = false
        while true {
            let hosts = owners.watch.look(at: request.resource.lockspace)
            let standing = claims().compactMap { claim in
                noticeSeconds(claim, hosts).map { (holder: claim.holder, seconds: $0) }
            }
            guard let last = standing.max(by: { $0.seconds < $1.seconds }) else { return }
            let left = start + last.seconds - Clock.monotonicSeconds()
            if left <= 0 { return }
            if !hasSaid {
                hasSaid = true
                progress(
                    LeaseProgress(
                        "the lease file of \(request.subject) was removed or changed; \(last.holder.shortDescription) may still use it",
                        secondsAtMost: left))
            }
            usleep(100_000)
        }
    }

    /// How long a holder may take to notice that his lease is gone; nil where he is gone himself.
    private func noticeSeconds(_ claim: HolderRecords.Claim, _ hosts: [UInt64: WatchedHost]) -> Double? {
        guard let hostId = claim.holder.hostId else { return nil }
        if hostId == settings.hostId {
            guard let pid = claim.holder.pid, !ProcessIdentity.isEnding(pid) else { return nil }
        }
        guard let host = hosts[hostId] else { return hosts.isEmpty ? 2 * settings.ioSeconds : nil }
        if host.state == .dead || host.state == .free { return nil }
        if let generation = claim.generation, generation != host.generation { return nil }
        return LockspaceState.longestLookSeconds(ioTimeoutSeconds: .ioSeconds(host.ioTimeoutSeconds)) + 5
    }
}
