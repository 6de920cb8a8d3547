import ControlProtocol
import Leases
import Platform
import Supervision

/// The looks at a guest's leases, on a thread of their own: one that hangs holds nothing else up.
final class LeaseWatch {
    var thread: WorkerThread<WatchResult>?
    /// Whether a look is under way.
    var isLooking = false
    /// Whether the one that is under way began before the leases were lost: it says nothing of those that were taken since.
    var isStale = false
    /// Whether another one is wanted after it, and an urged one.
    var next: (isUrged: Bool, Void)?
    /// Whether there was an attempt to have a thread.
    var hasBegun = false
    /// When the leases were certainly held, in seconds of the monotonic clock.
    var sinceSeconds = 0.0
}

/// What that thread brings.
enum WatchResult: Sendable {
    case sight(LeaseSight)
    case demands(Result<[LeaseDemand], LeaseFailure>)
}

extension Supervisor {
    /// From here the leases are watched. The guest runs.
    func startWatching() {
        guard !leases.isEmpty, leaseState == .held, !watch.hasBegun else { return }
        watch.hasBegun = true
        if watch.sinceSeconds == 0 { watch.sinceSeconds = Clock.monotonicSeconds() }
        watch.thread = startThread(as: .watcher, to: "watch the leases on")
    }

    /// A thread beside the worker. Nil where there is none to be had, which is noted: then its jobs are done between the worker's others.
    func startThread<Result: Sendable>(as source: Source, to purpose: String) -> WorkerThread<Result>? {
        do throws(SystemError) {
            let thread = try WorkerThread<Result>()
            _ = try loop.watch(thread.wakeup.descriptor.number, for: .readable, as: source)
            return thread
        } catch {
            note(.warning, "there is no thread to \(purpose): \(error.message)")
            return nil
        }
    }

    /// Leases were taken again; what was seen of the lockspace as it was lost says nothing of the one that was joined since.
    func leasesRetaken(_ held: [HeldLease]) {
        leases = held
        leaseState = .held
        areLeasesAdrift = false
        lockspaces = []
        watch.sinceSeconds = Clock.monotonicSeconds()
        // One that is under way began before they were given back.
        watch.isStale = watch.isStale || watch.isLooking
        writeRecords()
    }

    func lookAtLeases(isUrged: Bool) {
        let leases = settledLeases
        guard !leases.isEmpty, leaseState != .released else { return }
        // Before the guest runs there is nobody else who needs the worker.
        if supervision.state != .starting { startWatching() }
        guard !watch.isLooking else {
            watch.next = (isUrged || watch.next?.isUrged == true, ())
            return
        }
        watch.isLooking = true
        if let thread = watch.thread {
            thread.perform { [driver, leases] in .sight(driver.look(at: leases, isUrged: isUrged)) }
        } else {
            worker.perform { [driver, leases] in .seen(driver.look(at: leases, isUrged: isUrged)) }
        }
    }

    func takeSights() {
        for result in watch.thread?.takeResults() ?? [] {
            switch result {
            case .sight(let sight): take(sight)
            case .demands(let found): take(found)
            }
        }
    }

    func take(_ sight: LeaseSight) {
        watch.isLooking = false
        if watch.isStale {
            watch.isStale = false
            // The next one is set by what this one would have told.
            if watch.next == nil, leaseState == .held { watch.next = (isUrged: false, ()) }
            return lookAgain()
        }
        let isFirst = lockspaces.isEmpty
        // Where the daemon told nothing, what it told last goes on growing old.
        if !sight.lockspaces.isEmpty { lockspaces = sight.lockspaces.map(agingWhereUnseen) }
        if isFirst { writeState() }
        if let loss = sight.loss {
            lossDetail = loss.detail
            handle(.leasesLost(endSeconds: loss.urgency == .atOnce ? 0 : deadlines?.endSeconds ?? 0))
        } else if let deadlines {
            handle(.leasesSeen(deadlines))
        } else {
            loop.start(.supervision(.leaseLook), seconds: 1)
        }
        lookAgain()
    }

    private func lookAgain() {
        guard let next = watch.next else { return }
        watch.next = nil
        lookAtLeases(isUrged: next.isUrged)
    }

    private func agingWhereUnseen(_ lockspace: LockspaceState) -> LockspaceState {
        if lockspace.shownRenewalSeconds != nil { return lockspace }
        var lockspace = lockspace
        let last = lockspaces.first { $0.name == lockspace.name }?.shownRenewalSeconds
        lockspace.shownRenewalSeconds = last ?? watch.sinceSeconds - 2 * lockspace.ioTimeoutSeconds
        return lockspace
    }

