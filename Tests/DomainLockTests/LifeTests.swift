import DomainLock
import Foundation
import LockManager
import TestSupport
import Testing

/// A running guest's disks and pauses, with a real QEMU.
@Suite struct LifeTests {
    @Test func hotplugIsUnderTheLease() throws {
        try Stage.with("sanlock") { stage in
            let disks = try (0..<2).map { _ in try stage.place.hosts.disk() }
            let guest = try RealGuest(stage, disks: [disks[0]])
            try guest.lock.attachDisk(disks[1]) {
                #expect(try stage.place.hosts.holders(of: disks[1]).count == 1)
                try guest.open(disks[1], as: "second")
            }
            #expect(try Set(guest.versions().keys) == Set(disks))
            // QEMU has it open still, whatever the application believes.
            let kept = refusal { try guest.lock.detachDisk(disks[1]) {} }
            guard case .leaseKept(_, .invalidResource(disks[1], let why)) = kept else {
                Issue.record("\(String(describing: kept))")
                return
            }
            #expect(why.contains("second"))
            #expect(try stage.place.hosts.holders(of: disks[1]).count == 1)
            try guest.lock.detachDisk(disks[1]) { try guest.close("second") }
            #expect(try stage.place.hosts.holders(of: disks[1]).isEmpty && guest.isRunning)
            guard case .leaseKept(_, .invalidResource) = refusal({ try guest.lock.detachDisk(disks[1]) {} }) else {
                Issue.record("a disk that the guest hasn't got was given back")
                return
            }
        }
    }

    @Test func hotplugThatFailsGivesTheLeaseBack() throws {
        try Stage.with("sanlock") { stage in
            let disks = try (0..<3).map { _ in try stage.place.hosts.disk() }
            let guest = try RealGuest(stage, disks: [disks[0]])
            #expect(refusal { try guest.lock.attachDisk(disks[1]) { throw OwnFailure() } }?.isUndone == true)
            #expect(try guest.versions().count == 1)
            // What it had before stays.
            #expect(refusal { try guest.lock.attachDisk(disks[0]) { throw OwnFailure() } }?.isUndone == true)
            #expect(try guest.versions().count == 1 && guest.isRunning)
            let owner = try stage.start(nil, [.disk(disks[2])])
            var isPlugged = false
            guard
                case .busy(disks[2], let holder?) = refusal({ try guest.lock.attachDisk(disks[2]) { isPlugged = true } }
                )?.refused
            else {
                Issue.record("a disk of another guest was had")
                return
            }
            #expect(holder.guest == owner.manager.guest.name && !isPlugged)
            #expect(try guest.isRunning && guest.versions().count == 1)
            try guest.lock.attachDisk(disks[1], .readonly) {}
            #expect(try guest.versions().count == 1)
        }
    }

    @Test func aDiskMayBecomeSharedAndManyMayCome() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let guest = try RealGuest(stage, disks: [])
            try guest.lock.attachDisk(disk) {}
            let shared = try guest.lock.manager.acquireResource(.disk(disk, .shared))
            #expect(shared.map(\.mode) == [.shared])
            let again = try guest.lock.manager.acquireResource(.disk(disk))
            #expect(again.map(\.mode) == [.exclusive])
            for _ in 0..<10 { try guest.lock.attachDisk(try stage.place.hosts.disk()) {} }
            let lease = try stage.place.hosts.disk()
            try stage.place.hosts.formatLease(lease)
            let spelling = try stage.place.hosts.leaseText(lease)
            try guest.lock.attachLease(spelling)
            #expect(try guest.lock.manager.inquire().count == 12)
            try guest.lock.detachLease(spelling)
            #expect(refusal { try guest.lock.detachLease(spelling) } != nil)
        }
    }

    @Test func anImageIsReplacedWhole() throws {
        try Stage.with("sanlock") { stage in
            let disks = try (0..<2).map { _ in try stage.place.hosts.disk() }
            let guest = try RealGuest(stage, disks: [])
            try guest.lock.attachDisk(disks[0]) { try guest.open(disks[0], as: "first") }
            try guest.lock.replaceDisk(disks[0], with: disks[1]) {
                #expect(try guest.held() == Set(disks))
                try guest.open(disks[1], as: "second")
                try guest.close("first")
            }
            #expect(try guest.held() == [disks[1]])
        }
    }

    @Test func anImageThatIsNotReplacedLeavesTheOldOne() throws {
        try Stage.with("sanlock") { stage in
            let disks = try (0..<2).map { _ in try stage.place.hosts.disk() }
            let guest = try RealGuest(stage, disks: [])
            try guest.lock.attachDisk(disks[0]) { try guest.open(disks[0], as: "first") }
            let failed = refusal { try guest.lock.replaceDisk(disks[0], with: disks[1]) { throw OwnFailure() } }
            #expect(failed?.isUndone == true)
            #expect(try guest.held() == [disks[0]])
            // A change that changed nothing.
            let idle = refusal { try guest.lock.replaceDisk(disks[0], with: disks[1]) {} }
            #expect(idle?.refusesResource == true, "\(String(describing: idle))")
            #expect(try guest.held() == [disks[0]])
            let unknown = refusal { try guest.lock.replaceDisk("/none", with: disks[1]) {} }
            #expect(unknown?.refusesResource == true && guest.lock.manager.isSupervised)
            // Half of a change: the guest has both, and keeps both.
            let half = refusal {
                try guest.lock.replaceDisk(disks[0], with: disks[1]) { try guest.open(disks[1], as: "second") }
            }
            #expect(half?.kept == .disk(disks[0]), "\(String(describing: half))")
            #expect(try guest.held() == Set(disks))
        }
    }

    @Test func aPauseKeepsTheLeasesUnlessItIsToldNotTo() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let guest = try RealGuest(stage, disks: [disk])
            let before = try guest.versions()
            try guest.lock.pause()
            #expect(try !guest.isRunning && guest.versions() == before)
            try guest.lock.resume()
            #expect(try guest.isRunning)
            #expect(refusal { try guest.lock.resume() }?.refused == .wrongState("running"))
            try guest.lock.pause(release: true)
            #expect(try stage.place.hosts.holders(of: disk).isEmpty)
            // The program may have restarted meanwhile.
            let again = try DomainLock.attach(guest.lock.manager.guest, stage.plugin)
            #expect(try again.manager.status().state == .paused)
            try again.resume()
            #expect(try guest.isRunning && guest.versions()[disk] == (before[disk] ?? 0) + 1)
        }
    }

    @Test func whoHadTheDiskDuringAPauseKeepsItPaused() throws {
        try withScratch { scratch in
            let (stage, other) = (try Stage("sanlock", scratch), try Stage("sanlock", scratch, second: true))
            try stage.place.hosts.waitUntilSeen()
            let disk = try stage.place.hosts.disk()
            let guest = try RealGuest(stage, disks: [disk])
            try guest.lock.pause(release: true)
            let third = try other.start(nil, [.disk(disk)])
            let held = refusal { try guest.lock.resume() }
            #expect(held?.holder?.guest == third.manager.guest.name, "\(String(describing: held))")
            try third.shutdown()
            let late = refusal { try guest.lock.resume() }
            #expect(late?.holder?.hostId == 2, "\(String(describing: late))")
            #expect(try !guest.isRunning && stage.place.hosts.holders(of: disk).isEmpty)
        }
    }
}
