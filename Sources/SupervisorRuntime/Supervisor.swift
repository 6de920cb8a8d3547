import ControlProtocol
import Glibc
import GuestDirectory
import Leases
import Logging
import Platform
import QEMUMonitor
import Supervision

/// Carries out what `Supervision` decides, for one guest: one event loop, one worker for what may block, the keeper, and
/// the control socket. Lives on the thread that made it.
public final class Supervisor<Driver: LeaseDriver> {
    enum Source {
        case signals
        case keeper
        case leaseConnection(Int32)
        case worker
        case listener
        case client(ControlClient)
        case watcher
        case settler
        case monitor(MonitorConnection)
    }

    /// What the worker brings.
    enum WorkResult: Sendable {
        case connected(Result<Int32?, LeaseFailure>)
        case taken(Result<[HeldLease], LeaseFailure>)
        case looked(isWatchdogOn: Bool, advice: [String])
        case released(Result<Void, LeaseFailure>)
        case settled(Settling)
        case seen(LeaseSight)
        case demands(Result<[LeaseDemand], LeaseFailure>)
        case reached(LeaseFailure?)
        case more(Result<TakenLeases, LeaseFailure>)
        case someGone([LeaseRequest], LeaseFailure?)
        case noneGone(OrderRefusal)
        case convertedBack([HeldLease])
        case nothing
    }

    let plan: GuestPlan
    let claim: GuestClaim
    let driver: Driver
    /// Where the log goes.
    var logTarget: LogTarget {
        didSet { log = logTarget.logger }
    }
    var log: Logger
    /// Where the one line of a failed start goes; nil once there is nobody to read it.
    var messages: Int32?

    enum LoopTimer: Hashable {
        case supervision(Timer)
        /// What clients have asked for while they waited for something else.
        case heldCalls
        /// The next look for clients, after one could not be accepted.
        case acceptAgain
        /// The next look of the line on a terminal.
        case waitingLine
        /// The next attempt to reach the guest's monitor.
        case monitorAgain
        /// The moment to say that it can't be reached.
        case monitorSilent
        /// The next look whether the guest, which should stand still, has written.
        case evidence
        /// The next look whether a migration has made the guest stand still.
        case standstill
        /// The next look how far a migration has come.
        case migration
        /// The end of the patience with a program that is tried, or the next look whether it can be become.
        case upgrade
        /// The next look for what other hosts ask for.
        case demands
    }

    var loop: EventLoop<Source, LoopTimer>
    let worker: WorkerThread<WorkResult>
    let signals: SignalReader
    let listener: Descriptor
    let listenerIdentity: UInt64
    var isListening = true
    /// What killed supervisors left and can't be ended.
    var unended: [Leftover] = []

    let progress: ProgressNote
    var waitingLine: TerminalLine
    var waiting: Waiting?
    var supervision: Supervision
    var keeper: Keeper?
    var keeperIdentity: UInt64 = 0
    var leaseConnection: Int32?
    /// How often orphans have been looked for.
    var orphanPasses = 0
    var leases: [HeldLease] = []
    var leaseState = WireLease.State.held
    /// Whether they went with a connection that was lost: nobody can tell when they are free.
    var areLeasesAdrift = false
    /// Whether one that was detached may not be marked free.
    var isOneUnmarked = false
    /// What was seen of the loss, for people.
    var lossDetail = ""
    let watch = LeaseWatch()
    let demands = DemandWatch()
    let monitor = GuestMonitor()
    let changes = LeaseChanges()
    var pendingOrder: PendingOrder?
    /// Where a guest that is to leave goes, as its caller has it.
    var leavingFor: String?
    var isAwaitingStandstill = false
    var migration: OutgoingMigration?
    var pendingUpgrade: PendingUpgrade?
    var lockspaces: [LockspaceState] = []
    var isWatchdogOn = false
    var child: ProcessIdentity?
    var since: String
    /// What is to be logged once the guest runs: a start that fails says one line, and that is all.
    var notes: [(level: Logger.Level, text: Logger.Message, metadata: Logger.Metadata)]? = []
    var clients: [UInt64: ControlClient] = [:]
    /// Clients that wait for the guest's end.
    var waiters: [ControlClient] = []
    /// Clients that called an incoming migration off, and wait for the guest's end.
    var departures: [ControlClient] = []
    var lastSequence = 0
    /// The last events, for those who come later.
    var history: [WireEvent] = []
    var result: (outcome: Outcome, leasesFree: Bool)?

    /// Prepares the supervisor: from here the control socket answers.
    ///
    /// - Throws: what this process could not be given; nothing has been asked of the lease manager then.
    public convenience init(
        _ plan: GuestPlan, claim: consuming GuestClaim, driver: Driver, log: LogTarget, messages: Int32
    ) throws(SystemError) {
        let listener = try UnixSocket.listen(at: claim.paths.control)
        try self.init(
            plan, claim: claim, driver: driver, log: log, messages: messages, listener: listener,
            supervision: Supervision(settings: plan.settings))
    }

