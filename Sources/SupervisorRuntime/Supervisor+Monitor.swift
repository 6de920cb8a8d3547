import Glibc
import Leases
import Platform
import QEMUMonitor
import Supervision

// The guest's monitor: who is asked to stop the guest and let it go on, and who is believed as far as that can be checked.
extension Supervisor {
    /// How long after the guest's start its monitor may take to open.
    private static var monitorPatienceSeconds: Double { 10 }
    /// For how long the guest must not have written.
    private static var evidenceSeconds: Double { 0.1 }
    /// How often that is looked at while it stands still without its leases.
    private static var pausedEvidenceSeconds: Double { 0.25 }

    /// Whether the guest has no leases, or is losing them, and is kept from writing.
    var standsWithoutLeases: Bool {
        switch supervision.state {
        case .pausing: leaseState != .held
        case .paused(let paused): !paused.hasLeases
        case .acquiring, .starting, .running, .stopping, .rescuing, .releasing, .finished: false
        }
    }

    // Whoever waits for the monitor waits for the guest to come to no harm, or for an answer.
    private var isMonitorUrgent: Bool {
        switch supervision.state {
        case .pausing: true
        case .paused(let paused): pendingOrder != nil || !paused.hasLeases && paused.purpose != .arrival
        case .acquiring, .starting, .running, .stopping, .rescuing, .releasing, .finished: pendingOrder != nil
        }
    }

    func openMonitor() {
        guard let path = plan.monitorPath, monitor.connection == nil else { return }
        switch supervision.state {
        case .running, .pausing, .paused: break
        case .acquiring, .starting, .stopping, .rescuing, .releasing, .finished: return
        }
        if monitor.attempts == 0, !monitor.wasReady {
            loop.start(.monitorSilent, seconds: Supervisor.monitorPatienceSeconds)
            if plan.settings.pauses, writtenBytes() == nil {
                note(
                    .warning,
                    "how much the guest writes can't be seen (/proc/PID/io): should its leases be lost, it is ended, not stopped"
                )
            }
        }
        monitor.attempts += 1
        do throws(SystemError) {
            let connection = MonitorConnection(try UnixSocket.connectAtOnce(to: path))
            connection.identity = try loop.watch(
                connection.descriptor.number, for: .readable, as: .monitor(connection))
            monitor.connection = connection
        } catch {
            tryMonitorAgain()
        }
    }

    // Often while it matters, and rarely where it hasn't been there for long.
    private func tryMonitorAgain() {
        let seconds = isMonitorUrgent ? 0.02 : min(0.02 * Double(1 << min(monitor.attempts, 8)), 5)
        loop.start(.monitorAgain, seconds: seconds)
    }

    func noteSilentMonitor() {
        guard !monitor.wasReady, let path = plan.monitorPath else { return }
        let effect = plan.settings.pauses ? "; should the leases be lost before it does, the guest is ended" : ""
        note(.warning, "the guest's monitor \(path) doesn't answer (QEMU serves one client a socket)\(effect)")
    }

    func serve(_ connection: MonitorConnection, _ seen: Readiness) {
        guard connection === monitor.connection else { return }
        if seen.contains(.writable) {
            guard connection.flush() else { return closeMonitor("it is gone") }
            if !connection.isBehind { watch(connection) }
        }
        guard !seen.isDisjoint(with: [.readable, .hungUp]) else { return }
        var buffer = [UInt8](repeating: 0, count: 8192)
        let result = buffer.withUnsafeMutableBytes { bytes in
            Result { () throws(SystemError) in try connection.descriptor.read(into: bytes) }
        }
        guard case .success(let count) = result, count != 0 else { return closeMonitor("it is gone") }
        guard let count else { return }
        do throws(MonitorError) {
            for news in try connection.conversation.receive(buffer[..<count]) where connection === monitor.connection {
                take(news)
            }
        } catch {
            closeMonitor("\(error)")
        }
    }

    private func watch(_ connection: MonitorConnection) {
        let interest: Readiness = connection.isBehind ? [.readable, .writable] : .readable
        loop.change(connection.descriptor.number, to: interest, identity: connection.identity)
    }

