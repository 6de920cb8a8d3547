import Glibc
import Leases
import Platform
import Synchronization

/// Leases from a sanlock daemon, for this process.
///
/// libsanlock finds its daemon by `SANLOCK_RUN_DIR`, read once: one process speaks to one daemon.
public final class SanlockDriver: LeaseDriver {
    private let settings: SanlockSettings
    private let files: LeaseFiles
    private let records: HolderRecords
    private let pid: Int32
    private let socket = Mutex<Int32?>(nil)
    /// What sanlock may hold for this process: what it was asked for and not told to give back.
    private let asked = Mutex<[LeaseRequest]>([])

    /// A driver that has not spoken to the daemon yet.
    public init(settings: SanlockSettings) {
        self.settings = settings
        files = LeaseFiles(settings: settings)
        records = HolderRecords(settings: settings)
        pid = getpid()
    }

    /// `sanlock`.
    public var name: String { "sanlock" }

    /// Registers with the daemon. The connection is restricted before anybody else sees it: no call by pid needs it,
    /// and a guest that breaks out finds nothing it could ask for.
    public func connect() throws(LeaseFailure) -> Int32? {
        do throws(SanlockCode) {
            let socket = try SanlockCalls.register()
            // The guest gets a copy of its own that stays open over its exec.
            _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
            try SanlockCalls.restrict(socket)
            self.socket.withLock { $0 = socket }
            return socket
        } catch {
            switch error.number {
            case -EACCES, -EPERM:
                throw LeaseFailure(
                    .notPermitted,
                    detail: "the sanlock daemon's socket is not open to this user (\(error.symbol)); run as root or "
                        + "as a member of sanlock's group")
            default:
                throw LeaseFailure(
                    .daemonUnreachable,
                    detail: "the sanlock daemon can't be reached (\(error.symbol)); start it, or set SANLOCK_RUN_DIR")
            }
        }
    }

    /// Takes all or none, eight a call.
    ///
    /// They are asked for at once and what is missing is made afterwards: where the lease files are there, as on all starts
    /// but the first, nobody looks for them.
    public func acquire(_ requests: [LeaseRequest]) throws(LeaseFailure) -> [HeldLease] {
        if requests.isEmpty { return [] }
        let automatic = requests.filter { $0.disk != nil }
        if !automatic.isEmpty {
            if settings.hostId == nil {
                throw LeaseFailure(
                    .configurationWrong,
                    detail: "host_id is not set; give each host that shares the lease directory "
                        + "a number of its own, from 1 to 2000")
            }
            try files.checkDirectory()
            // A lockspace of this name that was joined from another file, or as another host, is not the one that the
            // other hosts guard these disks with.
            if !isJoined() { try join() }
        }
        var hasJoined = false
        var hasMade = false
        while true {
            do throws(RefusedLease) {
                try acquireAll(requests)
                return held(requests)
            } catch {
                try? releaseAll()
                switch error.code.outcome {
                case .lockspaceGone where !hasJoined && error.request.disk != nil:
                    hasJoined = true
                    try join()
                case .leaseFileMissing where !hasMade && error.request.disk != nil:
                    hasMade = true
                    for request in automatic { try files.makeLease(request) }
                default:
                    throw failure(error)
                }
            }
        }
    }

    /// Writes the records of automatic leases.
    public func record(_ leases: [HeldLease], holder: LeaseHolder) {
        var holder = holder
        if let hostId = settings.hostId {
            holder.hostName = LockspaceSlots.hostName(of: hostId, in: settings.lockspacePath)
        }
        records.write(leases, holder: holder)
    }

    /// Removes them.
    public func removeRecords(_ leases: [HeldLease]) {
        records.remove(leases)
    }

    /// Gives all leases back; they are free on return.
    public func releaseAll() throws(LeaseFailure) {
        let requests = asked.withLock { asked in
            defer { asked = [] }
            return asked
        }
        var failure: SanlockCode?
        for some in SanlockDriver.calls(for: requests) {
            do throws(SanlockCode) { try SanlockCalls.release(some, of: pid) } catch { failure = failure ?? error }
        }
        if let failure {
            throw LeaseFailure(
                failure.outcome,
                detail: "the leases were not all given back (\(failure.symbol)); they are free when "
                    + "this process has ended")
        }
    }

