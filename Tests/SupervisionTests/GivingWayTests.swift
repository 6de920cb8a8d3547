import Leases
import Testing

@testable import Supervision

/// A guest that another host asks for a lease of its, in every state that can be reached.
@Suite struct GivingWayTests {
    @Test(arguments: EveryPairTests.settings)
    func isObeyedExactlyWhereItIsSaidToBe(_ settings: Supervision.Settings) {
        for (guest, path) in EveryPairTests.reachable(settings) {
            var after = guest
            let actions = after.handle(.leaseRequested)
            guard guest.readiness == .ready else {
                #expect(actions.isEmpty && after == guest, "after \(path)")
                continue
            }
            let hasLeases =
                switch guest.state {
                case .running: true
                case .paused(let paused): paused.step == .held
                default: false
                }
            #expect(hasLeases, "after \(path)")
            if settings.pauses {
                // Where there is no monitor nothing can be paused.
                guard settings.hasMonitor else { continue }
                #expect(actions.contains(.pauseGuest) && !actions.contains(.askGuestToStop), "after \(path)")
                #expect(actions.contains { if case .startTimer(.pause, _) = $0 { true } else { false } })
            } else {
                #expect(actions.contains(.askGuestToStop) && !actions.contains(.killGuest), "after \(path)")
            }
            // What is under way is answered or goes on; a lease that is being taken for it is given back.
            let isRefused = actions.contains { $0.isRefusal }
            if after.order == nil, guest.order != nil { #expect(isRefused, "after \(path)") }
        }
    }

    /// A migration's leases are for its target.
    @Test(arguments: EveryPairTests.settings)
    func aGuestThatLeavesOrEndsIsLetBe(_ settings: Supervision.Settings) {
        for (guest, path) in EveryPairTests.reachable(settings) {
            switch guest.state {
            case .stopping, .rescuing, .releasing, .finished: #expect(guest.readiness == .never, "after \(path)")
            case .acquiring, .starting, .pausing: #expect(guest.readiness == .later, "after \(path)")
            case .running, .paused: if guest.isLeaving { #expect(guest.readiness == .later, "after \(path)") }
            }
        }
    }
}

extension Action {
    fileprivate var isRefusal: Bool { if case .refuseOrder = self { true } else { false } }
}