    init(
        _ plan: GuestPlan, claim: consuming GuestClaim, driver: Driver, log: LogTarget, messages: Int32?,
        listener: consuming Descriptor, supervision: Supervision
    ) throws(SystemError) {
        self.plan = plan
        self.driver = driver
        logTarget = log
        self.log = log.logger
        self.messages = messages
        since = Supervisor.timeNow()
        self.supervision = supervision
        try OwnProcess.becomeSubreaper()
        loop = try EventLoop()
        worker = try WorkerThread()
        progress = ProgressNote { [worker] in worker.wakeup.raise() }
        waitingLine = TerminalLine(on: messages ?? 2)
        signals = try SignalReader([
            SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT,
            LeaseNotice.look.signal, LeaseNotice.requested.signal,
        ])
        listenerIdentity = try loop.watch(listener.number, for: .readable, as: .listener)
        self.listener = listener
        self.claim = claim
        _ = try loop.watch(signals.descriptor.number, for: .readable, as: .signals)
        _ = try loop.watch(worker.wakeup.descriptor.number, for: .readable, as: .worker)
    }

    /// Lives the guest's life, and returns how this process is to end.
    public func run() -> ExitStatus {
        perform(supervision.begin())
        // While the worker asks for the leases. A guest that was left behind may hold none, and write all the same.
        if let ended = claim.ended { note(.notice, "ended guest \(ended.name), which a killed supervisor left behind") }
        endLeftovers()
        if let failure = leftoverInTheWay() { handle(.leasesRefused(failure, nowSeconds: Clock.monotonicSeconds())) }
        return live()
    }

    /// Until the guest's end.
    func live() -> ExitStatus {
        defer { plan.logWriter.flush() }
        while result == nil {
            do throws(SystemError) {
                let next = try loop.next()
                for event in next { dispatch(event.source, event.identity, event.seen) }
                // What was dispatched may have stopped a timer that was due.
                for timer in loop.takeDue() { fire(timer) }
            } catch {
                // Without a loop nothing can be supervised. The keeper kills the guest and keeps the leases until then.
                note(.critical, "the event loop failed, the guest is killed: \(error.message)")
                keeper?.kill()
                return .code(ExitStatus.Code.failure)
            }
        }
        guard let result else { return .code(ExitStatus.Code.failure) }
        end(result.outcome, leasesFree: result.leasesFree)
        return ExitStatus(result.outcome)
    }

    /// Takes an event to the state machine and does what it says.
    func handle(_ event: Event) {
        perform(supervision.handle(event))
    }

    private func dispatch(_ source: Source, _ identity: UInt64, _ seen: Readiness) {
        switch source {
        case .signals: readSignals()
        case .keeper: readReports()
        case .leaseConnection(let number):
            guard !seen.isDisjoint(with: .hungUp) else { return }
            loop.forget(number, identity: identity)
            leaseConnection = nil
            areLeasesAdrift = areLeasesAdrift || !leases.isEmpty && leaseState != .released
            lossDetail = "the sanlock daemon closed the connection: it has ended"
            handle(.leaseConnectionLost)
        case .worker:
            takeProgress()
            for result in worker.takeResults() { take(result) }
        case .watcher: takeSights()
        case .settler: takeSettlings()
        case .monitor(let connection): serve(connection, seen)
        case .listener: acceptClients()
        case .client(let client): serve(client, seen)
        }
    }

    /// Logs, now or when the guest runs.
    func note(_ level: Logger.Level, _ text: Logger.Message, metadata: Logger.Metadata = [:]) {
        if notes == nil {
            log.log(level: level, text, metadata: metadata)
        } else {
            notes?.append((level, text, metadata))
        }
    }

    /// Logs what has waited for the guest to run.
    func logNotes() {
        let waiting = notes ?? []
        notes = nil
        for note in waiting { log.log(level: note.level, note.text, metadata: note.metadata) }
    }

    static func timeNow() -> String {
        let now = Clock.wallTime()
        return rfc3339(secondsSince1970: now.seconds, nanoseconds: Int32(now.milliseconds) * 1_000_000)
    }
}

// MARK: - What the worker brings

