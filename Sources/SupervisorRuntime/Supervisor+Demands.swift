import ControlProtocol
import Leases
import Platform
import Supervision

/// What other hosts ask for, as far as it was looked up.
final class DemandWatch {
    var isReading = false
    /// Whether somebody said that there is something while it was read.
    var isNoticed = false
    /// Why it is read.
    var reason = DemandReason.notice
    /// What was announced.
    var announced: [LeaseDemand] = []
    /// Whether the guest was told to give way, and what came of it is yet to be looked at.
    var isDone = false
    /// How often the storage could not be read in a row.
    var failures = 0
}

/// Why the storage is read for what other hosts ask for.
enum DemandReason {
    /// Somebody said that there is something.
    case notice
    /// What there was could not be done at that moment, or not be read.
    case again
    /// It was to be done by now.
    case outcome
}

// Another host asks for a lease of the guest's. That there is something is said by a signal, which anybody may send who
// may signal the supervisor; what there is stands beside the lease, where only those can write who can take it.
extension Supervisor {
    private static var demandPauseSeconds: Double { 1 }
    private static var mostDemandFailures: Int { 10 }

    func lookForDemands(_ reason: DemandReason) {
        guard !demands.isReading else {
            demands.isNoticed = demands.isNoticed || reason == .notice
            return
        }
        let leases = settledLeases
        guard leaseState == .held, !leases.isEmpty else { return }
        switch supervision.state {
        // The leases may just have been taken: nothing is opened while the guest is forked.
        case .acquiring, .starting: return loop.start(.demands, seconds: Supervisor.demandPauseSeconds)
        case .running, .pausing, .paused: break
        case .stopping, .rescuing, .releasing, .finished: return
        }
        demands.isReading = true
        demands.isDone = false
        demands.reason = reason
        startWatching()
        if let thread = watch.thread {
            thread.perform { [driver, leases] in .demands(Supervisor.demands(on: leases, driver)) }
        } else {
            worker.perform { [driver, leases] in .demands(Supervisor.demands(on: leases, driver)) }
        }
    }

    private static func demands(on leases: [HeldLease], _ driver: Driver) -> Result<[LeaseDemand], LeaseFailure> {
        Result { () throws(LeaseFailure) in try driver.demands(on: leases) }
    }

    func take(_ result: Result<[LeaseDemand], LeaseFailure>) {
        demands.isReading = false
        switch result {
        case .success(let found):
            demands.failures = 0
            answer(found.filter(isMeant))
        case .failure(let failure):
            cantRead(failure)
        }
        if demands.isNoticed {
            demands.isNoticed = false
            lookForDemands(.notice)
        }
    }

    // The lease may be another one by now: given back, and taken once more.
    private func isMeant(_ demand: LeaseDemand) -> Bool {
        leaseState == .held
            && settledLeases.contains {
                $0.request == demand.request && $0.version.map { $0 < demand.version } ?? true
            }
    }

    private func answer(_ found: [LeaseDemand]) {
        guard !found.isEmpty else {
            if demands.reason == .notice {
                note(.info, "there was a notice that another host asks for a lease, and none is asked for")
            }
            return
        }
        if demands.reason == .outcome { return noteKept(found) }
        let end = answerText
        for demand in found where !demands.announced.contains(demand) {
            announce(demand)
            note(
                .warning,
                "another host asks for \(demand.request.subject) (\(demand.mode.rawValue)): \(end)")
        }
        demands.announced = found
        switch supervision.readiness {
        case .ready:
            handle(.leaseRequested)
            guard plan.settings.pauses else { return }
            demands.isDone = true
            loop.start(.demands, seconds: Supervision.monitorAnswerSeconds + 2)
        case .later:
            loop.start(.demands, seconds: Supervisor.demandPauseSeconds)
        case .never:
            break
        }
    }

    private var answerText: String {
        let end = plan.settings.pauses ? "the guest is stopped, and its leases are given back" : "the guest is ended"
        return switch supervision.readiness {
        case .ready: end
        case .later: "\(end) when what is under way is over"
        case .never: "the guest ends already"
        }
    }

    private func announce(_ demand: LeaseDemand) {
        let resource = demand.request.resource
        emit(
            .requested,
            [
                demand.request.disk.map { .init("disk", $0) }, .init("lease", "\(resource.lockspace):\(resource.name)"),
                .init("lver", String(demand.version)), .init("mode", demand.mode.rawValue),
                .init("policy", plan.settings.pauses ? "pause" : "poweroff"),
            ].compactMap { $0 })
    }

    // Once: whoever asks again has it tried again.
    private func noteKept(_ found: [LeaseDemand]) {
        guard case .running = supervision.state else { return }
        for demand in found {
            note(
                .error,
                "the guest could not be made to stand still, and keeps \(demand.request.subject), which another host asks for"
            )
        }
    }

    private func cantRead(_ failure: LeaseFailure) {
        demands.failures += 1
        if demands.failures == 1 {
            note(
                .warning,
                "there was a notice that another host asks for a lease, which can't be read, and nothing is done yet: \(failure.detail)"
            )
        }
        let isForbidden = failure.outcome == .notPermitted
        guard !isForbidden, demands.failures < Supervisor.mostDemandFailures else { return demands.failures = 0 }
        loop.start(.demands, seconds: Supervisor.demandPauseSeconds)
    }
}
