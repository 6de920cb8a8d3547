import Glibc
import Leases
import Platform

/// A lease of the lease directory, as it is found.
public struct LeaseEntry: Sendable {
    /// How it is with a lease.
    public enum State: String, Sendable {
        /// Nobody holds it.
        case free
        /// A host that lives holds it, or one that can't be told to be dead.
        case held
        /// A dead host held it, and nobody may have it yet.
        case dead
        /// Nothing was ever held through the file; the next start that needs it puts a whole one in its place.
        case unformatted
        /// It is no lease that can be used.
        case damaged
        /// It can't be read, so nobody can say.
        case unreadable
        /// There is no such file.
        case missing
    }

    /// The lease's name, which is its file's.
    public let name: String
    /// The file.
    public let path: String
    /// The disk it stands for, where a record tells; its name is proven by the hash.
    public var disk: String?
    /// Whether it is held, and usable.
    public var state: State
    /// How it is held; nil where it isn't.
    public var mode: LeaseMode?
    /// Who holds it.
    public var holder: LeaseHolder?
    /// Hosts that share it, the holder among them.
    public var sharingHosts: [UInt64] = []
    /// The lver; nil where it can't be read.
    public var version: UInt64?
    /// For how many hosts the file has slots.
    public var hosts: Int?
    /// What is wrong with it.
    public var problem: String?
}

/// The leases of a lease directory, for those who look after it. Reads the files itself, past every cache; of hosts, the
/// daemon is asked. Every call blocks for as long as the storage does.
public struct LeaseDirectory: Sendable {
    let settings: SanlockSettings
    let files: LeaseFiles
    let records: HolderRecords
    let watch = HostWatch()

    /// Nothing is looked at yet.
    public init(settings: SanlockSettings) {
        self.settings = settings
        files = LeaseFiles(settings: settings)
        records = HolderRecords(settings: settings)
    }

    /// Throws where the directory can't be read.
    public func names() throws(LeaseFailure) -> [String] {
        do throws(SystemError) { return try Files.names(in: settings.leaseDirectory).sorted() } catch {
            throw LeaseFailure(
                .leaseFileNotMade, detail: "lease directory \(error.message); mount it, or set disk_lease_dir")
        }
    }

