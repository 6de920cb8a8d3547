import Glibc
import Leases
import Platform
import Synchronization

/// Leases from a sanlock daemon, for this process.
///
/// libsanlock finds its daemon by `SANLOCK_RUN_DIR`, read once: one process speaks to one daemon.
public final class SanlockDriver: LeaseDriver {
    let settings: SanlockSettings
    let files: LeaseFiles
    let membership: LockspaceMembership
    let owners: LeaseOwners
    let records: HolderRecords
    let pid: Int32
    private let notice: SanlockNotice?
    let socket = Mutex<Int32?>(nil)
    /// This host's name in each lockspace, read once: storage may hang later.
    let hostNames = Mutex<[String: String?]>([:])
    /// The versions that leases got by being taken again: what failed, or wasn't wanted any more, has made them higher, too.
    let raised = Mutex<[LeaseResource: UInt64]>([:])
    /// One call by pid at a time: the daemon refuses a second one (EBUSY).
    let turn = Mutex(())
    /// How often the leases have been looked at.
    let looks = Mutex(0)
    /// What sanlock may hold for this process: what it was asked for and not told to give back.
    let asked = Mutex<[LeaseRequest]>([])

    /// A driver that has not spoken to the daemon yet.
    ///
    /// - Parameter notice: what the daemon is to run when it is time to look at the leases; nil: it sends SIGTERM.
    public init(settings: SanlockSettings, notice: SanlockNotice?) {
        self.settings = settings
        self.notice = notice
        files = LeaseFiles(settings: settings)
        membership = LockspaceMembership(settings: settings)
        records = HolderRecords(settings: settings)
        owners = LeaseOwners(settings: settings, records: records, watch: HostWatch())
        pid = getpid()
    }

    /// Goes on with the leases that this process took as another program.
    ///
    /// - Parameter connection: what `connect` had returned; nil: that is lost.
    public convenience init(
        settings: SanlockSettings, notice: SanlockNotice?, carrying carried: CarriedLeases, connection: Int32?
    ) {
        self.init(settings: settings, notice: notice)
        socket.withLock { $0 = connection }
        asked.withLock { $0 = carried.asked }
        raised.withLock { raised in
            for lease in carried.raised { raised[lease.request.resource] = lease.version }
        }
    }

    /// What another program needs to go on.
    public func carried() -> CarriedLeases {
        var carried = CarriedLeases()
        carried.asked = asked.withLock { $0 }
        carried.raised = raised.withLock { $0 }.map { resource, version in
            HeldLease(request: LeaseRequest(disk: nil, resource: resource, mode: .exclusive), version: version)
        }
        return carried
    }

    /// `sanlock`.
    public var name: String { "sanlock" }

    /// Registers with the daemon. The connection is restricted before anybody else sees it: no call by pid needs it,
    /// and a guest that breaks out finds nothing it could ask for. Again after a daemon is gone; what hung on the last
    /// connection is closed.
    public func connect() throws(LeaseFailure) -> Int32? {
        do throws(SanlockCode) {
            let socket = try SanlockCalls.register()
            // The guest gets a copy of its own that stays open over its exec.
            _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
            do throws(SanlockCode) {
                if let notice { try SanlockCalls.notify(on: socket, by: notice.program, notice.arguments) }
                try SanlockCalls.restrict(socket)
            } catch {
                close(socket)
                throw error
            }
            asked.withLock { $0 = [] }
            self.socket.withLock { last in
                if let last { close(last) }
                last = socket
            }
            return socket
        } catch {
            throw error.connectionFailure
        }
    }