    /// The lockspaces as the daemon has joined them.
    public func lockspaces(of requests: [LeaseRequest]) -> [LockspaceState] {
        let wanted = Set(requests.map(\.resource.lockspace))
        let joined = (try? SanlockCalls.joinedLockspaces()) ?? []
        return joined.filter { wanted.contains($0.name) }.map {
            LockspaceState(
                name: $0.name, hostId: $0.hostId, hostName: LockspaceSlots.hostName(of: $0.hostId, in: $0.path))
        }
    }

    /// Whether the daemon uses a watchdog: asked of its command line and its configuration, since no call tells, and of
    /// the watchdog daemon's socket.
    public func isWatchdogOn() -> Bool {
        guard let socket = socket.withLock({ $0 }), let daemon = UnixSocket.peer(of: socket)?.process else {
            return false
        }
        let text = (try? Files.read("/proc/\(daemon)/cmdline", limit: 65536)) ?? []
        let arguments = text.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        let configured = (try? Files.read("/etc/sanlock/sanlock.conf", limit: 65536)) ?? []
        var isOn = !String(decoding: configured, as: UTF8.self).split(separator: "\n").contains {
            $0.filter { $0 != " " && $0 != "\t" } == "use_watchdog=0"
        }
        for (index, argument) in arguments.enumerated() where argument.hasPrefix("-w") {
            let value = argument == "-w" ? arguments[(index + 1)...].first ?? "" : String(argument.dropFirst(2))
            isOn = value != "0"
        }
        return isOn && ((try? Files.kind(of: "/run/wdmd/wdmd.sock")) ?? nil) != nil
    }
}

// MARK: - Taking

/// One lease that sanlock refused.
private struct RefusedLease: Error {
    let request: LeaseRequest
    let code: SanlockCode
}

extension SanlockDriver {
    private func acquireAll(_ requests: [LeaseRequest]) throws(RefusedLease) {
        for some in SanlockDriver.calls(for: requests) {
            do throws(SanlockCode) {
                asked.withLock { $0 += some }
                try SanlockCalls.acquire(some, for: pid)
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
                try SanlockCalls.acquire([request], for: pid)
            } catch {
                throw RefusedLease(request: request, code: error)
            }
        }
    }

    /// The requests in portions that one call takes.
    private static func calls(for requests: [LeaseRequest]) -> [ArraySlice<LeaseRequest>] {
        stride(from: 0, to: requests.count, by: SanlockCalls.resourcesPerCall).map {
            requests[$0..<min($0 + SanlockCalls.resourcesPerCall, requests.count)]
        }
    }

    private func held(_ requests: [LeaseRequest]) -> [HeldLease] {
        let versions = (try? SanlockCalls.versions(of: pid)) ?? [:]
        return requests.map { request in
            if request.mode == .shared { return HeldLease(request: request, version: nil) }
            let name = [request.resource.lockspace, request.resource.name]
            // The daemon tells none where one lease's path has a space in it. The storage does.
            let version = versions[name] ?? (try? SanlockCalls.owners(of: request.resource))?.version
            return HeldLease(request: request, version: version)
        }
    }

    private func failure(_ refused: RefusedLease) -> LeaseFailure {
        let request = refused.request
        let code = refused.code
        switch code.outcome {
        case .heldElsewhere, .deadNotExpired:
            let holder = holder(of: request)
            // A daemon that joined a moment ago says this of every owner it hasn't watched yet.
            let isDead =
                code.outcome == .deadNotExpired
                && holder?.hostId.map {
                    SanlockCalls.isKnownDead($0, in: request.resource.lockspace)
                } ?? true
            // Nobody owns it any more: it got free since. A supervisor of this host that is gone leaves a guest that is being killed, and a lease about to be free.
            let isEnding = holder.map { holder in
                holder.hostId == settings.hostId
                    && holder.pid.map(ProcessIdentity.isEnding) ?? false
            }
            return LeaseFailure(
                isEnding ?? true ? .beingReleased : isDead ? .deadNotExpired : .heldElsewhere, request: request,
                holder: holder,
                detail: code.explanation)
        case .leaseFileUnusable, .hostIdTooLarge, .leaseFileMissing, .notPermitted:
            return LeaseFailure(
                code.outcome, request: request, detail: "lease file \(request.resource.path): \(code.explanation)")
        case .lockspaceGone:
            return LeaseFailure(
                code.outcome, request: request,
                detail: "lockspace \(request.resource.lockspace): \(code.explanation); join it first")
        case .beingReleased, .orphaned, .wrongVersion, .hostIdInUse, .leaseFileNotMade, .daemonUnreachable,
            .storageFailed, .configurationWrong, .other:
            return LeaseFailure(code.outcome, request: request, detail: code.explanation)
        }
    }

