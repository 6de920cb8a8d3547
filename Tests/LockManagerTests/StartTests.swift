import Foundation
import LockManager
import TestSupport
import Testing

/// The README's first sequences: start, look, and end.
@Suite struct StartTests {
    @Test(arguments: drivers) func aGuestIsStartedLookedAtAndEnded(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let disks = try (0..<4).map { _ in try stage.place.hosts.disk() }
            let explicit = try stage.place.hosts.disk()
            try stage.place.hosts.formatLease(explicit)
            let guest = try stage.identity(id: 7)
            let manager = try stage.manager(
                guest,
                [
                    .disk(disks[0]), .disk("file:\(disks[1])", .shared), .disk(disks[2], .readonly),
                    .lease(try stage.place.hosts.leaseText(explicit)),
                ])
            try manager.acquireObject()
            let program = try stage.start(manager)
            guard stage.isSupervised else {
                #expect(try manager.supervisorPath == nil && manager.supervisorArguments == [])
                #expect(try manager.inquire() == [] && manager.shutdown() == nil)
                #expect(program.isRunning)
                #expect(refusal { try manager.child() } == .unsupported("telling a guest's process"))
                manager.free()
                return
            }
            let child = try manager.child(supervisorPid: program.pid)
            #expect(program.descendants.contains { $0.pid == child })
            let status = try manager.status()
            #expect(
                status.name == guest.name && status.uuid == guest.uuid && status.id == 7 && status.state == .running)
            let held = try stage.place.leases(of: program.pid)
            let expected = Set(
                held.map {
                    "\($0.lockspace):\($0.name):\($0.path):\($0.offsetBytes):\($0.version.map { "\($0)" } ?? "SH")"
                })
            let leases = try manager.inquire()
            #expect(Set(leases.map(\.spelling)) == expected && expected.count == 3)
            #expect(leases.first { $0.disk == disks[1] }?.mode == .shared)
            let exit = try #require(try manager.shutdown())
            #expect(exit.uuid == guest.uuid && exit.reason == .stopped && exit.leasesFree)
            #expect(try program.wait(timeout: 5) == .signal(SIGTERM))
            #expect(try stage.place.leases(of: program.pid).isEmpty)
            // Of a guest that has ended, the same again.
            #expect(try manager.shutdown() == exit && stage.plugin.exit(of: guest.name) == exit)
        }
    }

    @Test func acquireObjectMakesTheLeaseFileAndTakesNothing() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let before = try stage.place.host.daemon.clientStatus().clients.keys.filter { $0 == getpid() }
            let manager = try stage.manager(nil, [.disk(disk)])
            try manager.acquireObject()
            try manager.acquireObject()
            #expect(FileManager.default.fileExists(atPath: try stage.place.hosts.leasePath(disk)))
            #expect(try stage.place.hosts.holders(of: disk).isEmpty)
            #expect(try stage.place.host.daemon.clientStatus().clients.keys.filter { $0 == getpid() } == before)
            #expect(try FileManager.default.contentsOfDirectory(atPath: stage.place.runDirectory) == [])
            // With another program's eyes it is a lease.
            _ = try stage.place.host.hold(try stage.place.hosts.leaseText(disk), seconds: 1)
        }
    }

    @Test func whoHasTheDiskIsTold() throws {
        try withScratch { scratch in
            let (first, second) = (try Stage("sanlock", scratch), try Stage("sanlock", scratch, second: true))
            try first.place.hosts.waitUntilSeen()
            let disk = try first.place.hosts.disk()
            let holder = try second.running([.disk(disk)])
            let leasePath = try first.place.hosts.leaseDirectory + "/.leasehold/" + leaseName(disk) + ".json"
            try eventually(within: 5, "the holder's record") { FileManager.default.fileExists(atPath: leasePath) }
            let late = try first.manager(nil, [.disk(disk)])
            guard case .busy(disk, let found?) = refusal({ try late.acquireObject() }) else {
                Issue.record("\(String(describing: refusal { try late.acquireObject() }))")
                return
            }
            #expect(found.guest == holder.manager.guest.name && found.hostId == 2 && found.liveness == .live)
            // The supervisor has the last word, and says the same.
            #expect(try first.start(late).finish(timeout: 10).status == .exit(75))
            // Waiting is for as long as is said.
            let start = monotonicNanoseconds()
            #expect(refusal { try late.acquireObject(waitSeconds: 1) } != nil && secondsSince(start) > 0.9)
            #expect(try holder.manager.kill().reason == .killed)
            try late.acquireObject(waitSeconds: 5)
        }
    }

    @Test(arguments: drivers) func aBusyDiskKeepsNobodyFromNop(_ driver: String) throws {
        try withScratch { scratch in
            let disk = try Stage("sanlock", scratch).place.hosts.disk()
            _ = try Stage("sanlock", scratch).running([.disk(disk)])
            let stage = try Stage(driver, scratch)
            let manager = try stage.manager(nil, [.disk(disk)])
            #expect((refusal { try manager.acquireObject() } == nil) == !stage.isSupervised)
        }
    }

    @Test func aDiskOverANetworkIsOneHoweverItIsNamed() throws {
        try Stage.with("sanlock") { stage in
            let volume = UUID().uuidString
            let (url, name) = ("nbd://Host/\(volume)", "nbd://host:10809/\(volume)")
            let (manager, _) = try stage.running([.disk(url)])
            #expect(try manager.inquire().map(\.disk) == [name])
            #expect(refusal { try manager.registerResource(.disk("nbd:host:10809:exportname=\(volume)")) } != nil)
            let other = try stage.manager(nil, [.disk("nbd:host:10809:exportname=\(volume)")])
            guard case .busy(name, _) = refusal({ try other.acquireObject() }) else {
                Issue.record("it was had twice")
                return
            }
            #expect(
                try manager.acquireResource(.disk("nbd://host:1/\(volume)")).map(\.disk) == ["nbd://host:1/\(volume)"])
            try manager.releaseResource(.disk("nbd:HOST:1:exportname=\(volume)"))
            #expect(try manager.inquire().map(\.disk) == [name])
        }
    }

    @Test func sharingGuestsAreNoTroubleToEachOther() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            _ = try stage.running([.disk(disk, .shared)])
            _ = try stage.running([.disk(disk, .shared)])
            let alone = try stage.manager(nil, [.disk(disk)])
            guard case .busy = refusal({ try alone.acquireObject() }) else {
                Issue.record("a shared disk was had alone")
                return
            }
        }
    }

    @Test func aNameThatIsInUseIsBusy() throws {
        try Stage.with("sanlock") { stage in
            let first = try stage.running()
            let guest = try GuestIdentity(name: first.manager.guest.name, uuid: UUID().uuidString)
            let second = try stage.manager(guest)
            guard case .busy(let what, let holder?) = refusal({ try second.acquireObject() }) else {
                Issue.record("the name was had twice")
                return
            }
            #expect(
                what.contains(guest.name) && holder.pid == first.program.pid && holder.uuid == first.manager.guest.uuid)
        }
    }

    @Test func aSupervisorThatEndsIsNotWaitedFor() throws {
        try Stage.with("sanlock") { stage in
            let manager = try stage.manager()
            let program = try stage.start(manager, ["/nonexistent"])
            let start = monotonicNanoseconds()
            guard case .notStarted = refusal({ try manager.child(supervisorPid: program.pid) }) else {
                Issue.record("a guest that can't be started has a process")
                return
            }
            #expect(secondsSince(start) < 5)
            #expect(try program.wait() == .exit(127))
            // One that nobody starts is waited for as long as is said.
            let again = monotonicNanoseconds()
            guard case .notStarted = refusal({ try manager.child(timeoutSeconds: 0.5) }) else {
                Issue.record("a guest that nobody starts has a process")
                return
            }
            #expect(secondsSince(again) > 0.4)
        }
    }

    @Test func aLookThatCannotBeFinishedInTimeIsGivenUp() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let manager = try stage.manager(nil, [.disk(disk)])
            // Where the lease directory doesn't exist nothing hangs and all is told.
            let lost = try Stage(
                "sanlock", stage.place.scratch, settings: ["disk_lease_dir": "\"\(stage.place.scratch.file("none"))\""])
            guard case .unavailable(let text) = refusal({ try lost.manager(nil, [.disk(disk)]).acquireObject() }) else {
                Issue.record("a lease directory that is missing was no trouble")
                return
            }
            #expect(text.contains("none"))
            #expect(refusal { try manager.acquireObject(timeoutSeconds: 30) } == nil)
            guard case .unavailable = refusal({ try manager.acquireObject(timeoutSeconds: 0) }) else {
                Issue.record("no time was enough")
                return
            }
        }
    }
}
