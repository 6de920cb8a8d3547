import Foundation
import TestSupport
import Testing

/// Guests of libvirt and of Leasehold on one lease directory, on two hosts (Leasehold on host 1) and on one (on host 2).
@Suite struct LibvirtTests {
    @Test(arguments: [1, 2])
    func aDiskOfALibvirtGuestIsRefusedUntilThatIsDestroyed(hostID: Int) throws {
        let stage = try LibvirtStage.shared
        try withScratch { scratch in
            let (disk, free) = (try stage.hosts.disk(), try stage.hosts.disk())
            let theirs = try stage.define(disk, in: scratch)
            try expectStart(theirs, holding: disk)
            let before = try Wellbeing(theirs)

            let station = try stage.station(hostID, scratch)
            let words = ["can't start ours", disk, "host2", "host id 2", "left no record", "libvirt"]
            for command in [QEMU.command(disks: [disk]), QEMU.command(disks: [free, disk])] {
                try station.refused(["--name", "ours"], command, code: 75, naming: words)
            }
            try station.refused(["--shared-disk", disk], code: 75, naming: [disk, "host2", "left no record"])
            #expect(try Wellbeing(theirs) == before)
            #expect(try stage.hosts.holders(of: free).isEmpty)

            try theirs.destroy()
            let ours = try station.start([], QEMU.command(disks: [free, disk]))
            try expectLeases(of: ours, try [disk, free].map { try ExpectedLease($0, in: stage.hosts.leaseDirectory) })
            try ours.stop()
        }
    }

    @Test(arguments: [1, 2])
    func aDiskOfOurGuestIsRefusedByLibvirtUntilThatIsStopped(hostID: Int) throws {
        let stage = try LibvirtStage.shared
        try withScratch { scratch in
            let (disk, free) = (try stage.hosts.disk(), try stage.hosts.disk())
            let ours = try stage.station(hostID, scratch).start([], LibvirtStage.emulator(disk))
            let before = try Wellbeing(ours)
            #expect(before.state == "running" && before.leases.count == 1)

            let theirs = try stage.define(disk, in: scratch)
            try expectLockError(theirs)
            try expectLockError(try stage.define(free, disk, in: scratch))
            #expect(try Wellbeing(ours) == before)
            try eventually(within: 2, every: 20) { try stage.hosts.holders(of: free).isEmpty }

            try ours.stop()
            try expectStart(theirs, holding: disk)
            #expect(try theirs.leases()[0].version ?? 0 > before.leases.first?.version ?? 0)
            try theirs.destroy()
        }
    }

    @Test(arguments: [1, 2])
    func aWaitingStartGetsTheDiskOfALibvirtGuestThatEnds(hostID: Int) throws {
        let stage = try LibvirtStage.shared
        try withScratch { scratch in
            let disk = try stage.hosts.disk()
            let theirs = try stage.define(disk, in: scratch)
            try expectStart(theirs, holding: disk)
            let station = try stage.station(hostID, scratch)
            let waiting = try scratch.start(
                try station.supervised(["--name", "waiting", "--wait", "60"], LibvirtStage.emulator(disk)))
            try eventually(within: 10, every: 20, "\(waiting) waiting: \(waiting.errors)") {
                try station.leasehold("status", "waiting", "--json").output.contains("\"acquiring\"")
            }
            theirs.process?.signal(SIGKILL)
            let ours = Guest(running: waiting, name: "waiting", station: station)
            try eventually(within: 10, every: 20) { try ours.leases().contains { $0.remarks.isEmpty } }
            try eventually(within: 10, every: 20) { try theirs.state() == "shut off" }
            #expect(theirs.process == nil)
            try expectLockError(theirs)
            try ours.stop()
        }
    }

