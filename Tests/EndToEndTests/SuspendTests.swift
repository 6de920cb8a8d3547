import Foundation
import TestSupport
import Testing

/// Guests that stand still by order, with their leases and without.
@Suite(.serialized) struct SuspendTests {
    @Test func aSuspendedGuestKeepsItsLeasesAndGoesOn() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let version = try guest.version()
            try guest.leasehold("suspend").expecting(.exit(0))
            #expect(try guest.status()["state"] == "paused")
            #expect(try guest.monitor.status() == "paused")
            #expect(try guest.isStill())
            #expect(try there.attempt(guest.disk).status == .exit(75))
            // Again is no error.
            try guest.leasehold("suspend").expecting(.exit(0))
            try guest.leasehold("resume").expecting(.exit(0))
            #expect(try guest.status()["state"] == "running")
            try guest.waitUntilWriting()
            #expect(try guest.version() == version)
            expectOneLine(try guest.leasehold("resume"), code: 75, naming: ["running"])
            #expect(try guest.leasehold("stop").succeeded)
        }
    }

    /// `stop` halts the guest's processors. What the emulator does to images by itself goes on.
    @Test func aGuestWhoseEmulatorIsAtWorkOnADiskKeepsItsLeases() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let copy = try here.scratch.disk("copy")
            let devices = try guest.monitor.execute("query-block").array ?? []
            let names = devices.compactMap { $0["inserted"]?["node-name"]?.string }
            let device = try #require(names.first)
            try guest.monitor.execute(
                "blockdev-add", ["driver": "file", "node-name": "copy", "filename": .string(copy)])
            try guest.monitor.execute(
                "blockdev-mirror",
                ["job-id": "copying", "device": .string(device), "target": "copy", "sync": "full", "speed": 65536])
            expectOneLine(try guest.leasehold("suspend", "--release"), code: 69, naming: ["guest"])
            try eventually(within: 5, "\(guest.running.errors)") { guest.running.errors.contains("job copying") }
            #expect(try there.attempt(guest.disk).status == .exit(75))
            try guest.waitUntilWriting()
            // With its leases it may stand for as long as it likes.
            try guest.leasehold("suspend").expecting(.exit(0))
            try guest.leasehold("resume").expecting(.exit(0))
            try guest.monitor.execute("block-job-cancel", ["device": "copying", "force": true])
            try eventually(within: 10) { try guest.monitor.execute("query-jobs") == [] }
            try guest.leasehold("suspend", "--release").expecting(.exit(0))
            #expect(try there.attempt(guest.disk).status == .exit(0))
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    /// A reset by its manager leaves it where it is, and it goes on by order as ever.
    @Test func aSuspendedGuestThatIsResetStandsStill() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            try guest.leasehold("suspend").expecting(.exit(0))
            try guest.monitor.execute("system_reset")
            try eventually(within: 5) { try guest.monitor.status() == "prelaunch" }
            pause(milliseconds: 500)
            #expect(try guest.status()["state"] == "paused")
            #expect(try guest.isStill())
            try guest.leasehold("resume").expecting(.exit(0))
            #expect(try guest.status()["state"] == "running")
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    @Test func aSuspendedGuestMayBeLetGoOnByItsManager() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            try guest.leasehold("suspend").expecting(.exit(0))
            try guest.monitor.execute("cont")
            try eventually(within: 5) { try guest.status()["state"] == "running" }
            // And one that its manager has stopped is suspended, and resumed.
            try guest.monitor.execute("stop")
            try guest.leasehold("suspend", "--release").expecting(.exit(0))
            try guest.leasehold("resume").expecting(.exit(0))
            try guest.waitUntilWriting()
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    @Test func leasesThatNobodyHadInBetweenAreTakenAgain() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            let version = try guest.version()
            for round in 1...3 {
                try guest.leasehold("suspend", "--release").expecting(.exit(0))
                #expect(try guest.status()["state"] == "paused")
                #expect(try guest.status()["leases"]?[0]?["state"] == "released")
                #expect(try hosts.holders(of: guest.disk).isEmpty)
                #expect(try guest.isStill())
                try guest.leasehold("resume").expecting(.exit(0))
                #expect(try guest.version() == version + round)
                try guest.waitUntilWriting()
            }
            #expect(try guest.leasehold("stop").succeeded)
        }
    }

    /// libvirt's plugin resumes here.
    @Test func aGuestWhoseLeaseAnotherHostHadInBetweenStaysStopped() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            try guest.leasehold("suspend", "--release").expecting(.exit(0))
            #expect(try there.attempt(guest.disk).status == .exit(0))
            for _ in 1...2 {
                let refused = try guest.leasehold("resume")
                expectOneLine(refused, code: 75, naming: [guest.disk, "host2", "host id 2", "stays stopped", "kill"])
            }
            #expect(try guest.status()["state"] == "paused")
            #expect(try guest.isStill())
            #expect(try hosts.holders(of: guest.disk).isEmpty)
            let told = guest.running.errors
            #expect(told.contains("host host2 (host id 2) had it since"), "\(told)")
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    @Test func aGuestWhoseLeaseSomebodyHasStaysStoppedAndNamesHim() throws {
        try Station.withTwo { hosts, here, there in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            try guest.leasehold("suspend", "--release").expecting(.exit(0))
            let holder = try there.start(["--no-auto-disks", "--disk", guest.disk], named: "db7")
            try holder.waitUntilRecorded(guest.disk)
            let refused = try guest.leasehold("resume")
            expectOneLine(refused, code: 75, naming: [guest.disk, "db7", "host2"])
            #expect(try guest.isStill())
            #expect(try hosts.holders(of: guest.disk).map(\.host.id) == [2])
            // It ends without a word to its disk.
            #expect(try guest.leasehold("stop").succeeded)
            #expect(try here.leasehold("wait", "guest", "--json").expecting(.exit(0)).json()["signal"] == 9)
            try holder.stop()
        }
    }

    /// A guest without its leases that goes on all the same is killed before others could mind.
    @Test func aGuestWithoutItsLeasesThatIsLetGoOnIsKilled() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            try guest.leasehold("suspend", "--release").expecting(.exit(0))
            _ = try? guest.monitor.execute("cont", timeout: 1)
            #expect(try guest.running.wait(timeout: 3) == .exit(74))
        }
    }

    @Test func sharedLeasesAreTakenAgainUncheckedAndThatIsSaid() throws {
        try Station.withTwo { hosts, here, there in
            let disk = try hosts.disk()
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk(), options: ["--shared-disk", disk])
            try guest.leasehold("suspend", "--release").expecting(.exit(0))
            let other = try there.supervised(
                ["--name", "other", "--no-auto-disks", "--shared-disk", disk], try Probe.command("exit", "0"))
            #expect(try other.run(timeout: 20).status == .exit(0))
            try guest.leasehold("resume").expecting(.exit(0))
            try eventually(within: 5, "\(guest.running.errors)") { guest.running.errors.contains("unchecked=1") }
            #expect(try guest.leasehold("kill").succeeded)
        }
    }

    @Test func withoutAMonitorItIsRefused() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try here.start(["--no-auto-disks", "--disk", try hosts.disk()])
            expectOneLine(try here.leasehold("suspend", "guest"), code: 69, naming: ["--qmp"])
            expectOneLine(try here.leasehold("suspend", "nobody"), code: 66, naming: ["nobody"])
            #expect(try guest.status()["state"] == "running")
            try guest.stop()
        }
    }

    /// The daemon dies while the guest stands still by order, with its leases: by the policy `pause` it stays so, and has them
    /// again when the daemon is back.
    @Test func aSuspendedGuestSurvivesItsDaemonByThePolicy() throws {
        try withPausedHosts { hosts in
            let scratch = try Scratch()
            defer { scratch.remove() }
            let here = try Station(on: hosts.first, of: hosts, scratch)
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk(), options: ["--on-lease-loss", "pause"])
            let released = try EmulatorGuest(on: here, disk: try hosts.disk(), named: "released")
            try guest.leasehold("suspend").expecting(.exit(0))
            try released.leasehold("suspend", "--release").expecting(.exit(0))
            let version = try guest.version()
            hosts.first.daemon.kill()
            pause(milliseconds: 1500)
            if guest.running.status == .exit(74) { throw NotPaused(what: guest.running.errors) }
            #expect(guest.running.isRunning && released.running.isRunning)
            expectOneLine(try released.leasehold("resume"), code: 69)
            try hosts.first.daemon.restart()
            try eventually(within: 30) { try guest.status()["leases"]?[0]?["state"] == "held" }
            #expect(try guest.version() == version + 1)
            pause(milliseconds: 500)
            #expect(try guest.status()["state"] == "paused")
            #expect(try guest.isStill())
            try guest.leasehold("resume").expecting(.exit(0))
            try guest.waitUntilWriting()
            try released.leasehold("resume").expecting(.exit(0))
            try released.waitUntilWriting()
            #expect(try guest.leasehold("kill").succeeded)
            #expect(try released.leasehold("kill").succeeded)
        }
    }

    /// The same by the policy `poweroff`: nobody knows whose the disk will be.
    @Test func aSuspendedGuestEndsWithItsDaemonWhereThatIsThePolicy() throws {
        try withTwoHosts { hosts in
            let scratch = try Scratch()
            defer { scratch.remove() }
            let here = try Station(on: hosts.first, of: hosts, scratch)
            let guest = try EmulatorGuest(on: here, disk: try hosts.disk())
            try guest.leasehold("suspend").expecting(.exit(0))
            hosts.first.daemon.kill()
            #expect(try guest.running.wait(timeout: 8) == .exit(74))
        }
    }
}
