import Leases

// The leases while the guest runs: watched, and answered for when they are lost.
extension Supervision {
    /// The guest was given its leases just now: whatever the first look brings, and whether or not it comes back, this is when
    /// to act. Only what is seen of them puts that off, no order and nothing that the guest does.
    func watchFromNow() -> [Action] { firstLook() + firstTimers() }

    func firstLook() -> [Action] {
        isLeased && settings.firstDeadlines != nil ? [.lookAtLeases(isUrged: false)] : []
    }

    func firstTimers() -> [Action] {
        guard isLeased, let deadlines = settings.firstDeadlines else { return [] }
        return timers(deadlines)
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

    func timers(_ deadlines: LeaseDeadlines) -> [Action] {
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

    /// The leases are lost under a guest that may write: what is done is the guest's policy.
    ///
    /// - Parameter goesOn: whether it is to go on when it has them again, and not to stand as it did before.
    mutating func lose(endSeconds: Double, goesOn: Bool = true) -> [Action] {
        // What is done comes first: telling it may take longer than it should.
        let actions =
            if settings.pauses {
                pause(endSeconds: endSeconds, goesOn: goesOn)
            } else if endSeconds <= 0 {
                // Where another process may have the lease within milliseconds there is no time to ask.
                kill(.leaseLost)
            } else {
                stop(min(settings.stopSeconds, endSeconds), for: .leaseLost)
            }
        return actions + announceLoss() + giveUpOrder(.leasesLost)
    }

    /// The same under one that is being ended already.
    mutating func hurry(_ endSeconds: Double) -> [Action] {
        if endSeconds <= 0 { return kill(.leaseLost) + announceLoss() }
        return [.hastenTimer(.stop, seconds: endSeconds)] + announceLoss()
    }
}
