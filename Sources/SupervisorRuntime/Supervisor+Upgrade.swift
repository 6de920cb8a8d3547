import ControlProtocol
import Glibc
import Platform
import Supervision

/// An upgrade that was asked for: another program is tried, and then become.
final class PendingUpgrade {
    let program: String
    let trial: ProgramTrial
    /// What the program has to say for itself.
    let word: String
    /// Who waits for the answer; nil where none is wanted.
    let client: ControlClient?
    /// The program's file as it was tried; nil: the trial has not come to its end.
    var version: String?
    /// When there is no more waiting for what is under way, in seconds of the monotonic clock.
    var deadlineSeconds = 0.0
    /// Whether it was answered, and only the trial's end is waited for.
    var isOver = false

    init(_ program: String, trial: consuming ProgramTrial, word: String, client: ControlClient?) {
        self.program = program
        self.trial = trial
        self.word = word
        self.client = client
    }
}

// The supervisor becomes another program, with the same pid, children and leases. Up to the exec nothing has changed.
extension Supervisor {
    /// How long a program may take to say that it can go on from here.
    private static var trialSeconds: Double { 5 }
    /// How long the worker, a look at the leases or the log may take to come to rest.
    private static var restSeconds: Double { 5 }
    /// How long answers wait for clients that don't read them.
    private static var flushSeconds: Double { 1 }
    private static var lookSeconds: Double { 0.01 }

    /// Nil: the answer comes when it is refused, or from the other program.
    func upgrade(to given: String?, for client: ControlClient?) -> Reply? {
        guard pendingUpgrade == nil else { return .error(.unavailable(why: "another upgrade is still under way")) }
        if let obstacle = upgradeObstacle { return .error(obstacle) }
        let program = given ?? plan.program
        guard program.utf8.first == UInt8(ascii: "/") else { return .error(.invalidParameter(parameter: "program")) }
        let word = "goes on as \(UInt64.random(in: 0...(.max)))"
        guard let handover = handover(word: word, client: client) else { return .error(error(for: .underWay)) }
        do throws(SystemError) {
            let file = try MemoryFile(handover.json.serialize(), named: "leasehold-handover")
            let number = file.descriptor.number
            let trial = try ProgramTrial(
                program, arguments: [program, Handover.trialOption, "\(number)"], plan.arguments, handing: number)
            pendingUpgrade = PendingUpgrade(program, trial: trial, word: word, client: client)
            loop.start(.upgrade, seconds: Supervisor.trialSeconds)
            return nil
        } catch {
            return .error(.unavailable(why: "the program can't be tried: \(error.message)"))
        }
    }

    // What can't be carried over, and won't be over in a moment.
    private var upgradeObstacle: ControlError? {
        if pendingOrder != nil || migration != nil { return error(for: .underWay) }
        guard supervision.carried != nil, keeper != nil, child != nil, result == nil else {
            return [.running, .paused].contains(wireState) ? error(for: .underWay) : error(for: .wrongState)
        }
        return nil
    }

    private var isBusy: Bool {
        !worker.isIdle || watch.thread?.isIdle == false || monitor.settler?.isIdle == false || !plan.logWriter.isIdle
    }

    func abandonUpgrade() {
        // One that has ended has given its pid away.
        if pendingUpgrade?.version == nil { pendingUpgrade?.trial.kill() }
        endUpgrade(nil)
    }

    /// Answers whoever asked for it.
    func endUpgrade(_ reply: Reply?) {
        guard let upgrade = pendingUpgrade, !upgrade.isOver else { return }
        upgrade.isOver = true
        loop.cancel(.upgrade)
        // One that has ended is forgotten by whoever has reaped it.
        if upgrade.version != nil { pendingUpgrade = nil }
        if let reply, let client = upgrade.client { answer(client, reply) }
    }

    private func refuseUpgrade(_ why: String) {
        note(.warning, "not upgraded: \(why)")
        endUpgrade(.error(.unavailable(why: why)))
    }

    /// A child has ended, perhaps the program that is tried.
    func reapTrial() {
        guard let upgrade = pendingUpgrade, upgrade.version == nil,
            let status = OwnProcess.reap(upgrade.trial.pid)
        else { return }
        let words = upgrade.trial.words()
        upgrade.version = ""
        if upgrade.isOver {
            pendingUpgrade = nil
            return
        }
        let program = upgrade.program
        switch words {
        case .notExecuted(let number):
            refuseUpgrade("\(program) can't be executed: \(SystemError.text(of: number))")
        case .text(let text):
            let prefix = "\(upgrade.word) "
            guard status == 0, text.hasPrefix(prefix), text.hasSuffix("\n") else {
                let line = text.split(separator: "\n").first.map { ": \(String($0).printable)" } ?? ""
                return refuseUpgrade("\(program) can't go on with the guest: it \(Supervisor.howEnded(status))\(line)")
            }
            upgrade.version = String(text.dropFirst(prefix.count).dropLast())
            upgrade.deadlineSeconds = Clock.monotonicSeconds() + Supervisor.restSeconds
            goOnUpgrading()
        }
    }