    private func closeMonitor(_ why: String) {
        guard let connection = monitor.connection else { return }
        loop.forget(connection.descriptor.number, identity: connection.identity)
        monitor.connection = nil
        let wasMigrationAsked = monitor.isMigrationAsked
        let wereNodesAsked = monitor.questions.values.contains(.nodes)
        monitor.questions = [:]
        monitor.hasStoppedSince = false
        if wereNodesAsked, changes.isAsking { refuseLeaving(.silent) }
        if wasMigrationAsked { endMigration(.error(error(for: .silent))) }
        if case .pausing = supervision.state { loop.cancel(.evidence) }
        // What happens meanwhile nobody hears: one that has its leases may go on, and be stopped again.
        switch supervision.state {
        case .running: monitor.isGuestRunning = nil
        case .paused(let paused) where paused.step == .held: monitor.mayHaveGoneOn = true
        default: break
        }
        if monitor.wasReady { note(.info, "the guest's monitor: \(why)") }
        if Clock.monotonicSeconds() - monitor.readySeconds > Supervisor.monitorPatienceSeconds { monitor.attempts = 0 }
        if case .pausing = supervision.state {
            // What stands still on the next connection may do so by our order.
            if !monitor.wantsPause { monitor.wasRunning = monitor.wasRunning ?? true }
            monitor.wantsPause = true
        }
        handle(.monitorLost)
        tryMonitorAgain()
    }

    func ask(_ command: MonitorCommand, _ question: GuestMonitor.Question?) {
        guard let connection = monitor.connection else { return }
        guard let id = connection.send(command) else { return closeMonitor("it is gone") }
        if let question { monitor.questions[id] = question }
        if connection.isBehind { watch(connection) }
    }

    private func take(_ news: MonitorNews) {
        switch news {
        case .greeted: ask(.capabilities, nil)
        case .ready:
            monitor.wasReady = true
            monitor.readySeconds = Clock.monotonicSeconds()
            loop.cancel(.monitorSilent)
            if monitor.wantsConnection { shareWithMonitor() }
            if changes.isAsking { ask(.queryBlockNodes, .nodes) }
            if monitor.wantsMigrationCancelled { cancelMigration() }
            if monitor.wantsPause { return stopGuest() }
            switch supervision.state {
            case .paused(let paused) where paused.step == .goingOn: resumeGuest()
            case .paused(let paused):
                // Its images are another host's until it has their leases.
                if paused.purpose == .arrival { ask(.activateLate, .activateLate) }
                ask(.queryStatus, .still)
            default: ask(.queryStatus, .atFirst)
            }
        case .event(.stopped):
            // Why it did is told by its status: by one that is asked for after it did.
            guard case .running = supervision.state else { break }
            if monitor.questions.values.contains(.atFirst) {
                monitor.hasStoppedSince = true
            } else {
                ask(.queryStatus, .atFirst)
            }
        case .event(.resumed), .event(.reset), .event(.woken):
            guestMoved(news)
        case .event: break
        case .reply(let id, let reply):
            if let question = monitor.questions.removeValue(forKey: id) { take(reply, to: question) }
        }
    }

    // Somebody else let it go on, or it woke.
    private func guestMoved(_ news: MonitorNews) {
        monitor.mayHaveGoneOn = true
        switch supervision.state {
        case .running: if news == .event(.resumed) { monitor.isGuestRunning = true }
        case .pausing: if monitor.isStopAnswered { stopGuest() }
        // A reset or a key leaves one that was told to stop where it is; without its leases that isn't waited for.
        case .paused(let paused) where paused.step == .held && news != .event(.resumed): ask(.queryStatus, .still)
        case .paused: handle(.guestWentOn)
        case .acquiring, .starting, .stopping, .rescuing, .releasing, .finished: break
        }
    }

