import Glibc
import Leases
import Platform

/// Asks whoever has a lease on another host to give it up. Every call blocks for as long as storage and daemon do.
public struct LeaseAsking: Sendable {
    private let settings: SanlockSettings
    private let records: HolderRecords
    private let watch = HostWatch()

    /// Nothing is looked at yet.
    public init(settings: SanlockSettings) {
        self.settings = settings
        records = HolderRecords(settings: settings)
    }

    /// How it is with a lease, for somebody of this host who wants it.
    public enum Sight: Equatable, Sendable {
        /// There is none: no file, or none that was ever a lease.
        case missing
        /// Nobody has it.
        case free
        /// Somebody of this host has it, alone or with others.
        case here(LeaseHolder)
        /// Others share it, one of them is this. sanlock passes on nothing that is asked of them.
        case shared(LeaseHolder)
        /// A host that is dead has it, and nobody hears what it is asked.
        case dead(LeaseHolder)
        /// Somebody else has it, under this version.
        case elsewhere(LeaseHolder, version: UInt64)
    }

    /// A lease with the disk that it stands for, where that is known: of one that was spelled out, by its holder's record.
    public func named(_ request: LeaseRequest) -> LeaseRequest {
        guard request.disk == nil, let disk = records.disks()[request.resource.name] else { return request }
        let automatic = settings.request(forDisk: disk, mode: request.mode)
        return automatic.resource == request.resource ? automatic : request
    }

    /// Looks at a lease.
    ///
    /// - Throws: that its lockspace isn't joined, or that nobody can tell.
    public func sight(of request: LeaseRequest) throws(LeaseFailure) -> Sight {
        if request.disk != nil { try LeaseFiles(settings: settings).checkPresence() }
        let resource = request.resource
        let bytes: [UInt8]
        do throws(SystemError) {
            guard try Files.kind(of: resource.path) != nil else { return .missing }
            bytes = try read(resource, LockspaceSlots.Sizes.usual.sectorBytes * 8)
        } catch {
            if error.number == ENOENT { return .missing }
            throw unreadable(request, error)
        }
        let leader: LeaseLeader
        switch LeaseContent(bytes[...], isCutShort: bytes.count < 4096) {
        case .unmade: return .missing
        case .damaged(let words):
            throw LeaseFailure(
                .leaseFileUnusable, request: request, detail: "lease file \(resource.path) \(words)")
        case .whole(let found): leader = found
        }
        guard leader.lockspace.hasSameBytes(as: resource.lockspace), leader.resource.hasSameBytes(as: resource.name)
        else {
            throw LeaseFailure(
                .leaseFileUnusable, request: request,
                detail: "lease file \(resource.path) is made for \(leader.lockspace):\(leader.resource)")
        }
        return try judge(request, leader, ownHostId: try ownHostId(request))
    }

    private func judge(
        _ request: LeaseRequest, _ leader: LeaseLeader, ownHostId: UInt64
    ) throws(LeaseFailure) -> Sight {
        let wanted = ((leader.hosts + 2) * leader.sectorBytes + 4095) & ~4095
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try read(request.resource, wanted) } catch { throw unreadable(request, error) }
        let sharing = LeaseContent.sharing(bytes[...], sectorBytes: leader.sectorBytes, hosts: leader.hosts)
        var owners = sharing
        if let owner = leader.owner, !LeaseContent.isReleased(bytes[...], leader),
            !sharing.contains(where: { $0.id == owner })
        {
            owners.insert(LeaseOwner(id: owner, generation: leader.generation), at: 0)
        }
        let hosts = watch.look(at: request.resource.lockspace)
        let judgement = LeaseOwners(settings: settings, records: records, watch: watch)
        guard let holder = judgement.holder(of: request, among: owners, version: leader.version, hosts) else {
            return .free
        }
        if let own = owners.first(where: { $0.id == ownHostId }),
            let holder = judgement.holder(of: request, among: [own], version: leader.version, hosts)
        {
            return .here(holder)
        }
        if holder.liveness == .dead { return .dead(holder) }
        return sharing.isEmpty ? .elsewhere(holder, version: leader.version) : .shared(holder)
    }

    /// Asks whoever holds a lease under this version to give it up, and returns when that is written. May be called again.
    ///
    /// - Returns: false where the lease was taken once more since.
    public func ask(
        for request: LeaseRequest, heldUnder version: UInt64, _ mode: LeaseDemand.Mode
    ) throws(LeaseFailure) -> Bool {
        do throws(SanlockCode) {
            try SanlockCalls.demand(request.resource, version: version + 1, mode)
            return true
        } catch {
            if error == .tooLate { return false }
            let detail =
                error.outcome == .wrongVersion
                ? "somebody has asked for a later version of it already (\(error.symbol))" : error.explanation
            throw LeaseFailure(error.outcome, request: request, detail: detail)
        }
    }

    /// How long it may take until a host's daemon looks at what was asked, in seconds: this host says so with its next
    /// renewal, and that one sees it with its own next one.
    public func hearsWithinSeconds(_ holder: LeaseHolder, of request: LeaseRequest) -> Double {
        let hosts = watch.look(at: request.resource.lockspace)
        let own = (try? ownHostId(request)).flatMap { hosts[$0] }
        let timeouts = [own, holder.hostId.flatMap { hosts[$0] }].map {
            $0.map { Double.ioSeconds($0.ioTimeoutSeconds) } ?? settings.ioSeconds
        }
        // Each renewal comes up to a second and a half later than it should.
        return timeouts.reduce(3) { $0 + 2 * $1 }
    }

    private func ownHostId(_ request: LeaseRequest) throws(LeaseFailure) -> UInt64 {
        let lockspace = request.resource.lockspace
        let joined: [(name: String, hostId: UInt64, path: String)]
        do throws(SanlockCode) { joined = try SanlockCalls.joinedLockspaces() } catch { throw error.connectionFailure }
        let isAutomatic = request.disk != nil
        guard let own = joined.first(where: { $0.name.hasSameBytes(as: lockspace) }),
            !isAutomatic || own.path.hasSameBytes(as: settings.lockspacePath)
        else {
            let advice = isAutomatic ? "leasehold lockspace join" : "join it first"
            throw LeaseFailure(
                .lockspaceGone, request: request,
                detail:
                    "lockspace \(lockspace) isn't joined on this host\(isAutomatic ? " from \(settings.lockspacePath)" : ""), "
                    + "and nobody would hear what is asked; \(advice)")
        }
        return own.hostId
    }

    private func read(_ resource: LeaseResource, _ count: Int) throws(SystemError) -> [UInt8] {
        try SharedFile.read(resource.path, offset: Int64(clamping: resource.offsetBytes), count: count)
    }

    private func unreadable(_ request: LeaseRequest, _ error: SystemError) -> LeaseFailure {
        let isForbidden = error.number == EACCES || error.number == EPERM
        // Something that bytes can't be read from is no lease.
        let isNoFile = error.number == 0 || error.number == ELOOP || error.number == EINVAL
        return LeaseFailure(
            isForbidden ? .notPermitted : isNoFile ? .leaseFileUnusable : .storageFailed, request: request,
            detail: "lease file \(error.message)")
    }
}
