import Glibc
import Leases
import Platform
import Synchronization

/// What a clean-up did, or would do.
public struct CleanupReport: Sendable {
    /// Leases that were removed (or would be).
    public var removed = 0
    /// Leases that somebody holds, or was about to take or make.
    public var inUse = 0
    /// Files that are no leases of disks.
    public var skipped = 0
    /// Leases that are damaged or were never formatted.
    public var damaged = 0
    /// What should have worked: the file, and why it didn't.
    public var failures: [(path: String, reason: String)] = []
}

/// Removes the leases of disks that nobody uses. Safe against every start on every host at the same time.
///
/// A lease is removed by whoever holds it, and never given back: the daemon has it under a name of the clean-up's own, and
/// finds nothing there to release. So who has opened the file before sees a holder, or nothing. Starts of Leasehold wait
/// for the section, and look afterwards whether what they took is still in place (docs/decisions/cleaning-up.md).
public final class LeaseCleanup: Sendable {
    private let directory: LeaseDirectory
    private let settings: SanlockSettings
    private let batches = Mutex<[[LeaseRequest]]>([])
    private let report = Mutex(CleanupReport())
    private let done = Atomic<Int>(0)
    private let recordFiles: [String: [String]]

    /// How many talk to the daemon at once. It does as many things at a time, and mostly waits for its storage.
    private static let threads = 4

    /// Reads the names of what is there.
    public init(_ directory: LeaseDirectory) {
        self.directory = directory
        settings = directory.settings
        var recordFiles: [String: [String]] = [:]
        for name in (try? Files.names(in: settings.recordDirectory)) ?? [] where name.hasSuffix(".json") {
            recordFiles[String(name.prefix(32)), default: []].append(name)
        }
        self.recordFiles = recordFiles
    }

    /// Looks at every file, and removes what nobody uses.
    ///
    /// - Parameters:
    ///   - dryRun: count what would be removed, and change nothing.
    ///   - progress: told now and then how many files are done and how many there are.
    public func run(dryRun: Bool, progress: (Int, Int) -> Void) throws(LeaseFailure) -> CleanupReport {
        let names = try directory.names().filter { !$0.hasPrefix(".") && $0 != LeaseName.lockspace }
        let hosts = directory.hosts()
        var free: [LeaseRequest] = []
        for (index, name) in names.enumerated() {
            if let request = sort(name, hosts) { free.append(request) }
            if index % 16 == 0 { progress(dryRun ? index : index / 2, names.count) }
        }
        if dryRun {
            report.withLock { $0.removed = free.count }
        } else {
            try remove(free) { progress(names.count - free.count + $0, names.count) }
            sweep()
        }
        progress(names.count, names.count)
        return report.withLock { $0 }
    }

    // The lease, where it looks free.
    private func sort(_ name: String, _ hosts: [UInt64: WatchedHost]) -> LeaseRequest? {
        let path = "\(settings.leaseDirectory)/\(name)"
        let kind: Files.Kind?
        do throws(SystemError) {
            kind = try Files.kind(of: path)
            let isLink = Files.linkTarget(path) != nil
            // Another clean-up was faster.
            if kind == nil, !isLink { return nil }
            // What a link leads to is not this directory's.
            if isLink {
                report.withLock { $0.skipped += 1 }
                return nil
            }
        } catch {
            kind = nil
        }
        guard LeaseDirectory.isLeaseName(name), kind?.isRegular == true else {
            report.withLock { $0.skipped += 1 }
            return nil
        }
        let entry = directory.entry(name, disk: nil, hosts)
        switch entry.state {
        case .free: return directory.request(name, disk: nil, .exclusive)
        case .held, .dead: report.withLock { $0.inUse += 1 }
        case .unformatted, .damaged: report.withLock { $0.damaged += 1 }
        case .unreadable: report.withLock { $0.failures.append((path, entry.problem ?? "it can't be read")) }
        case .missing: break
        }
        return nil
    }

    // MARK: - Removing