    /// Takes all or none, eight a call.
    ///
    /// They are asked for at once, and what is missing, broken or looks busy is seen to afterwards: where the lease files
    /// are there and free, as on nearly all starts, nobody looks for them.
    public func acquire(
        _ requests: [LeaseRequest], progress: @Sendable (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> [HeldLease] {
        if requests.isEmpty { return [] }
        let automatic = requests.filter { $0.disk != nil }
        if !automatic.isEmpty {
            try membership.checkHostId()
            try files.checkDirectory()
            // A lockspace of this name that was joined from another file, or as another host, is not the one that the
            // other hosts guard these disks with.
            if !membership.isJoined() { try membership.join(progress: progress) }
            try membership.checkOwnSlot()
        }
        let held: [HeldLease]
        do throws(RefusedLease) {
            held = try take(requests)
        } catch {
            try? release(requests)
            held = try acquireWithCare(requests, automatic, after: error, progress)
        }
        return try awaitOthers(held, progress)
    }

    /// The lease of libvirt's name in the lease directory.
    public func request(forDisk path: String, mode: LeaseMode) -> LeaseRequest? {
        settings.hasDiskLeases ? settings.request(forDisk: path, mode: mode) : nil
    }

    /// Writes the records of automatic leases.
    public func record(_ leases: [HeldLease], holder: LeaseHolder) {
        records.write(leases, holder: holder)
    }

    /// Removes them.
    public func removeRecords(_ leases: [HeldLease]) {
        records.remove(leases)
    }

    /// Writes it into the records of those that are held, as long as nobody else can have them.
    public func recordUnused(_ holder: LeaseHolder) {
        let requests = asked.withLock { $0 }.filter { $0.mode == .exclusive && $0.disk != nil }
        guard !requests.isEmpty,
            let versions = try? inTurn({ () throws(SanlockCode) in try SanlockCalls.held(by: pid) })
        else { return }
        let held = requests.compactMap { request -> HeldLease? in
            let name = [request.resource.lockspace, request.resource.name]
            return versions[name].flatMap { $0 }.map { HeldLease(request: request, version: $0) }
        }
        records.write(held, holder: holder, isUnused: true)
    }

    /// Gives all leases back; they are free on return.
    public func releaseAll() throws(LeaseFailure) {
        try giveBack { _ in true }
    }

    /// Gives some back; they are free on return.
    public func release(_ requests: [LeaseRequest]) throws(LeaseFailure) {
        let resources = Set(requests.map(\.resource))
        try giveBack { resources.contains($0.resource) }
    }

    private func giveBack(_ isMeant: (LeaseRequest) -> Bool) throws(LeaseFailure) {
        let requests = asked.withLock { asked in
            let meant = asked.filter(isMeant)
            asked.removeAll(where: isMeant)
            return meant.enumerated().filter { index, one in !meant[..<index].contains(one) }.map(\.element)
        }
        var failure: SanlockCode?
        var kept: [LeaseRequest] = []
        var adrift: [LeaseRequest] = []
        for some in SanlockDriver.calls(for: requests) {
            do throws(SanlockCode) { try release(some) } catch {
                failure = failure ?? error
                // Of any other error that the daemon answers with it has let go of them all the same.
                if SanlockDriver.refusals.contains(error.number) { kept += some } else { adrift += some }
            }
        }
        guard let failure else { return }
        asked.withLock { $0 += kept }
        throw LeaseFailure(failure, kept: kept, adrift: adrift)
    }

    // Somebody else's question about this process makes the daemon refuse a release, too.
    private func release(_ requests: ArraySlice<LeaseRequest>) throws(SanlockCode) {
        let deadline = Clock.monotonicSeconds() + SanlockDriver.busySeconds
        while true {
            do throws(SanlockCode) {
                return try inTurn { () throws(SanlockCode) in try SanlockCalls.release(requests, of: pid) }
            } catch {
                guard error.number == -EBUSY, Clock.monotonicSeconds() < deadline else { throw error }
                usleep(2000)
            }
        }
    }

    private static let busySeconds = 1.0
    // The daemon was at something else, or wasn't even asked.
    private static let refusals = [-EBUSY, -EMFILE, -ENFILE, -ENOMEM]

    /// Makes a call by pid when no other is under way.
    func inTurn<Result: Sendable>(_ call: () throws(SanlockCode) -> Result) throws(SanlockCode) -> Result {
        try turn.withLock { _ throws(SanlockCode) in try call() }
    }

    /// Whether the daemon uses a watchdog: asked of its command line and its configuration, since no call tells, and of
    /// the watchdog daemon's socket.
    public func isWatchdogOn() -> Bool {
        socket.withLock { $0 }.flatMap { DaemonProcess(connectedTo: $0) }?.usesWatchdog ?? false
    }
}

extension LeaseFailure {
    /// Leases that were not all given back.
    ///
    /// - Parameters:
    ///   - kept: those that the process still has.
    ///   - adrift: those among which the daemon could not mark one as free.
    fileprivate init(_ code: SanlockCode, kept: [LeaseRequest], adrift: [LeaseRequest]) {
        let effect =
            adrift.isEmpty
            ? "they are free when this process has ended"
            : "other hosts may find them held by this one until a guest here has had them and ended"
        self.init(
            kept.isEmpty ? code.outcome : .other, request: kept.count + adrift.count == 1 ? (kept + adrift).first : nil,
            detail: "the leases were not all given back (\(code.symbol)); \(effect)")
        self.kept = kept
        self.adrift = adrift
    }
}

extension SanlockCode {
    /// What it means that the daemon could not be talked to.
    var connectionFailure: LeaseFailure {
        switch number {
        case -EACCES:
            LeaseFailure(
                .notPermitted,
                detail: "the sanlock daemon's socket is not open to this user (\(symbol)); run as root or "
                    + "as a member of sanlock's group")
        default:
            LeaseFailure(
                .daemonUnreachable,
                detail: "the sanlock daemon can't be reached (\(symbol)); start it, or set SANLOCK_RUN_DIR")
        }
    }
}
