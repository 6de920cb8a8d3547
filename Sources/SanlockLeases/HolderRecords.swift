import ControlProtocol
import Glibc
import Leases
import Platform

/// Notes for people beside the leases: who holds which. The lease rules; a record that is missing, wrong or unreadable
/// changes nothing but what a message can say.
struct HolderRecords {
    let settings: SanlockSettings

    /// The most that is read of a record, in bytes: strangers can write to a shared directory.
    private static let longest = 65536

    /// Writes the record of each automatic lease; what can't be written is left.
    ///
    /// - Parameter isUnused: the guest never ran under them, and gives them back now.
    func write(_ leases: [HeldLease], holder: LeaseHolder, isUnused: Bool = false) {
        guard leases.contains(where: { $0.request.disk != nil }) else { return }
        try? Files.makeDirectory(settings.recordDirectory, mode: 0o755)
        let slot = settings.hostId.flatMap { LockspaceSlots.slot(of: $0, in: settings.lockspacePath) }
        for lease in leases {
            guard let path = path(of: lease.request), var record = record(of: lease, holder, slot) else { continue }
            if isUnused { record["released"] = true }
            try? Files.writeWhole(
                Array((JSON.object(record).prettyDescription + "\n").utf8), to: path,
                aside: LeaseFiles(settings: settings).asidePath())
        }
    }

    /// Removes the records that `write` made, but for those of leases that were given back unused: they are for others to read
    /// until somebody has the lease again.
    func remove(_ leases: [HeldLease]) {
        for lease in leases {
            guard let path = path(of: lease.request), let record = read(path) else { continue }
            // By now it may be the next holder's.
            let isOurs =
                record["pid"] == .integer(Int64(getpid()))
                && record["hostId"] == settings.hostId.map { .integer(Int64(clamping: $0)) }
            if isOurs, record["released"] != true { try? Files.remove(path) }
        }
    }

    /// What the record of an exclusive holder says, if it names this disk, and the owner and version that the lease has.
    func holder(of request: LeaseRequest, owner: LeaseOwner, version: UInt64) -> LeaseHolder? {
        guard let record = read(path(ofExclusive: request)), names(record, request), fits(record, owner),
            record["lver"] == .integer(Int64(clamping: version))
        else { return nil }
        return holder(record)
    }

    /// Whether a guest of this UUID wrote that it gave this version of a lease back without having run under it.
    func wasUnused(_ request: LeaseRequest, version: UInt64, by uuid: String) -> Bool {
        guard let record = read(path(ofExclusive: request)), names(record, request),
            case .string(let holder) = record["uuid"]
        else { return false }
        return record["released"] == true && number(record["lver"]) == version
            && holder.lowercased() == uuid.lowercased()
    }

    /// The disk that each lease stands for, as far as records tell: a disk's path is proven by its hash, whoever wrote it
    /// down and whenever.
    func disks() -> [String: String] {
        var disks: [String: String] = [:]
        for name in (try? Files.names(in: settings.recordDirectory)) ?? [] where name.hasSuffix(".json") {
            let lease = String(name.prefix(32))
            guard disks[lease] == nil, LeaseDirectory.isLeaseName(lease),
                case .string(let disk)? = read("\(settings.recordDirectory)/\(name)")?["disk"],
                LeaseName.ofDisk(disk) == lease
            else { continue }
            disks[lease] = disk
        }
        return disks
    }

    /// What a record says of its writer, whether or not the lease bears it out.
    struct Claim {
        let holder: LeaseHolder
        /// Which stay of its host in the lockspace it was written in; nil: it doesn't know.
        let generation: UInt64?
        /// The version that the lease had; nil of a shared one.
        let version: UInt64?
    }

    /// The record of an exclusive holder other than this process, if it names this disk.
    func claim(on request: LeaseRequest) -> Claim? {
        claim(path(ofExclusive: request), request)
    }

    /// The records of all holders other than this process that name this disk.
    func claims(on request: LeaseRequest) -> [Claim] {
        let shared = ((try? Files.names(in: settings.recordDirectory)) ?? []).filter {
            $0.hasPrefix("\(request.resource.name).") && $0 != "\(request.resource.name).json"
        }
        let paths = [path(ofExclusive: request)] + shared.map { "\(settings.recordDirectory)/\($0)" }
        return paths.compactMap { claim($0, request) }
    }

    private func claim(_ path: String, _ request: LeaseRequest) -> Claim? {
        guard let record = read(path), names(record, request) else { return nil }
        let holder = holder(record)
        guard let hostId = holder.hostId, hostId != settings.hostId || holder.pid != getpid() else { return nil }
        return Claim(holder: holder, generation: number(record["generation"]), version: number(record["lver"]))
    }

    private func number(_ value: JSON?) -> UInt64? {
        guard case .integer(let number) = value else { return nil }
        return UInt64(exactly: number)
    }

