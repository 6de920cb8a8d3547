import Leases
import Testing

@testable import Supervision

/// The stories of a guest that does what it is told.
@Suite struct OrderStoryTests {
    private static let deadlines = LeaseDeadlines(
        nextLookSeconds: 2, warningSeconds: 8, failureSeconds: 12, endSeconds: 43)
    private let request = LeaseRequest(
        disk: "/d", resource: LeaseResource(lockspace: "l", name: "r", path: "/p", offsetBytes: 0), mode: .exclusive)
    private let busy = LeaseFailure(.heldElsewhere, detail: "held")
    private let taken = LeaseFailure(.wrongVersion, detail: "another version")

    private func guest(incoming: Bool = false, pauses: Bool = false) -> Supervision {
        var settings = Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: 60)
        settings.hasMonitor = true
        settings.pauses = pauses
        settings.isIncoming = incoming
        settings.firstDeadlines = Self.deadlines
        var guest = Supervision(settings: settings)
        _ = guest.begin()
        _ = guest.handle(.connected)
        _ = guest.handle(incoming ? .leasesReachable : .leasesTaken)
        _ = guest.handle(.guestStarted)
        return guest
    }

    private func tell(_ guest: inout Supervision, _ events: Event...) -> [Action] {
        var last: [Action] = []
        for event in events { last = guest.handle(event) }
        return last
    }

    @Test func aSuspendedGuestHasItsLeasesOrGivesThemBack() {
        var guest = guest()
        #expect(
            guest.handle(.ordered(.suspend(release: false))) == [.pauseGuest, .startTimer(.pause, seconds: 10)])
        #expect(guest.handle(.guestPaused).contains(.completeOrder))
        #expect(guest.state == .paused(Paused(.held, .order(release: false))))
        _ = guest.handle(.ordered(.suspend(release: true)))
        #expect(guest.handle(.guestPaused).contains(.giveLeasesBack))
        #expect(guest.handle(.leasesReleased(free: true)).contains(.completeOrder))
        #expect(guest.state == .paused(Paused(.released, .order(release: true))))
        #expect(guest.handle(.ordered(.resume)).contains(.retakeLeases(orNext: false)))
        #expect(guest.handle(.leasesTaken).contains(.resumeGuest))
        #expect(guest.handle(.guestWentOn).contains(.completeOrder))
        #expect(guest.state == .running)
    }

    @Test func aResumeThatIsRefusedLeavesTheGuestAsItWas() {
        var guest = guest()
        _ = tell(
            &guest, .ordered(.suspend(release: true)), .guestPaused, .leasesReleased(free: true), .ordered(.resume))
        #expect(guest.handle(.leasesRefused(taken, nowSeconds: 1)).contains(.refuseOrder(.leases(taken))))
        #expect(guest.state == .paused(Paused(.staying, .order(release: true))))
        _ = guest.handle(.ordered(.resume))
        let gone = LeaseFailure(.storageFailed, detail: "gone")
        #expect(guest.handle(.leasesRefused(gone, nowSeconds: 1)).contains(.refuseOrder(.leases(gone))))
        #expect(guest.state == .paused(Paused(.released, .order(release: true))))
    }

    @Test func aGuestThatCannotBeHeldRunsOn() {
        var guest = guest()
        _ = guest.handle(.ordered(.suspend(release: true)))
        let actions = guest.handle(.timerFired(.pause))
        #expect(actions.contains(.refuseOrder(.notStill)) && actions.contains(.resumeGuest))
        #expect(!actions.contains(.giveLeasesBack))
        _ = guest.handle(.guestWentOn)
        #expect(guest.state == .running)
    }

    @Test func leasesLostDuringAnOrderAreAnsweredByThePolicy() {
        for pauses in [false, true] {
            var guest = guest(pauses: pauses)
            _ = guest.handle(.ordered(.attach([request], waitSeconds: 5)))
            let actions = guest.handle(.leaseConnectionLost)
            #expect(actions.contains(.refuseOrder(.leasesLost)))
            #expect(actions.contains(pauses ? .pauseGuest : .killGuest))
            // What it brings late is nobody's.
            #expect(guest.handle(.moreTaken) == [.dropTaken])
        }
    }

    @Test func aBusyLeaseIsWaitedForUntilItsTimeIsOver() {
        var guest = guest()
        #expect(
            guest.handle(.ordered(.attach([request], waitSeconds: 5))) == [
                .takeMore([request]), .startTimer(.orderAnswer, seconds: 60),
            ])
        #expect(
            guest.handle(.moreRefused(.leases(busy), nowSeconds: 10)).contains(
                .startTimer(.orderAttempt, seconds: 0.1)))
        #expect(guest.handle(.timerFired(.orderAttempt)).contains(.takeMore([request])))
        #expect(guest.handle(.moreRefused(.leases(busy), nowSeconds: 15)).contains(.refuseOrder(.leases(busy))))
        #expect(guest.state == .running)
    }

    @Test func onlyOneOrderAtATime() {
        var guest = guest()
        _ = guest.handle(.ordered(.attach([request], waitSeconds: 5)))
        #expect(guest.handle(.ordered(.suspend(release: false))) == [.refuseOrder(.underWay)])
        _ = guest.handle(.orderAbandoned)
        // Until what nobody waits for has come to its end.
        #expect(guest.handle(.ordered(.resume)) == [.refuseOrder(.underWay)])
        #expect(guest.handle(.moreTaken) == [.dropTaken])
        #expect(guest.handle(.ordered(.detach([request]))).contains(.giveSomeBack([request])))
    }

    @Test func aSourceGivesItsLeasesBackOnlyWhenItStands() {
        var guest = guest()
        #expect(guest.handle(.ordered(.leave)).contains(.refuseOrder(.wrongState)))
        _ = guest.handle(.ordered(.prepareToLeave))
        #expect(guest.isLeaving && guest.state == .running)
        #expect(guest.handle(.ordered(.leave)) == [.awaitStandstill])
        #expect(guest.handle(.guestStoodStill).contains(.pauseGuest))
        #expect(guest.handle(.guestPaused).contains(.giveLeasesBack))
        #expect(guest.handle(.leasesReleased(free: true)).contains(.completeOrder))
        // The same ticket again.
        #expect(guest.handle(.ordered(.leave)).contains(.completeOrder))
        // It can't be resumed behind the target's back.
        #expect(guest.handle(.ordered(.resume)).contains(.refuseOrder(.wrongState)))
        #expect(guest.handle(.ordered(.comeBack)).contains(.retakeLeases(orNext: true)))
        #expect(guest.handle(.leasesTaken).contains(.resumeGuest))
        #expect(guest.handle(.guestWentOn).contains(.completeOrder))
        #expect(guest.state == .running && !guest.isLeaving)
    }

    @Test func aTargetRunsOnlyUnderTheVersionsOfItsTicket() {
        var guest = guest(incoming: true)
        #expect(guest.state == .paused(Paused(.released, .arrival)))
        let leases = [HeldLease(request: request, version: 7)]
        #expect(guest.handle(.ordered(.arrive(leases, goesOn: true))) == [.expectLeases(leases), .awaitStandstill])
        #expect(guest.handle(.guestStoodStill).contains(.retakeLeases(orNext: false)))
        #expect(guest.handle(.leasesRefused(taken, nowSeconds: 1)).contains(.refuseOrder(.leases(taken))))
        #expect(guest.state == .paused(Paused(.released, .arrival)))
        _ = tell(&guest, .ordered(.arrive(leases, goesOn: true)), .guestStoodStill)
        #expect(guest.handle(.leasesTaken).contains(.resumeGuest))
        _ = guest.handle(.guestWentOn)
        #expect(guest.state == .running)
    }

    @Test func aTargetThatGoesOnByItselfIsKilled() {
        var guest = guest(incoming: true)
        #expect(guest.handle(.guestWentOn).contains(.killGuest))
    }

    @Test func aGuestThatStoodStillStandsStillAtTheTarget() {
        var guest = guest(incoming: true)
        _ = tell(&guest, .ordered(.arrive([], goesOn: false)), .guestStoodStill)
        let actions = guest.handle(.leasesTaken)
        #expect(actions.contains(.completeOrder) && !actions.contains(.resumeGuest))
        #expect(guest.state == .paused(Paused(.held, .order(release: false))))
    }

    @Test func anotherHostsWishIsAnsweredByThePolicy() {
        var stopped = guest()
        #expect(stopped.handle(.leaseRequested).first == .askGuestToStop)
        var paused = guest(pauses: true)
        #expect(paused.handle(.leaseRequested).first == .pauseGuest)
        #expect(paused.handle(.guestPaused).contains(.giveLeasesBack))
        _ = paused.handle(.leasesReleased(free: true))
        #expect(paused.state == .paused(Paused(.released, .order(release: true))))
    }
}