    private func remove(_ free: [LeaseRequest], progress: (Int) -> Void) throws(LeaseFailure) {
        if free.isEmpty { return }
        try? directory.files.makeRecordDirectory()
        let size = SanlockCalls.resourcesPerCall
        batches.withLock { batches in
            batches = stride(from: 0, to: free.count, by: size).map { Array(free[$0..<min($0 + size, free.count)]) }
        }
        var running = 0
        var workers: [WorkerThread<LeaseFailure?>] = []
        for _ in 0..<min(LeaseCleanup.threads, (free.count + size - 1) / size) {
            guard let worker = try? WorkerThread<LeaseFailure?>() else { break }
            worker.perform { [self] in work() }
            workers.append(worker)
            running += 1
        }
        var failures: [LeaseFailure] = []
        while running > 0 {
            usleep(20_000)
            for worker in workers {
                for result in worker.takeResults() {
                    running -= 1
                    if let result { failures.append(result) }
                }
            }
            progress(done.load(ordering: .relaxed))
        }
        if workers.isEmpty { throw LeaseFailure(.other, detail: "no thread could be started") }
        // What one of them couldn't do the others have done.
        if failures.count == workers.count, let failure = failures.first { throw failure }
    }

    // One connection each: the daemon does one thing at a time for a client.
    private func work() -> LeaseFailure? {
        let client: Descriptor
        do throws(SanlockCode) { client = Descriptor(adopting: try SanlockCalls.register()) } catch {
            return error.connectionFailure
        }
        while let batch = batches.withLock({ $0.popLast() }) {
            remove(batch, client)
            done.add(batch.count, ordering: .relaxed)
        }
        return nil
    }

    private func remove(_ batch: [LeaseRequest], _ client: borrowing Descriptor) {
        do throws(SystemError) {
            guard let refusal = try attempt(batch, client) else { return }
            // Of several one may be in the way.
            guard batch.count == 1 else {
                for request in batch { remove([request], client) }
                return
            }
            count(batch[0], refusal)
        } catch {
            let reason = error.message
            report.withLock { report in report.failures += batch.map { ($0.resource.path, reason) } }
        }
    }

    /// Why a batch was not removed.
    private enum Refusal {
        /// Somebody has the section of one of them.
        case busy
        /// sanlock's answer.
        case code(SanlockCode)
    }

    private func attempt(_ batch: [LeaseRequest], _ client: borrowing Descriptor) throws(SystemError) -> Refusal? {
        let names = batch.map(\.resource.name)
        guard let section = try LeaseSection(of: names, in: directory.files, waitingSeconds: 0) else { return .busy }
        defer { _ = section }
        let links = batch.map(link)
        var isReleased = true
        defer {
            if isReleased { for link in links where link.isOwn { try? Files.remove(link.request.resource.path) } }
        }
        do throws(SanlockCode) {
            try SanlockCalls.acquire(links.map(\.request), on: client.number)
        } catch {
            return .code(error)
        }
        // Where the daemon finds nothing at the path any more the file stays held, for good. Where it couldn't release in
        // time it tries again later, by that path.
        defer {
            do throws(SanlockCode) { try SanlockCalls.release(links.map(\.request), on: client.number) } catch {
                if error.outcome == .storageFailed { isReleased = false }
            }
        }
        try raiseVersion(over: links.map(\.request))
        for (request, link) in zip(batch, links) { unlink(request, link, client) }
        return nil
    }

    // A name for the daemon that nobody else makes a file under. On storage without second names it is the lease's own.
    private func link(_ request: LeaseRequest) -> (request: LeaseRequest, isOwn: Bool) {
        var linked = request
        linked.resource.path =
            "\(settings.recordDirectory)/clean.\(settings.hostId ?? 0).\(getpid()).\(UInt32.random(in: 0...(.max)))"
        do throws(SystemError) {
            try Files.link(request.resource.path, as: linked.resource.path)
            return (linked, true)
        } catch {
            return (request, false)
        }
    }