    private func take(_ reply: MonitorReply, to question: GuestMonitor.Question) {
        if case .status(let status) = reply, !status.staysStopped, status.word != "inmigrate" {
            monitor.mayHaveGoneOn = true
        }
        switch (question, reply) {
        case (.atFirst, .status(let status)):
            guard case .running = supervision.state else { return }
            monitor.isGuestRunning = status.isOursToContinue
            if monitor.hasStoppedSince {
                monitor.hasStoppedSince = false
                ask(.queryStatus, .atFirst)
            }
        case (.stop, .done):
            monitor.isStopAnswered = true
        case (.jobs, .jobs(let jobs)):
            if let job = jobs.first(where: \.mayWrite) {
                return failPause("its emulator is at work on a disk by itself (job \(job.name) is \(job.word))")
            }
            monitor.areJobsAtRest = true
        case (.before, .status(let status)):
            // Asked again on a new connection, it may stand still by our own order.
            if monitor.wasRunning == nil { monitor.wasRunning = status.isOursToContinue }
        case (.after, .status(let status)):
            guard monitor.isStopAnswered, monitor.areJobsAtRest else {
                return failPause("it didn't answer what it was told")
            }
            guard status.staysStopped else { return failPause("it says that the guest is \(status.word)") }
            monitor.writtenBytes = writtenBytes()
            loop.start(.evidence, seconds: Supervisor.evidenceSeconds)
        case (.confirmed, .status(let status)):
            guard case .pausing = supervision.state, monitor.isStopAnswered else { return }
            guard status.staysStopped else { return failPause("it goes on (\(status.word))") }
            let written = writtenBytes()
            guard written == monitor.writtenBytes else {
                monitor.writtenBytes = written
                return loop.start(.evidence, seconds: Supervisor.evidenceSeconds)
            }
            loop.start(.evidence, seconds: Supervisor.pausedEvidenceSeconds)
            handle(.guestPaused)
        case (.still, .status(let status)):
            guard case .paused(let paused) = supervision.state else { return }
            let isArriving = paused.purpose == .arrival && status.word == "inmigrate"
            handle(status.staysStopped || isArriving ? .guestPaused : .guestWentOn)
        case (.running, .status(let status)):
            if status.isRunning { handle(.guestWentOn) }
        case (.standstill, .status(let status)): takeStandstill(status)
        case (.nodes, .nodes(let nodes)): take(nodes)
        case (.nodes, .refused): refuseLeaving(.silent)
        case (.migrate, .done): migrationBegan()
        case (.migrate, .refused(_, let text)): endMigration(.error(.unavailable(why: "QEMU refuses: \(text)")))
        case (.migration, .migration(let state)): take(state)
        case (.activateLate, .done): readyToReceive()
        case (.activateLate, .refused(_, let text)):
            readyToReceive()
            note(
                .warning,
                "the guest's emulator may touch its disks before it has their leases (late-block-activate): \(text)")
        case (.stop, .refused(_, let text)), (.jobs, .refused(_, let text)), (.before, .refused(_, let text)),
            (.after, .refused(_, let text)):
            failPause(text)
        case (.goOn, .refused(_, let text)):
            note(.error, "the guest has its leases and can't be made to go on: \(text)")
        case (.keepDescriptor, .refused(_, let text)):
            note(.warning, "the guest keeps no copy of the new lease connection, the keeper does: \(text)")
        default: break
        }
    }

    private func readyToReceive() {
        monitor.isReadyToReceive = true
        writeState()
    }

    private func failPause(_ why: String) {
        guard case .pausing = supervision.state else { return }
        note(.error, "the guest can't be made to stand still: \(why)")
        handle(.pauseFailed)
    }

    // MARK: - Standing still

    func pauseGuest() {
        monitor.wantsPause = true
        monitor.wasRunning = monitor.isGuestRunning
        forgetStop()
        if monitor.connection == nil { return openMonitor() }
        if monitor.connection?.conversation.isReady == true { stopGuest() }
    }

    private func forgetStop() {
        monitor.isStopAnswered = false
        monitor.areJobsAtRest = false
        monitor.writtenBytes = nil
        // What is being waited for was written before.
        monitor.settlings += 1
        loop.cancel(.evidence)
    }

    private func stopGuest() {
        monitor.wantsPause = false
        guard case .pausing(let pausing) = supervision.state else { return }
        forgetStop()
        // QEMU answers the stop once the writes that were under way are done and flushed (docs/decisions/qmp.md).
        ask(.queryStatus, .before)
        ask(.stop, .stop)
        // One that was migrated away has let go of its images, under its jobs too; those that keep their leases may go on with them.
        if pausing.purpose == .migration || pausing.purpose == .order(release: false) {
            monitor.areJobsAtRest = true
        } else {
            ask(.queryJobs, .jobs)
        }
        ask(.queryStatus, .after)
    }

    // Of all that fell to the keeper, too.
    private func writtenBytes() -> UInt64? {
        keeper.flatMap { ProcessIdentity(runningAs: $0.pid) }.flatMap(StorageWrites.bytesBelow)
    }