    /// libvirt gives the leases of a guest that it suspends back, and takes them again to resume it.
    @Test func aSuspendedLibvirtGuestIsNotResumedOnADiskThatOursHasTaken() throws {
        let stage = try LibvirtStage.shared
        try withScratch { scratch in
            let disk = try stage.hosts.disk()
            let theirs = try stage.define(disk, in: scratch)
            try expectStart(theirs, holding: disk)
            try stage.libvirt.virsh("suspend", theirs.name).expecting(.exit(0))
            #expect(try theirs.leases().isEmpty)

            let ours = try stage.station(1, scratch).start([], LibvirtStage.emulator(disk))
            let before = try Wellbeing(ours)
            let resumption = try stage.libvirt.virsh("resume", theirs.name)
            #expect(resumption.status == .exit(1) && resumption.errors.contains("Failed to acquire lock"))
            #expect(try theirs.state() == "paused")
            #expect(try Wellbeing(ours) == before)

            try ours.stop()
            try stage.libvirt.virsh("resume", theirs.name).expecting(.exit(0))
            #expect(try stage.hosts.holders(of: disk).map(\.resource.pid) == [theirs.process?.pid])
            try theirs.destroy()
        }
    }

    @Test func aSharedDiskIsUsedByBothAtOnceAndByNobodyAlone() throws {
        let stage = try LibvirtStage.shared
        try withScratch { scratch in
            let disk = try stage.hosts.disk()
            let theirs = try stage.define(disk, sharing: true, in: scratch)
            let greedy = try stage.define(disk, in: scratch)
            let stations = [try stage.station(1, scratch), try stage.station(2, scratch)]
            let ours = try stations.map { try $0.start([], LibvirtStage.emulator(disk, sharing: true)) }
            try expectLockError(greedy)
            try expectStart(theirs, holding: disk, sharing: true)
            for guest in ours {
                try expectLeases(of: guest, [try ExpectedLease(disk, in: stage.hosts.leaseDirectory, shared: true)])
            }
            #expect(try stage.hosts.holders(of: disk).count == 3)
            for station in stations { try station.refused(["--disk", disk], code: 75, naming: [disk]) }

            for guest in ours { try guest.stop() }
            for station in stations {
                try station.refused(["--disk", disk], code: 75, naming: [disk, "host2", "left no record"])
            }
            try theirs.destroy()
            let alone = try stations[0].start([], LibvirtStage.emulator(disk))
            try expectLockError(theirs)
            try expectLockError(greedy)
            try alone.stop()
            try expectStart(greedy, holding: disk)
            for station in stations {
                try station.refused(["--shared-disk", disk], code: 75, naming: [disk, "host2", "left no record"])
            }
            try greedy.destroy()
        }
    }

    /// libvirt makes a lease file under its name, and has it formatted some milliseconds later.
    @Test(arguments: [1, 2])
    func ofTwoThatMakeALeaseFileAtOnceOneStarts(hostID: Int) throws {
        let stage = try LibvirtStage.shared
        try withScratch { scratch in
            let station = try stage.station(hostID, scratch)
            for round in 0..<3 {
                let disk = try stage.hosts.disk()
                let theirs = try stage.define(disk, in: scratch)
                let name = "round-\(round)"
                let starting = try scratch.start(
                    LibvirtStage.oncePresent(
                        try stage.hosts.leasePath(disk),
                        try station.supervised(["--name", name, "--wait", "60"], LibvirtStage.emulator(disk))))
                let outcome = try theirs.start()
                if outcome.succeeded {
                    // Ours may be asking just now.
                    let holders = try stage.hosts.holders(of: disk).filter { $0.resource.remarks.isEmpty }
                    #expect(holders.map(\.resource.pid) == [theirs.process?.pid])
                    try theirs.destroy()
                } else {
                    #expect(outcome.errors.contains("Failed to acquire lock"), "\(outcome)")
                }
                let ours = Guest(running: starting, name: name, station: station)
                try eventually(within: 10, every: 20, "\(starting): \(starting.errors)") {
                    try ours.leases().contains { $0.remarks.isEmpty }
                }
                try expectLockError(theirs)
                try ours.stop()
            }
        }
    }
}
