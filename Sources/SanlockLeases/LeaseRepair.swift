import Glibc
import Leases
import Platform

/// What an administrator does to one lease's file.
public struct LeaseRepair: Sendable {
    private let directory: LeaseDirectory
    private let settings: SanlockSettings

    /// Nothing is touched yet.
    public init(_ directory: LeaseDirectory) {
        self.directory = directory
        settings = directory.settings
    }

    /// Puts a new lease in the place of whatever is there, unless that is a lease in order.
    ///
    /// Whoever holds the old one goes on without knowing: it is for the caller to know that nobody does.
    /// - Returns: whether there was something to repair.
    public func repair(disk: String) throws(LeaseFailure) -> Bool {
        try directory.files.checkDirectory()
        try LeaseDirectory.checkDaemon()
        let request = directory.request(ofDisk: disk)
        let section = try self.section(request)
        defer { _ = section }
        let entry = try directory.entry(ofDisk: disk)
        if ((try? Files.kind(of: entry.path)) ?? nil)?.isDirectory == true {
            throw LeaseFailure(
                .leaseFileUnusable, request: request,
                detail: "lease file \(entry.path) is a directory; remove it by hand")
        }
        switch entry.state {
        case .held, .dead:
            throw LeaseFailure(
                entry.state == .held ? .heldElsewhere : .deadNotExpired, request: request, holder: entry.holder,
                detail: "the lease is whole and held (by its file)")
        case .free:
            return false
        case .missing:
            try directory.files.make(directory.files.lease(request))
            return true
        case .unreadable:
            throw LeaseFailure(
                .notPermitted, request: request, detail: "lease file \(entry.path) \(entry.problem ?? "can't be read")")
        case .unformatted, .damaged:
            break
        }
        let wanted = directory.files.lease(request)
        do throws(SystemError) { try directory.files.makeRecordDirectory() } catch {
            throw directory.files.notMade(wanted, error)
        }
        let aside = try directory.files.makeAside(wanted)
        do throws(SystemError) {
            try Files.rename(aside, to: request.resource.path)
        } catch {
            try? Files.remove(aside)
            throw directory.files.notMade(wanted, error)
        }
        directory.records.discard(request)
        return true
    }

    /// Makes room in a lease for more hosts, by taking it twice for a moment.
    ///
    /// - Returns: for how many hosts it has room now.
    public func grow(disk: String, progress: (LeaseProgress) -> Void) throws(LeaseFailure) -> Int {
        let membership = LockspaceMembership(settings: settings)
        try membership.checkHostId()
        try directory.files.checkDirectory()
        try LeaseDirectory.checkDaemon()
        if !membership.isJoined() { try membership.join(progress: progress) }
        let request = directory.request(ofDisk: disk)
        let section = try self.section(request)
        defer { _ = section }
        let entry = try directory.entry(ofDisk: disk)
        let path = request.resource.path
        guard entry.state != .missing else {
            throw LeaseFailure(
                .leaseFileMissing, request: request, detail: "lease file \(path) is missing; the next start makes it")
        }
        guard let hosts = entry.hosts else {
            throw LeaseFailure(
                .leaseFileUnusable, request: request,
                detail: "lease file \(path) \(entry.problem ?? "is not formatted")")
        }
        let wanted = directory.files.hosts()
        if hosts >= wanted { return hosts }
        let client: Descriptor
        do throws(SanlockCode) { client = Descriptor(adopting: try SanlockCalls.register()) } catch {
            throw error.connectionFailure
        }
        do throws(SanlockCode) {
            try hold(request, on: client, hosts: wanted)
        } catch  where error.outcome == .hostIdTooLarge {
            throw directory.files.hostIdTooLarge(request, error)
        } catch {
            let holder = LeaseOwners(settings: settings, records: directory.records, watch: directory.watch)
                .holder(of: request)
            throw LeaseFailure(error.outcome, request: request, holder: holder, detail: error.explanation)
        }
        // A host that lost the first ballot writes the lease down for us as it had read it, perhaps only now; the second
        // ballot has it give up.
        try? hold(request, on: client, hosts: wanted)
        // It may have written before that, and a start may have taken what it wrote.
        let now = try directory.entry(ofDisk: disk).hosts ?? hosts
        guard now >= wanted else {
            throw LeaseFailure(
                .beingReleased, request: request, detail: "a start on another host came in between (lease file \(path))"
            )
        }
        return now
    }

    /// Takes a lease and gives it back.
    private func hold(_ request: LeaseRequest, on client: borrowing Descriptor, hosts: Int) throws(SanlockCode) {
        try SanlockCalls.acquire([request], on: client.number, hosts: UInt32(hosts))
        // The end of the connection gives it back, should this fail.
        try? SanlockCalls.release([request], on: client.number)
    }

    private func section(_ request: LeaseRequest) throws(LeaseFailure) -> LeaseSection {
        let path = request.resource.path
        do throws(SystemError) {
            if let section = try LeaseSection(of: [request.resource.name], in: directory.files, waitingSeconds: 10) {
                return section
            }
        } catch {
            throw LeaseFailure(
                .leaseFileNotMade, request: request, detail: "lease file \(path) can't be locked: \(error.message)")
        }
        throw LeaseFailure(
            .beingReleased, request: request, detail: "another process is at lease file \(path) (locked); try again")
    }
}
