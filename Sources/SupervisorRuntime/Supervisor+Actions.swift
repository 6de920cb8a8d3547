import ControlProtocol
import Glibc
import GuestDirectory
import Leases
import Platform
import Supervision
import Synchronization

// What `Supervision` says is done here, and nothing is decided.
extension Supervisor {
    func perform(_ actions: [Action]) {
        for action in actions { perform(action) }
    }

    private func perform(_ action: Action) {
        switch action {
        case .connect:
            worker.perform { [driver] in
                .connected(Result { () throws(LeaseFailure) in try driver.connect() })
            }
        case .takeLeases:
            worker.perform { [driver, progress, plan] in
                .taken(
                    Result { () throws(LeaseFailure) in
                        let held = try driver.acquire(plan.leases) { progress.note($0) }
                        if let failure = Supervisor.takeDevices(of: plan) {
                            try? driver.releaseAll()
                            throw failure
                        }
                        return held
                    })
            }
        case .reachLeases:
            worker.perform { [driver, progress, plan] in
                do throws(LeaseFailure) {
                    try driver.reach(plan.leases) { progress.note($0) }
                    return .reached(nil)
                } catch {
                    return .reached(error)
                }
            }
        case .startGuest: startGuest()
        case .announceStart: announceStart()
        case .askGuestToStop: keeper?.send(signal: SIGTERM)
        case .killGuest: keeper?.kill()
        case .killKeeper: if let keeper { kill(keeper.pid, SIGKILL) }
        case .killOrphans: killOrphans()
        case .suspendSelf(let signal): OwnProcess.raise(signal)
        case .lookAtLeases(let isUrged): lookAtLeases(isUrged: isUrged)
        case .announceLeaseWarning: announceLeaseWarning()
        case .announceLeaseLoss: announceLeaseLoss()
        case .pauseGuest: pauseGuest()
        case .announcePause(let purpose): announcePause(purpose)
        case .announceGivenBack: announceGivenBack()
        case .giveLeasesBack: giveLeasesBack()
        case .releaseLeases: releaseLeases()
        case .retakeLeases(let orNext): retakeLeases(orNext: orNext)
        case .expectLeases(let expected):
            leases = expected
            leaseState = .released
        case .awaitStandstill: awaitStandstill()
        case .stopAwaiting: stopAwaiting()
        case .cancelMigration: cancelMigration()
        case .takeMore(let requests): takeMore(requests)
        case .keepTaken: keepTaken()
        case .dropTaken: dropTaken()
        case .giveSomeBack(let requests): giveSomeBack(requests)
        case .writeDown: writeState()
        case .completeOrder: completeOrder()
        case .refuseOrder(let refusal): refuseOrder(refusal)
        case .resumeGuest: resumeGuest()
        case .announceResume: announceResume()
        case .announceStay(let failure): announceStay(failure)
        case .letKeeperWait(let seconds): keeper?.wait(seconds: seconds)
        case .announceEnd(let end, let reason): announceEnd(end, reason)
        case .startTimer(let timer, let seconds): loop.start(.supervision(timer), seconds: seconds)
        case .hastenTimer(let timer, let seconds): loop.hasten(.supervision(timer), seconds: seconds)
        case .cancelTimer(let timer): loop.cancel(.supervision(timer))
        case .finish(let outcome, let leasesFree): result = (outcome, leasesFree)
        }
    }

    private func giveLeasesBack() {
        releaseLeases()
        worker.perform { [plan] in
            plan.devices?.suspend()
            return .nothing
        }
    }

    private func retakeLeases(orNext: Bool) {
        let handover = orNext ? .calledOff(uuid: plan.uuid) : isUnused ? .arrival(holder()) : LeaseHandover.none
        worker.perform { [driver, leases, plan] in
            .taken(
                Result { () throws(LeaseFailure) in
                    let held = try driver.retake(leases, in: handover)
                    guard let failure = Supervisor.takeDevices(of: plan) else { return held }
                    plan.devices?.suspend()
                    if case .arrival(let holder) = handover { driver.recordUnused(holder) }
                    try? driver.releaseAll()
                    throw failure
                })
        }
    }

    private static func takeDevices(of plan: GuestPlan) -> LeaseFailure? {
        conflict(among: plan.leases) { () throws(SystemError) in try plan.devices?.take() }
    }

    /// What a device says against a guest's having the leases of its names.
    static func conflict(
        among leases: [LeaseRequest], _ take: () throws(SystemError) -> DeviceClaim.Conflict?
    ) -> LeaseFailure? {
        do throws(SystemError) {
            guard let conflict = try take() else { return nil }
            let other = conflict.otherPath.map { "the same device as \($0)" } ?? "a device"
            let holder = conflict.guest.map { guest in
                let pid = conflict.supervisorPid.map { " (supervisor pid \($0))" } ?? ""
                return "guest \(guest)\(pid) has on this host"
            }
            let own = conflict.otherPath == nil ? "another guest has on this host" : "this guest has as well"
            let request = leases.first { $0.disk?.hasSameBytes(as: conflict.path) == true }
            return LeaseFailure(
                .sameDevice, request: request,
                detail:
                    "it is \(other), which \(holder ?? own); give a device the same name everywhere, as its lease goes "
                    + "by that")
        } catch {
            return LeaseFailure(.other, detail: "the disks' devices can't be claimed: \(error.message)")
        }
    }