    /// The monitor's word is held against the kernel's count.
    func lookForWrites() {
        let written = writtenBytes()
        switch supervision.state {
        case .pausing:
            guard monitor.isStopAnswered else { return }
            // What the kernel doesn't tell is no evidence.
            guard let written, written == monitor.writtenBytes else {
                monitor.writtenBytes = written
                return loop.start(.evidence, seconds: Supervisor.evidenceSeconds)
            }
            settleDisks()
        case .paused(let paused) where paused.hasLeases || paused.purpose == .arrival: break
        case .paused:
            guard let written, let before = monitor.writtenBytes, written > before else {
                // What processes wrote that have ended is counted no more.
                monitor.writtenBytes = written ?? monitor.writtenBytes
                return loop.start(.evidence, seconds: Supervisor.pausedEvidenceSeconds)
            }
            note(.error, "the guest, which stands still without its leases, has written to storage: it is killed")
            handle(.guestWentOn)
        case .acquiring, .starting, .running, .stopping, .rescuing, .releasing, .finished: break
        }
    }

    // What an emulator was told not to flush (cache=unsafe) is the kernel's to write, whenever it likes.
    private func settleDisks() {
        let paths = leases.compactMap(\.request.disk).filter { $0.hasPrefix("/") }
        monitor.settlings += 1
        let settle: @Sendable () -> Settling = { [number = monitor.settlings] in
            for path in paths {
                do throws(SystemError) { try Files.settle(path) } catch {
                    return Settling(number: number, failure: error)
                }
            }
            return Settling(number: number, failure: nil)
        }
        if monitor.settler == nil { monitor.settler = startThread(as: .settler, to: "wait for the guest's writes on") }
        if let settler = monitor.settler { settler.perform(settle) } else { worker.perform { .settled(settle()) } }
    }

    func takeSettlings() {
        for settling in monitor.settler?.takeResults() ?? [] { disksSettled(settling) }
    }

    func disksSettled(_ settling: Settling) {
        guard case .pausing = supervision.state, settling.number == monitor.settlings else { return }
        if let failure = settling.failure {
            return failPause("its disk's writes can't be waited for: \(failure.message)")
        }
        // That took its time, in which somebody may have let the guest go on.
        ask(.queryStatus, .confirmed)
    }

    // MARK: - Going on

    func cancelMigration() {
        monitor.wantsMigrationCancelled = monitor.connection?.conversation.isReady != true
        if !monitor.wantsMigrationCancelled { ask(.cancelMigration, nil) }
    }

    func resumeGuest() {
        if case .paused(let paused) = supervision.state {
            switch paused.purpose {
            // By itself it goes on only where it had run before.
            case .loss: if pendingOrder != nil { monitor.wasRunning = true }
            case .order, .arrival: monitor.wasRunning = true
            case .migration: monitor.wasRunning = monitor.ranBeforeLeaving
            }
        }
        monitor.isGuestRunning = monitor.wasRunning
        loop.cancel(.evidence)
        guard monitor.wasRunning != false else { return handle(.guestWentOn) }
        guard monitor.connection?.conversation.isReady == true else { return openMonitor() }
        // One that doesn't read isn't told again and again.
        guard !monitor.questions.values.contains(where: { $0 == .goOn || $0 == .running }) else { return }
        monitor.mayHaveGoneOn = true
        ask(.cont, .goOn)
        ask(.queryStatus, .running)
    }

    /// The guest gets a copy of the new lease connection, as it had one of the old: should supervisor and keeper be killed
    /// in one instant, its leases stay held for as long as it lives.
    func shareWithMonitor() {
        monitor.wantsConnection = true
        guard let connection = monitor.connection, connection.conversation.isReady, let leaseConnection else { return }
        guard let id = connection.send(.getDescriptor(name: "leasehold"), with: leaseConnection) else { return }
        monitor.wantsConnection = false
        monitor.questions[id] = .keepDescriptor
        if connection.isBehind { watch(connection) }
    }
}

extension MonitorStatus {
    /// Whether a guest of this status is continued when its leases are back: one that runs, and one that QEMU stopped since its
    /// disk failed. One that its manager stopped is not.
    fileprivate var isOursToContinue: Bool { !staysStopped || word == "io-error" }
}
