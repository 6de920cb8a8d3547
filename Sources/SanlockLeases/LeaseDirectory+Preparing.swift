import Glibc
import Leases
import Platform

extension LeaseDirectory {
    /// Looks whether a start elsewhere could take these leases now, and makes the lease files that are missing. Takes nothing and
    /// joins nothing; what it says of holders is true of this moment. What only a start can tell or mend is left to it.
    ///
    /// Blocks for as long as daemon and storage do.
    ///
    /// - Parameter isIncoming: that the leases are expected to be held by the source of a migration: then only what is
    ///   missing or unusable is told, and nothing is made.
    public func prepare(_ requests: [LeaseRequest], isIncoming: Bool) throws(LeaseFailure) {
        if requests.isEmpty { return }
        try LeaseDirectory.checkDaemon()
        if requests.contains(where: { $0.disk != nil }) {
            try LockspaceMembership(settings: settings).checkHostId()
            try files.checkDirectory()
        }
        let hosts = hosts()
        for request in requests {
            if request.disk == nil {
                try prepareExplicit(request, isIncoming: isIncoming)
            } else {
                try prepareAutomatic(request, hosts, isIncoming: isIncoming)
            }
        }
    }

    private func prepareAutomatic(
        _ request: LeaseRequest, _ hosts: [UInt64: WatchedHost], isIncoming: Bool
    ) throws(LeaseFailure) {
        let entry = entry(request.resource.name, disk: request.disk, hosts)
        if let room = entry.hosts, let hostId = settings.hostId, UInt64(room) < hostId {
            throw files.hostIdTooLarge(request, SanlockCode(number: -228))
        }
        switch entry.state {
        case .free, .unformatted, .unreadable: return
        case .missing:
            if isIncoming { throw files.missingAtTarget(request) }
            // Where another is at it, or somebody removed it under its holder, the start waits.
            let section = (try? LeaseSection(of: [request.resource.name], in: files, waitingSeconds: 2)) ?? nil
            guard section != nil, records.claims(on: request).isEmpty else { return }
            try files.make(files.lease(request))
        case .damaged:
            throw LeaseFailure(
                .leaseFileUnusable, request: request,
                detail: "lease file \(entry.path) \(entry.problem ?? "is damaged")")
        case .held, .dead:
            let bothShare = request.mode == .shared && entry.mode == .shared
            // Of hosts that can't be told to live, a start finds out more.
            guard !isIncoming, !bothShare, entry.holder?.liveness != .unknown else { return }
            throw LeaseFailure(
                entry.state == .held ? .heldElsewhere : .deadNotExpired, request: request, holder: entry.holder,
                detail: "the lease is held (by its file)")
        }
    }

    private func prepareExplicit(_ request: LeaseRequest, isIncoming: Bool) throws(LeaseFailure) {
        do throws(SanlockCode) { _ = try SanlockCalls.owners(of: request.resource) } catch {
            throw LeaseFailure(
                error.outcome, request: request, detail: "lease file \(request.resource.path): \(error.explanation)")
        }
        // Whether its holders share it, only an attempt to take it tells.
        guard !isIncoming, request.mode == .exclusive else { return }
        let owners = LeaseOwners(settings: settings, records: records, watch: watch)
        guard let holder = owners.holder(of: request), holder.liveness != .unknown else { return }
        throw LeaseFailure(
            holder.liveness == .dead ? .deadNotExpired : .heldElsewhere, request: request, holder: holder,
            detail: "the lease is held (by its file)")
    }
}