    // What forks and exits all the time has to be killed faster than it does so. What can't die gets a pass now and then.
    private func killOrphans() {
        if orphanPasses == 0 { OwnProcess.runBeforeOthers() }
        orphanPasses += 1
        let deadline = Clock.monotonicSeconds() + (orphanPasses <= 50 ? 0.015 : 0)
        repeat {
            if OwnProcess.killChildren(sparing: plan.sparedChildren) == 0 { return handle(.orphansGone) }
        } while Clock.monotonicSeconds() < deadline
    }

    private func startGuest() {
        var start = plan.start
        start.leaseSocket = leaseConnection
        // The devices are taken with the leases, and then by the keeper too.
        if plan.settings.isIncoming { try? plan.devices?.prepare() }
        start.deviceLocks = plan.devices?.descriptor
        // Beside the start: a slow directory doesn't hold it up, and no call to the daemon is made for it.
        writeRecords()
        // By the socket's inode in it, whatever the guest becomes can be found, should supervisor and keeper be killed.
        writeState()
        do throws(SystemError) {
            let keeper = try Keeper(starting: start)
            self.keeper = keeper
            keeperIdentity = try loop.watch(keeper.reports.number, for: .readable, as: .keeper)
        } catch {
            // A keeper that can't be watched sees its socket close, and kills what it has started.
            keeper = nil
            handle(.guestFailedToStart(step: error.call, number: error.number))
        }
        // The guest has its own copies: whoever reads what it writes sees the end when it closes them.
        var kept: Set<Int32> = [0, 1, 2]
        for number in [plan.readyDescriptor, messages] { number.map { _ = kept.insert($0) } }
        InheritedDescriptors.close(plan.callerDescriptors, keeping: kept)
        InheritedDescriptors.silenceStandardStreams(includingError: messages != 2)
    }

    private func announceStart() {
        since = Supervisor.timeNow()
        emit(.started, child.map { [.init("childPid", String($0.pid))] } ?? [], isWritten: true)
        if let socket = plan.notifySocket { UnixSocket.notify("READY=1\nMAINPID=\(getpid())\n", at: socket) }
        tellReady()
        logNotes()
        OwnProcess.outlastOthers()
        if !OwnProcess.stayInMemory() { note(.debug, "memory is not locked: RLIMIT_MEMLOCK forbids it") }
        dropCapabilities()
        plan.logWriter.startThread()
        for warning in plan.warnings { note(.warning, "\(warning)") }
        // Only now: a libsanlock call has a descriptor open that a fork would hand to the guest.
        worker.perform { [driver, plan] in
            .looked(isWatchdogOn: driver.isWatchdogOn(), advice: plan.devices?.advice() ?? [])
        }
        startWatching()
        openMonitor()
    }

    // A lease that is lost, and can't be given back, keeps its record: others have to hear whose it was. And a record may be on
    // storage that hangs: then the leases go first, and this thread hangs afterwards.
    private func releaseLeases() {
        let isLost = leaseState == .lost
        let isReleased = Flag()
        let unused = isUnused ? holder() : nil
        worker.perform { [driver, leases] in
            if !isLost { driver.removeRecords(leases) }
            if !isLost, let unused { driver.recordUnused(unused) }
            let result = Result { () throws(LeaseFailure) in try driver.releaseAll() }
            switch result {
            case .success: isReleased.raise()
            // Where there is no lease any more, nobody has it.
            case .failure(let failure):
                if [.leaseFileMissing, .leaseFileUnusable].contains(failure.outcome) { isReleased.raise() }
            }
            return .released(result)
        }
        guard isLost, !areLeasesAdrift else { return }
        worker.perform { [driver, leases] in
            if isReleased.isRaised { driver.removeRecords(leases) }
            return .nothing
        }
    }

    func writeRecords() {
        guard leaseState == .held else { return }
        worker.perform { [driver, leases, holder = holder()] in
            driver.record(leases, holder: holder)
            return .nothing
        }
    }

    func holder() -> LeaseHolder {
        var holder = LeaseHolder()
        holder.guest = plan.name.text
        holder.uuid = plan.uuid
        holder.pid = getpid()
        holder.since = Supervisor.timeNow()
        return holder
    }

    private func tellReady() {
        var line = JSON.Object()
        line["name"] = .string(plan.name.text)
        line["uuid"] = .string(plan.uuid)
        line["supervisorPid"] = .integer(Int64(getpid()))
        line["childPid"] = child.map { .integer(Int64($0.pid)) }
        let text = JSON.object(line).description + "\n"
        tellReadyDescriptor(text)
        guard let front = plan.front else { return }
        // From here nobody waits in front: the log goes to its file or to syslog, and the streams are closed.
        try? Files.write(front.printsLine ? Array(text.utf8) : [0], to: front.descriptor)
        close(front.descriptor)
        if let messages, messages > 2 { close(messages) }
        messages = nil
        if let next = plan.logOnceDetached { logTarget = next }
        InheritedDescriptors.silenceStandardStreams(includingError: true)
    }