    /// Whether a file's name is that of a disk's lease: 32 digits of an MD5.
    public static func isLeaseName(_ name: String) -> Bool {
        name.utf8.count == 32 && name.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Throws where the daemon doesn't listen: libsanlock says of a file that is missing and of a daemon that is the same.
    public static func checkDaemon() throws(LeaseFailure) {
        do throws(SystemError) { _ = try DaemonProcess.connect() } catch {
            throw SanlockCode(number: -error.number).connectionFailure
        }
    }

    /// The hosts of the lockspace as the daemon sees them; empty where it doesn't run or hasn't joined.
    func hosts() -> [UInt64: WatchedHost] { watch.look(at: LeaseName.lockspace) }

    /// All leases, in the order of their names.
    ///
    /// - Parameter progress: told after each, how many are done and of how many.
    public func entries(progress: (Int, Int) -> Void) throws(LeaseFailure) -> [LeaseEntry] {
        let names = try names().filter(LeaseDirectory.isLeaseName)
        let disks = records.disks()
        let hosts = hosts()
        var entries: [LeaseEntry] = []
        for name in names {
            var entry = entry(name, disk: disks[name], hosts)
            // Removed since the directory was read.
            if entry.state != .missing {
                entry.disk = entry.disk ?? disks[name]
                entries.append(entry)
            }
            progress(entries.count, names.count)
        }
        return entries
    }

    /// The lease of a disk.
    public func entry(ofDisk disk: String) throws(LeaseFailure) -> LeaseEntry {
        try files.checkPresence()
        return entry(LeaseName.ofDisk(disk), disk: disk, hosts())
    }

    /// What a disk's lease is asked for with.
    public func request(ofDisk disk: String, mode: LeaseMode = .exclusive) -> LeaseRequest {
        request(LeaseName.ofDisk(disk), disk: disk, mode)
    }

    func request(_ name: String, disk: String?, _ mode: LeaseMode) -> LeaseRequest {
        LeaseRequest(
            disk: disk,
            resource: LeaseResource(
                lockspace: LeaseName.lockspace, name: name, path: "\(settings.leaseDirectory)/\(name)",
                offsetBytes: 0), mode: mode)
    }

    // MARK: - One lease

    func entry(_ name: String, disk: String?, _ hosts: [UInt64: WatchedHost]) -> LeaseEntry {
        let path = "\(settings.leaseDirectory)/\(name)"
        func inode() -> UInt64? { (try? Files.kind(of: path))??.inode }
        while true {
            let before = inode()
            let entry = entry(name, at: path, disk: disk, hosts)
            // A clean-up takes the leader out of a file that it has removed; it may have been opened before.
            guard entry.state == .damaged || entry.state == .unformatted, inode() != before else { return entry }
        }
    }

    private func entry(
        _ name: String, at path: String, disk: String?, _ hosts: [UInt64: WatchedHost]
    ) -> LeaseEntry {
        var entry = LeaseEntry(name: name, path: path, disk: disk, state: .damaged)
        do throws(SystemError) {
            guard try Files.kind(of: path) != nil else {
                entry.state = .missing
                return entry
            }
            let first = try SharedFile.read(path, offset: 0, count: 4096)
            switch LeaseContent(first[...], isCutShort: first.count < 4096) {
            case .whole(let leader): try judge(&entry, leader, hosts)
            case .damaged(let words): entry.problem = words
            case .unmade:
                let all = try SharedFile.read(path, offset: 0, count: LockspaceSlots.Sizes.large.alignBytes)
                switch LeaseContent(all[...], isCutShort: all.count < LockspaceSlots.Sizes.usual.alignBytes) {
                case .unmade: entry.state = .unformatted
                case .damaged(let words): entry.problem = words
                case .whole: entry.problem = "is cut short"
                }
            }
        } catch  where error.number == ENOENT {
            entry.state = .missing
        } catch {
            entry.state = error.number == 0 || error.number == ELOOP ? .damaged : .unreadable
            entry.problem = "can't be read: \(error.message)"
        }
        return entry
    }

    private func judge(
        _ entry: inout LeaseEntry, _ leader: LeaseLeader, _ hosts: [UInt64: WatchedHost]
    ) throws(SystemError) {
        guard leader.lockspace == LeaseName.lockspace, leader.resource == entry.name else {
            entry.problem = "is made for \(leader.lockspace.printable):\(leader.resource.printable)"
            return
        }
        entry.hosts = leader.hosts
        entry.version = leader.version
        let wanted = ((leader.hosts + 2) * leader.sectorBytes + 4095) & ~4095
        let bytes = try SharedFile.read(entry.path, offset: 0, count: wanted)
        guard bytes.count == wanted else {
            entry.problem = "is cut short"
            return
        }
        let sharing = LeaseContent.sharing(bytes[...], sectorBytes: leader.sectorBytes, hosts: leader.hosts)
        var owners = sharing
        if let owner = leader.owner, !LeaseContent.isReleased(bytes[...], leader),
            !sharing.contains(where: { $0.id == owner })
        {
            owners.insert(LeaseOwner(id: owner, generation: leader.generation), at: 0)
        }
        let request = request(entry.name, disk: entry.disk, .exclusive)
        let judgement = LeaseOwners(settings: settings, records: records, watch: watch)
        entry.sharingHosts = sharing.map(\.id)
        guard let holder = judgement.holder(of: request, among: owners, version: leader.version, hosts) else {
            entry.state = .free
            return
        }
        entry.holder = holder
        entry.mode =
            leader.owner == holder.hostId && !sharing.contains { $0.id == holder.hostId } ? .exclusive : .shared
        entry.state = holder.liveness == .dead ? .dead : .held
    }
}