    private func holder(of request: LeaseRequest) -> LeaseHolder? {
        guard let owners = try? SanlockCalls.owners(of: request.resource), let owner = owners.hosts.first else {
            return nil
        }
        let recorded =
            request.disk == nil
            ? nil
            : records.holder(of: request, hostId: owner.id, version: owners.version)
                ?? records.sharedHolder(of: request, hostId: owner.id)
        var holder = recorded ?? LeaseHolder()
        holder.hostId = owner.id
        // What sanlock wrote of the host goes before what a record says.
        let slotName = lockspacePath(of: request).flatMap { LockspaceSlots.hostName(of: owner.id, in: $0) }
        holder.hostName = slotName ?? holder.hostName
        return holder
    }

    private func lockspacePath(of request: LeaseRequest) -> String? {
        let joined = (try? SanlockCalls.joinedLockspaces()) ?? []
        return joined.first { $0.name == request.resource.lockspace }?.path
    }
}

// MARK: - Joining

extension SanlockDriver {
    private func isJoined() -> Bool {
        guard let hostId = settings.hostId else { return false }
        let path = settings.lockspacePath
        return (try? SanlockCalls.isJoined(LeaseName.lockspace, hostId: hostId, path: path, waits: false)) ?? false
    }

    private func join() throws(LeaseFailure) {
        guard let hostId = settings.hostId else { return }
        try files.makeLockspace()
        let path = settings.lockspacePath
        do throws(SanlockCode) {
            do throws(SanlockCode) {
                try SanlockCalls.join(
                    LeaseName.lockspace, hostId: hostId, path: path, ioTimeoutSeconds: settings.ioTimeoutSeconds)
            } catch {
                // Joined already, or being joined by another supervisor of this host at this moment.
                guard error.number == -EEXIST || error.number == -EINPROGRESS else { throw error }
                guard try SanlockCalls.isJoined(LeaseName.lockspace, hostId: hostId, path: path, waits: true) else {
                    throw error
                }
            }
        } catch {
            throw joinFailure(error, hostId, path)
        }
    }

    private func joinFailure(_ code: SanlockCode, _ hostId: UInt64, _ path: String) -> LeaseFailure {
        switch code.number {
        case SanlockCode.hostIdBusy:
            let other = LockspaceSlots.hostName(of: hostId, in: path).map { " (\($0))" } ?? ""
            return LeaseFailure(
                .hostIdInUse,
                detail: "host id \(hostId) of lockspace \(LeaseName.lockspace) is used by another host\(other) "
                    + "(\(code.symbol)); give each host an id of its own")
        case -EINVAL:
            return LeaseFailure(
                .lockspaceGone,
                detail: "lockspace \(LeaseName.lockspace) can't be joined as host id \(hostId) (\(code.symbol)): the "
                    + "daemon has it under another host id or path; leave it first, or set host_id and "
                    + "disk_lease_dir alike")
        default:
            return LeaseFailure(
                code.outcome == .other ? .lockspaceGone : joinOutcome(code),
                detail: "lockspace \(LeaseName.lockspace) in \(path) can't be joined: \(code.symbol); see the sanlock "
                    + "daemon's log")
        }
    }

    // A lockspace's file that is no lockspace is not a lease file of the guest's.
    private func joinOutcome(_ code: SanlockCode) -> LeaseOutcome {
        switch code.outcome {
        case .notPermitted, .storageFailed, .daemonUnreachable, .hostIdInUse: code.outcome
        case .heldElsewhere, .deadNotExpired, .beingReleased, .orphaned, .wrongVersion, .lockspaceGone,
            .leaseFileMissing, .leaseFileUnusable, .leaseFileNotMade, .hostIdTooLarge, .configurationWrong, .other:
            .lockspaceGone
        }
    }
}