    func tellReadyDescriptor(_ text: String) {
        guard let descriptor = plan.readyDescriptor else { return }
        try? Files.write(Array(text.utf8), to: descriptor)
        close(descriptor)
    }

    /// Each thread has its own.
    func dropCapabilities() {
        do throws(SystemError) { try Capabilities.dropUnneeded(seesGuest: plan.monitorPath != nil) } catch {
            note(.error, "capabilities were not dropped: \(error.message)")
        }
        // The worker gives no disk's lease back that the guest has open. Where there are no leases, it has nothing to look for.
        worker.perform { [seesGuest = driver.name == "sanlock"] in
            try? Capabilities.dropUnneeded(seesGuest: seesGuest)
            return .nothing
        }
    }

    // MARK: - Files for others

    func writeChild() {
        writeState()
        guard let child else { return }
        for path in [claim.paths.childPid, plan.pidFile].compactMap({ $0 }) { write("\(child.pid)\n", to: path) }
        if let path = plan.supervisorPidFile { write("\(getpid())\n", to: path) }
    }

    func writeState() {
        let state = GuestState(
            status: status(), child: child, leaseSocket: leaseConnection.flatMap(InheritedDescriptors.inode),
            events: history,
            pidFiles: [plan.pidFile, plan.supervisorPidFile].compactMap { path in
                path.map { $0.startsWithBytes(of: "/") ? $0 : "\(Directory.current)/\($0)" }
            })
        do throws(SystemError) { try claim.paths.write(state) } catch {
            note(.error, "\(error.message)")
        }
    }

    private func write(_ text: String, to path: String) {
        do throws(SystemError) { try Files.writeWhole(Array(text.utf8), to: path) } catch {
            note(.error, "pid file \(error.message)")
        }
    }

    // MARK: - The end

    private func announceEnd(_ end: GuestEnd, _ reason: EndReason) {
        var detail: [WireEvent.Detail] = [.init("reason", reason.rawValue)]
        switch end {
        case .exited(let status): detail.append(.init("code", String(status)))
        case .died(let signal): detail.append(.init("signal", String(signal)))
        }
        emit(.exited, detail)
    }

    /// Leaves nothing behind, and tells everybody who waits.
    func end(_ outcome: Outcome, leasesFree: Bool) {
        stopWaiting()
        let exit = exitRecord(outcome, leasesFree: leasesFree && !isOneUnmarked)
        if case .guestEnded = outcome {
            let path = plan.runDirectory.exitRecord(of: plan.name)
            write(exit.json.prettyDescription + "\n", to: path)
        }
        for path in [plan.pidFile, plan.supervisorPidFile].compactMap({ $0 }) where child != nil {
            try? Files.remove(path)
        }
        plan.devices?.leave()
        claim.remove()
        emit(.released, [.init("leasesFree", exit.leasesFree ? "true" : "false")], isLast: true)
        endMigration(.error(error(for: .ended)))
        endUpgrade(.error(error(for: .ended)))
        answerForTheLastTime(exit)
        flushClients()
        if case .notStarted(let failure) = outcome {
            let text = FailureMessage.text(
                failure, guest: plan.name.text, executable: plan.start.executable,
                waited: plan.settings.waitSeconds > 0
            ).printable
            if let messages { try? Files.write(Array("leasehold: \(text)\n".utf8), to: messages) }
            var object = JSON.Object()
            object["error"] = .string(text)
            tellReadyDescriptor(JSON.object(object).description + "\n")
        }
    }

    // What was held back comes up by that, each in its turn.
    private func answerForTheLastTime(_ exit: WireExit) {
        answerHeldCalls()
        while !departures.isEmpty || !waiters.isEmpty {
            let (departing, waiting) = (departures, waiters)
            departures = []
            waiters = []
            for client in departing { answer(client, .empty) }
            for client in waiting { answer(client, .exit(exit)) }
            answerHeldCalls()
        }
    }

    private func exitRecord(_ outcome: Outcome, leasesFree: Bool) -> WireExit {
        var exit = WireExit(
            name: plan.name.text, uuid: plan.uuid, reason: .killed, time: Supervisor.timeNow(), leasesFree: leasesFree)
        if case .guestEnded(let end, let reason) = outcome {
            exit.reason = WireExit.Reason(rawValue: reason.rawValue) ?? .supervisorFailed
            switch end {
            case .exited(let status): exit.code = status
            case .died(let signal): exit.signal = signal
            }
        }
        return exit
    }
}

/// What one job of the worker tells a later one.
private final class Flag: Sendable {
    private let value = Mutex(false)

    var isRaised: Bool { value.withLock { $0 } }

    func raise() { value.withLock { $0 = true } }
}