extension Supervisor {
    private func take(_ result: WorkResult) {
        switch result {
        case .connected(.success(let descriptor)):
            if let failure = watchLeaseConnection(descriptor) {
                return handle(.leasesRefused(failure, nowSeconds: Clock.monotonicSeconds()))
            }
            if case .acquiring = supervision.state { emit(.registered, []) } else { shareConnection() }
            handle(.connected)
        case .taken(.success(let held)):
            switch supervision.state {
            case .acquiring:
                leases = held
                watch.sinceSeconds = Clock.monotonicSeconds()
                stopWaiting()
                emit(.acquired, [.init("leases", String(held.count))])
            case .paused(let paused) where paused.step == .taking:
                leasesRetaken(held)
                if paused.purpose == .arrival { emit(.acquired, [.init("leases", String(held.count))]) }
            case .starting, .running, .pausing, .paused, .stopping, .rescuing, .releasing, .finished:
                // Too late: what it brought goes with the release, or with the process.
                return
            }
            handle(.leasesTaken)
        case .connected(.failure(let failure)):
            handle(.leasesRefused(failure, nowSeconds: Clock.monotonicSeconds()))
        case .taken(.failure(let failure)):
            if case .paused = supervision.state {
                return handle(.leasesRefused(failure, nowSeconds: Clock.monotonicSeconds()))
            }
            let failure = afterEndingLeftovers(failure)
            handle(.leasesRefused(failure, nowSeconds: Clock.monotonicSeconds()))
            showWaiting(for: failure)
        case .looked(let isWatchdogOn, let advice):
            for text in advice { note(.warning, "\(text)") }
            self.isWatchdogOn = isWatchdogOn
            if !isWatchdogOn, leaseConnection != nil {
                note(.warning, "no watchdog guards this host: if it hangs, sanlock can't fence it")
            }
            writeState()
        case .released(.success):
            if case .paused = supervision.state { leaseState = .released }
            handle(.leasesReleased(free: !areLeasesAdrift))
        case .released(.failure(let failure)):
            note(.error, "\(failure.detail)")
            areLeasesAdrift = true
            handle(.leasesReleased(free: false))
        case .settled(let settling): disksSettled(settling)
        case .seen(let sight):
            take(sight)
        case .demands(let found): take(found)
        case .reached(let failure): reached(failure)
        case .more(let result): moreTaken(result)
        case .someGone(let requests, let failure): someGone(requests, failure)
        case .noneGone(let refusal): refuseLeaving(refusal)
        case .convertedBack(let leases): convertedBack(leases)
        case .nothing:
            break
        }
    }

    // The target of a migration: its leases are another host's until they are its own.
    private func reached(_ failure: LeaseFailure?) {
        if let failure { return handle(.leasesRefused(failure, nowSeconds: Clock.monotonicSeconds())) }
        leases = plan.leases.map { HeldLease(request: $0, version: nil) }
        leaseState = .released
        stopWaiting()
        handle(.leasesReachable)
    }

    private func watchLeaseConnection(_ descriptor: Int32?) -> LeaseFailure? {
        guard let descriptor else { return nil }
        leaseConnection = descriptor
        do throws(SystemError) {
            // Interest in nothing: a connection that hangs up shows all the same.
            _ = try loop.watch(descriptor, for: [], as: .leaseConnection(descriptor))
            return nil
        } catch {
            return LeaseFailure(.other, detail: "the lease connection can't be watched: \(error.message)")
        }
    }

    // What can't be killed may write, even where its lease got free: then nobody else may start on its disks.
    private func leftoverInTheWay() -> LeaseFailure? {
        for leftover in unended {
            let names = leftover.leases.map(\.resource)
            guard let request = plan.leases.first(where: { names.contains($0.resource.name) }) else { continue }
            return LeaseFailure(
                .orphaned, request: request,
                detail: "guest \(leftover.name), which a killed supervisor left behind, has it and can't be ended; see "
                    + "what blocks its processes")
        }
        return nil
    }

    private func fire(_ timer: LoopTimer) {
        switch timer {
        case .supervision(let timer): handle(.timerFired(timer))
        case .heldCalls: answerHeldCalls()
        case .acceptAgain: resumeListening()
        case .waitingLine: drawWaiting()
        case .monitorAgain: openMonitor()
        case .monitorSilent: noteSilentMonitor()
        case .evidence: lookForWrites()
        case .standstill: lookForStandstill()
        case .migration: lookAtMigration()
        case .upgrade: goOnUpgrading()
        case .demands: lookForDemands(demands.isDone ? .outcome : .again)
        }
    }

    // A guest whose supervisor and keeper were killed in one instant may be what holds the lease. It is ended, and its
    // lease about to be free.
    private func afterEndingLeftovers(_ failure: LeaseFailure) -> LeaseFailure {
        guard failure.isBusy, endLeftovers() else { return failure }
        var failure = failure
        failure.outcome = .beingReleased
        return failure
    }

    /// Ends what supervisors and keepers that were killed left on this host. True where there was a guest.
    @discardableResult
    private func endLeftovers() -> Bool {
        let found = Leftover.endAll(in: plan.runDirectory)
        unended = found.filter { !$0.isEnded }
        let ended = found.filter { $0.isEnded && $0.hadProcesses }
        for leftover in ended { note(.notice, "ended guest \(leftover.name), which a killed supervisor left behind") }
        return !ended.isEmpty
    }
}