    /// Whether there is the record of an exclusive holder, whatever it is worth.
    func hasRecord(of request: LeaseRequest) -> Bool {
        ((try? Files.kind(of: path(ofExclusive: request))) ?? nil) != nil
    }

    /// Removes an exclusive holder's record, whoever wrote it: the lease is the caller's, so nobody else's.
    func discard(_ request: LeaseRequest) {
        try? Files.remove(path(ofExclusive: request))
    }

    private func path(ofExclusive request: LeaseRequest) -> String {
        "\(settings.recordDirectory)/\(request.resource.name).json"
    }

    // A record that doesn't know its generation was written when the lockspace could not be read.
    private func fits(_ record: JSON.Object, _ owner: LeaseOwner) -> Bool {
        let generation = record["generation"] ?? .integer(Int64(clamping: owner.generation))
        return record["hostId"] == .integer(Int64(clamping: owner.id))
            && generation == .integer(Int64(clamping: owner.generation))
    }

    /// What a record of this host's says, where the lease itself can't be read: if its supervisor lives.
    func ownHolder(of request: LeaseRequest) -> LeaseHolder? {
        guard let record = read(path(ofExclusive: request)), names(record, request) else { return nil }
        let holder = holder(record)
        guard let hostId = holder.hostId, hostId == settings.hostId, let pid = holder.pid,
            ProcessIdentity(runningAs: pid) != nil
        else { return nil }
        return holder
    }

    /// What the records of shared holders on a host say; the first that can be believed.
    func sharedHolder(of request: LeaseRequest, owner: LeaseOwner) -> LeaseHolder? {
        let hostId = owner.id
        let files = (try? Files.names(in: settings.recordDirectory)) ?? []
        for name in files.sorted() where name.hasPrefix("\(request.resource.name).\(hostId)-") {
            guard name.hasSuffix(".json"), let record = read("\(settings.recordDirectory)/\(name)"),
                names(record, request), fits(record, owner)
            else { continue }
            // Of a supervisor of this host that was killed.
            if UInt64(hostId) == settings.hostId, let pid = holder(record).pid, ProcessIdentity.isEnding(pid) {
                try? Files.remove("\(settings.recordDirectory)/\(name)")
                continue
            }
            return holder(record)
        }
        return nil
    }

    private func names(_ record: JSON.Object, _ request: LeaseRequest) -> Bool {
        guard case .string(let disk) = record["disk"], let wanted = request.disk, plain(record["guest"]) != nil else {
            return false
        }
        return disk.hasSameBytes(as: wanted)
    }

    private func path(of request: LeaseRequest) -> String? {
        guard request.disk != nil, let hostId = settings.hostId else { return nil }
        let suffix = request.mode == .shared ? ".\(hostId)-\(getpid())" : ""
        return "\(settings.recordDirectory)/\(request.resource.name)\(suffix).json"
    }

    private func record(of lease: HeldLease, _ holder: LeaseHolder, _ slot: LockspaceSlot?) -> JSON.Object? {
        var object = JSON.Object()
        object["disk"] = lease.request.disk.map(JSON.string)
        object["mode"] = .string(lease.request.mode.rawValue)
        object["guest"] = holder.guest.map(JSON.string)
        object["uuid"] = holder.uuid.map(JSON.string)
        object["hostName"] = slot?.name.map(JSON.string)
        object["hostId"] = settings.hostId.map { .integer(Int64(clamping: $0)) }
        object["generation"] = slot.map { .integer(Int64(clamping: $0.generation)) }
        object["pid"] = holder.pid.map { .integer(Int64($0)) }
        object["since"] = holder.since.map(JSON.string)
        object["lver"] = lease.version.map { .integer(Int64(clamping: $0)) }
        return object
    }

    private func read(_ path: String) -> JSON.Object? {
        // A FIFO or a device under the name is not read.
        guard let kind = try? Files.kind(of: path), kind.isRegular, kind.size <= HolderRecords.longest,
            let bytes = try? Files.read(path, limit: HolderRecords.longest), let json = try? JSON(parsing: bytes),
            case .object(let object) = json
        else { return nil }
        return object
    }

    private func holder(_ record: JSON.Object) -> LeaseHolder {
        var holder = LeaseHolder()
        holder.record = .believed
        holder.guest = plain(record["guest"])
        holder.uuid = plain(record["uuid"])
        holder.hostName = plain(record["hostName"])
        holder.since = plain(record["since"])
        if case .integer(let pid) = record["pid"] { holder.pid = Int32(exactly: pid) }
        if case .integer(let hostId) = record["hostId"] { holder.hostId = UInt64(exactly: hostId) }
        return holder
    }

    // What goes into a line on somebody's terminal: short, and nothing that moves its cursor.
    private func plain(_ value: JSON?) -> String? {
        guard case .string(let text) = value, !text.isEmpty, text.utf8.count <= 255,
            text.hasSameBytes(as: text.printable)
        else { return nil }
        return text
    }
}
