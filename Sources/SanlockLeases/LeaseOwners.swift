import Leases
import Platform

/// Who has a lease: by its storage, by the lockspace, and, where those agree with it, by the holder's record.
struct LeaseOwners {
    let settings: SanlockSettings
    let records: HolderRecords
    let watch: HostWatch

    /// The holder that stands in the way of others; nil where nobody does any more. Of several that share a lease it is a
    /// living one, if any is.
    ///
    /// - Parameter isLocal: that the daemon says a process of this host has it.
    func holder(of request: LeaseRequest, isLocal: Bool = false) -> LeaseHolder? {
        guard let owners = try? SanlockCalls.owners(of: request.resource) else {
            var holder = isLocal ? records.ownHolder(of: request) ?? LeaseHolder() : LeaseHolder()
            if isLocal {
                holder.hostId = settings.hostId
                holder.liveness = .live
            }
            return holder
        }
        return holder(
            of: request, among: owners.hosts, version: owners.version, watch.look(at: request.resource.lockspace))
    }

    /// The same of owners that were read already.
    func holder(
        of request: LeaseRequest, among owners: [LeaseOwner], version: UInt64, _ hosts: [UInt64: WatchedHost]
    ) -> LeaseHolder? {
        let standing = owners.compactMap { owner -> (owner: LeaseOwner, liveness: LeaseHolder.Liveness)? in
            let host = hosts[owner.id]
            // It has left, or joined anew since: what it held then nobody holds.
            if let host, host.state == .free || host.generation > owner.generation { return nil }
            switch host?.state {
            case .live: return (owner, .live)
            case .failing, .dead: return (owner, .dead)
            case .unknown, .free, nil: return ownLiveness(of: owner, in: request.resource.lockspace).map { (owner, $0) }
            }
        }
        guard let first = standing.first(where: { $0.liveness != .dead }) ?? standing.first else { return nil }
        let owner = first.owner
        var holder = recorded(request, owner, version)
        holder.hostId = owner.id
        holder.liveness = first.liveness
        if first.liveness == .dead {
            holder.freeWithinSeconds = standing.compactMap { hosts[$0.owner.id] }.map {
                watch.freeWithinSeconds($0, ioSeconds: settings.ioSeconds)
            }.max()
        }
        // What sanlock wrote of the host goes before what a record says.
        holder.hostName = hostName(of: owner.id, for: request) ?? holder.hostName
        return holder
    }

    /// Of a host that the daemon can't judge yet. It takes some renewals after joining to see even its own host live, while
    /// that host's slot tells which of its leases are of now.
    private func ownLiveness(of owner: LeaseOwner, in lockspace: String) -> LeaseHolder.Liveness? {
        guard
            let joined = (try? SanlockCalls.joinedLockspaces())?.first(where: { $0.name == lockspace }),
            joined.hostId == owner.id, let slot = LockspaceSlots.slot(of: owner.id, in: joined.path)
        else { return .unknown }
        return slot.generation == owner.generation ? .live : nil
    }

    /// A host's name in a lease's lockspace, as the host's slot there has it.
    func hostName(of hostId: UInt64, for request: LeaseRequest) -> String? {
        lockspacePath(of: request).flatMap { LockspaceSlots.hostName(of: hostId, in: $0) }
    }

    private func recorded(_ request: LeaseRequest, _ owner: LeaseOwner, _ version: UInt64) -> LeaseHolder {
        guard request.disk != nil else {
            var holder = LeaseHolder()
            holder.record = request.isAutomatic && records.hasRecord(of: request) ? .stale : .never
            return holder
        }
        if let holder = records.holder(of: request, owner: owner, version: version) { return holder }
        if let holder = records.sharedHolder(of: request, owner: owner) { return holder }
        var holder = LeaseHolder()
        holder.record = records.hasRecord(of: request) ? .stale : .missing
        return holder
    }

    private func lockspacePath(of request: LeaseRequest) -> String? {
        if request.resource.lockspace == LeaseName.lockspace { return settings.lockspacePath }
        let joined = (try? SanlockCalls.joinedLockspaces()) ?? []
        return joined.first { $0.name == request.resource.lockspace }?.path
    }
}

extension LeaseRequest {
    /// Whether its file is one of the lease directory's, whatever disk it stands for.
    fileprivate var isAutomatic: Bool {
        resource.lockspace == LeaseName.lockspace && LeaseDirectory.isLeaseName(resource.name)
    }
}