    /// By the last look.
    var deadlines: LeaseDeadlines? {
        let now = Clock.monotonicSeconds()
        let all = lockspaces.map { $0.deadlines(now: now) }
        return all.dropFirst().reduce(all.first) { $0?.earliest($1) }
    }

    func announceLeaseWarning() {
        let now = Clock.monotonicSeconds()
        let end = plan.settings.pauses ? "stopped" : "ended"
        for lockspace in lockspaces where lockspace.deadlines(now: now).warningSeconds <= 0 {
            let detail = [WireEvent.Detail("lockspace", lockspace.name)] + times(lockspace, now)
            emit(.leaseWarning, detail)
            let age = lockspace.renewalAgeSeconds(now: now).map { "for \(whole($0)) s" } ?? "since it was joined"
            note(
                .warning,
                """
                lockspace \(lockspace.name) was not seen to be renewed \(age); unless it is, the guest is \(end) in \
                \(whole(lockspace.failsInSeconds(now: now) ?? 0)) s: see to the lease storage and to the sanlock daemon
                """)
        }
    }

    func announceLeaseLoss() {
        leaseState = .lost
        watch.isStale = watch.isLooking
        watch.next = nil
        if lossDetail.isEmpty {
            lossDetail = "no lockspace renewal was seen for too long, and the sanlock daemon says nothing"
        }
        let now = Clock.monotonicSeconds()
        let policy = WireEvent.Detail("policy", plan.settings.pauses ? "pause" : "poweroff")
        emit(.leaseLost, [policy, .init("cause", lossDetail)] + (lockspaces.first.map { times($0, now) } ?? []))
        note(.error, "the leases are lost: \(lossDetail)")
        writeState()
    }

    private func times(_ lockspace: LockspaceState, _ now: Double) -> [WireEvent.Detail] {
        [
            ("lastRenewalSeconds", lockspace.renewalAgeSeconds(now: now)),
            ("actsInSeconds", lockspace.failsInSeconds(now: now)),
            ("othersMayTakeInSeconds", lockspace.othersMayTakeInSeconds(now: now)),
        ].compactMap { name, seconds in seconds.map { .init(name, whole($0)) } }
    }

    private func whole(_ seconds: Double) -> String { String(Int(seconds.rounded())) }
}

// MARK: - A guest that stands still

extension Supervisor {
    func announcePause(_ purpose: PausePurpose) {
        since = Supervisor.timeNow()
        switch purpose {
        case .loss:
            emit(.paused, [.init("reason", "leaseLost")])
            note(.warning, "the guest stands still until its leases can be had again")
        case .order, .arrival:
            emit(.paused, [.init("reason", "ordered")])
        case .migration:
            emit(.paused, [.init("reason", "migrated")])
        }
        writeState()
    }

    func announceGivenBack() {
        // Nothing of the guest's hangs on their renewal any more.
        lockspaces = []
        emit(.paused, [.init("reason", "released"), .init("leases", String(leases.count))])
        writeState()
    }

    func announceResume() {
        since = Supervisor.timeNow()
        let wasLost = !lossDetail.isEmpty
        lossDetail = ""
        let unchecked = leases.filter { $0.request.mode == .shared }.count
        emit(
            .resumed,
            [.init("leases", String(leases.count))]
                + (unchecked == 0 ? [] : [.init("unchecked", String(unchecked))]))
        guard wasLost else { return writeState() }
        let hint = unchecked == 0 ? "" : " (\(unchecked) shared, of which nobody can tell who had them in between)"
        let end = monitor.wasRunning == false ? "stays stopped, as it was before" : "goes on"
        note(.warning, "the guest has its leases again\(hint) and \(end)")
        writeState()
    }

    func announceStay(_ failure: LeaseFailure) {
        let text = failure.reason(.none)
        emit(.paused, [.init("reason", "leaseTaken"), .init("cause", text)])
        note(
            .error,
            "the guest stays stopped, as its disk may have been changed under it: \(text); leasehold kill ends it")
        writeState()
    }

    /// A new connection to the lease manager: whoever kept the old one keeps this one.
    func shareConnection() {
        guard let leaseConnection else { return }
        if keeper?.watch(leaseSocket: leaseConnection) == false {
            note(.error, "the keeper didn't get the new lease connection")
        }
        shareWithMonitor()
        writeState()
    }
}