    private static func howEnded(_ status: Int32) -> String {
        let signal = status & 0x7f
        return signal == 0 ? "exited with \(status >> 8 & 0xff)" : "died of signal \(signal)"
    }

    /// The time is over, or it is time to look again whether everything is at rest.
    func goOnUpgrading() {
        guard let upgrade = pendingUpgrade, !upgrade.isOver else { return }
        guard upgrade.version != nil else {
            upgrade.trial.kill()
            let seconds = Int(Supervisor.trialSeconds)
            return refuseUpgrade("\(upgrade.program) did not say within \(seconds) s that it can go on with the guest")
        }
        if let obstacle = upgradeObstacle { return endUpgrade(.error(obstacle)) }
        let left = upgrade.deadlineSeconds - Clock.monotonicSeconds()
        if isBusy, left <= 0 {
            return refuseUpgrade("the sanlock daemon, or the storage of the leases or of the log, does not answer")
        }
        let isAnswering =
            left > Supervisor.restSeconds - Supervisor.flushSeconds && clients.values.contains(where: \.isBehind)
        guard !isBusy, !isAnswering else { return loop.start(.upgrade, seconds: Supervisor.lookSeconds) }
        guard upgrade.client?.hasSaidMore != true else {
            return refuseUpgrade("its caller has asked for more on the same connection; ask for it alone")
        }
        become(upgrade)
    }

    // No log line here: it would wake the log's thread.
    private func become(_ upgrade: PendingUpgrade) {
        guard let handover = handover(word: upgrade.word, client: upgrade.client) else {
            return endUpgrade(.error(error(for: .underWay)))
        }
        do throws(SystemError) {
            guard try Files.version(of: upgrade.program) == upgrade.version else {
                return refuseUpgrade("\(upgrade.program) was replaced after it was tried; try again")
            }
            let file = try MemoryFile(handover.json.serialize(), named: "leasehold-handover")
            let number = file.descriptor.number
            throw OwnProcess.become(
                upgrade.program, arguments: [upgrade.program, Handover.option, "\(number)"], plan.arguments,
                handing: handover.numbers + [number])
        } catch {
            refuseUpgrade(error.message)
        }
    }

    private func handover(word: String, client: ControlClient?) -> Handover? {
        guard let life = supervision.carried, let child, let keeper else { return nil }
        return Handover(
            word: word, shownName: OwnProcess.shownName, name: plan.name.text, uuid: plan.uuid, id: plan.id,
            command: plan.start.arguments.strings,
            wishes: Handover.Wishes(
                pauses: plan.settings.pauses, stopTimeoutSeconds: plan.stopTimeoutSeconds,
                stopSeconds: plan.settings.stopSeconds, attemptSeconds: plan.settings.attemptSeconds,
                monitorPath: plan.monitorPath, runDirectory: plan.runDirectory.path, pidFile: plan.pidFile,
                supervisorPidFile: plan.supervisorPidFile,
                log: Handover.Log(
                    descriptor: logTarget.descriptor, isJSON: logTarget.isJSON, level: logTarget.level.rawValue),
                hasMessages: messages != nil),
            driver: Handover.Driver(name: driver.name, settings: plan.driverSettings, carried: driver.carried()),
            life: life,
            leases: Handover.Leases(
                leases: leases, state: leaseState, areAdrift: areLeasesAdrift, isOneUnmarked: isOneUnmarked,
                lossDetail: lossDetail,
                lockspaces: lockspaces, sinceSeconds: watch.sinceSeconds, isWatchdogOn: isWatchdogOn,
                areAskedFor: loop.isRunning(.demands)),
            processes: Handover.Processes(child: child, keeperPid: keeper.pid, spared: plan.sparedChildren),
            since: since, events: history, lastSequence: lastSequence,
            monitor: Handover.Monitor(
                wasReady: monitor.wasReady, wasRunning: monitor.wasRunning, wantsConnection: monitor.wantsConnection,
                writtenBytes: monitor.writtenBytes),
            devices: plan.devices?.carried ?? .init(disks: [], exclusive: []),
            descriptors: Handover.Descriptors(
                listener: listener.number, lock: claim.lockNumber, keeperReports: keeper.reports.number,
                leaseConnection: leaseConnection, devices: plan.devices?.descriptor,
                client: client?.descriptor.number))
    }
}

extension Handover {
    /// What the program that is become gets in front of the number of its handover.
    package static let option = "--carry-on"
    /// What one gets that is only to say whether it could.
    package static let trialOption = "--carry-on-trial"
}
