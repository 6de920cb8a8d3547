import Leases

// The leases while the guest runs: watched, and answered for when they are lost.
extension Supervision {
    /// The guest has its leases: whatever the first look brings, and whether or not it comes back, this is when to act.
    func watchFromNow() -> [Action] {
        guard let deadlines = settings.firstDeadlines else { return [] }
        return [.lookAtLeases(isUrged: false)] + timers(deadlines)
    }

    mutating func watch(_ event: Event) -> [Action] {
        switch event {
        case .leasesSeen(let deadlines):
            endSeconds = max(0, deadlines.endSeconds - deadlines.failureSeconds)
            return timers(deadlines)
        case .timerFired(.renewalWarning):
            return [.announceLeaseWarning, .lookAtLeases(isUrged: true)]
        case .lookUrged:
            return [.lookAtLeases(isUrged: true)]
        default:
            return [.lookAtLeases(isUrged: false)]
        }
    }

    private func timers(_ deadlines: LeaseDeadlines) -> [Action] {
        var actions: [Action] = [
            .startTimer(.leaseLook, seconds: deadlines.nextLookSeconds),
            .startTimer(.renewalFailure, seconds: deadlines.failureSeconds),
        ]
        // One that is past was told, or is about to be.
        if deadlines.warningSeconds > 0 {
            actions.append(.startTimer(.renewalWarning, seconds: deadlines.warningSeconds))
        }
        return actions
    }

    mutating func announceLoss() -> [Action] {
        defer { isLossAnnounced = true }
        return isLossAnnounced ? [] : [.announceLeaseLoss]
    }

    /// The leases are lost under a guest that runs: what is done is the guest's policy.
    mutating func lose(endSeconds: Double) -> [Action] {
        // What is done comes first: telling it may take longer than it should.
        if settings.pauses { return pause(endSeconds: endSeconds) + announceLoss() }
        // Where another process may have the lease within milliseconds there is no time to ask.
        if endSeconds <= 0 { return kill(.leaseLost) + announceLoss() }
        return stop(min(settings.stopSeconds, endSeconds), for: .leaseLost) + announceLoss()
    }

    /// The same under one that is being ended already.
    mutating func hurry(_ endSeconds: Double) -> [Action] {
        if endSeconds <= 0 { return kill(.leaseLost) + announceLoss() }
        return [.hastenTimer(.stop, seconds: endSeconds)] + announceLoss()
    }
}