    private func raiseVersion(over requests: [LeaseRequest]) throws(SystemError) {
        var highest: UInt64 = 0
        for request in requests {
            let bytes = try SharedFile.read(request.resource.path, offset: 0, count: 4096)
            if case .whole(let leader) = LeaseContent(bytes[...], isCutShort: false) {
                highest = max(highest, leader.version)
            }
        }
        let versions = LeaseVersions(settings: settings)
        guard highest > versions.highest() else { return }
        guard let section = try LeaseSection(of: [LeaseVersions.section], in: directory.files, waitingSeconds: 10)
        else {
            throw SystemError("lock", on: LeaseVersions.section, number: EAGAIN)
        }
        defer { _ = section }
        try versions.raise(to: highest)
    }

    private func count(_ request: LeaseRequest, _ refusal: Refusal) {
        var state: LeaseEntry.State?
        if case .code(let code) = refusal, code.outcome == .leaseFileUnusable {
            // By now: another clean-up may have been at it just then.
            state = directory.entry(request.resource.name, disk: nil, [:]).state
        }
        report.withLock { report in
            guard case .code(let code) = refusal else {
                report.inUse += 1
                return
            }
            switch code.outcome {
            case .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .beingReleased, .orphaned: report.inUse += 1
            // Somebody else's clean-up was faster.
            case .leaseFileMissing: break
            case .leaseFileUnusable where state == .damaged || state == .unformatted: report.damaged += 1
            case .leaseFileUnusable: if state != .missing { report.inUse += 1 }
            default: report.failures.append((request.resource.path, code.explanation))
            }
        }
    }

    // The first sector, without what makes it a leader. The slots behind it stay: in them others see an owner.
    private static func noLeader(_ path: String) throws(SystemError) -> [UInt8] {
        let bytes = try SharedFile.read(path, offset: 0, count: 4096)
        return [0, 0, 0, 0] + bytes.dropFirst(4).prefix(LittleEndian(bytes[...]).sectorBytes - 4)
    }

    private func unlink(
        _ request: LeaseRequest, _ link: (request: LeaseRequest, isOwn: Bool), _ client: borrowing Descriptor
    ) {
        // With the daemon gone the lease may be another host's by now.
        guard !client.hasHungUp else {
            return report.withLock { $0.failures.append((request.resource.path, "the sanlock daemon ended")) }
        }
        let here = try? Files.kind(of: request.resource.path)?.inode
        guard let here, here == (try? Files.kind(of: link.request.resource.path)?.inode) else {
            return report.withLock { $0.inUse += 1 }
        }
        // A record of a holder that is gone: who has the lease now is this process.
        for file in recordFiles[request.resource.name] ?? [] {
            try? Files.remove("\(settings.recordDirectory)/\(file)")
        }
        do throws(SystemError) {
            try Files.remove(request.resource.path)
            if link.isOwn {
                // Who waits for this lease is to find none, should this host's stay in the lockspace end.
                try? Files.writeDirect(
                    LeaseCleanup.noLeader(link.request.resource.path), to: link.request.resource.path)
                try Files.remove(link.request.resource.path)
            }
            report.withLock { $0.removed += 1 }
        } catch {
            report.withLock { $0.failures.append((request.resource.path, error.message)) }
        }
    }

    // MARK: - What killed processes left

    /// How old a file that was made aside has to be before it counts as left, in seconds by the storage's clock.
    private static let abandonedSeconds = 600.0

    private func sweep() {
        let folder = settings.recordDirectory
        guard let now = try? Files.kind(of: folder)?.changedSeconds else { return }
        for name in (try? Files.names(in: folder)) ?? [] {
            guard name.hasPrefix("new.") || name.hasPrefix("clean.") || name.hasSuffix(".new"),
                let kind = try? Files.kind(of: "\(folder)/\(name)"), kind.isRegular,
                kind.changedSeconds + LeaseCleanup.abandonedSeconds < now
            else { continue }
            try? Files.remove("\(folder)/\(name)")
        }
    }
}
