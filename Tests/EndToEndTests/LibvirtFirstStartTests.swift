import Foundation
import TestSupport
import Testing

/// The first start of each on a directory that the other has set up.
@Suite struct LibvirtFirstStartTests {
    /// A host of its own, whose daemon has joined nothing.
    private func daemon(_ hostID: Int, _ scratch: Scratch) throws -> SanlockDaemon {
        let daemon = try SanlockDaemon(hostName: "host\(hostID)", runDirectory: scratch.file("s\(hostID)"))
        scratch.atEnd { daemon.end() }
        return daemon
    }

    @Test func libvirtUsesADirectoryThatLeaseholdSetUp() throws {
        try withScratch { scratch in
            let directory = try scratch.directory("leases")
            let disks = [try scratch.disk("taken"), try scratch.disk("free")]
            let station = try Station(try daemon(1, scratch), id: 1, leaseDirectory: directory, scratch)
            let ours = try station.start([], LibvirtStage.emulator(disks[0]))
            try expectLeases(of: ours, [try ExpectedLease(disks[0], in: directory)])

            let libvirt = try LibvirtHost(try daemon(2, scratch), hostID: 2, leaseDirectory: directory, in: scratch)
            #expect(try libvirt.daemon.clientStatus().lockspaces.map(\.name) == [TwoHosts.lockspace])
            let guests = try disks.map { try libvirt.define(disks: [$0]) }
            try expectLockError(guests[0])
            try expectStart(guests[1], holding: disks[1])
            try station.refused(["--disk", disks[1]], code: 75, naming: [disks[1], "host2", "left no record"])

            try ours.stop()
            try expectStart(guests[0], holding: disks[0])
            try station.refused(["--disk", disks[0]], code: 75, naming: [disks[0], "host2", "left no record"])
            for guest in guests { try guest.destroy() }
            try station.start([], QEMU.command(disks: disks)).stop()
        }
    }

    /// With libvirt's own settings on libvirt's own host, and with ours on another.
    @Test func leaseholdUsesADirectoryThatLibvirtSetUp() throws {
        try withScratch { scratch in
            let directory = try scratch.directory("leases")
            let disks = [try scratch.disk("taken"), try scratch.disk("free")]
            let libvirt = try LibvirtHost(try daemon(1, scratch), hostID: 1, leaseDirectory: directory, in: scratch)
            #expect(FileManager.default.fileExists(atPath: "\(directory)/\(TwoHosts.lockspace)"))
            let guests = try disks.map { try libvirt.define(disks: [$0]) }
            try expectStart(guests[0], holding: disks[0])

            let elsewhere = try scratch.directory("elsewhere")
            let here = try Station(
                libvirt.daemon, id: 1, leaseDirectory: elsewhere, scratch, settings: ["host_id": nil])
            let options = ["--config", libvirt.configurationPath]
            let words = ["host1", "host id 1", "left no record"]
            try here.refused(options + ["--disk", disks[0]], code: 75, naming: [disks[0]] + words)
            let ours = try here.start(options, LibvirtStage.emulator(disks[1]))
            try expectLeases(of: ours, [try ExpectedLease(disks[1], in: directory)])
            try expectLockError(guests[1])

            let there = try Station(try daemon(2, scratch), id: 2, leaseDirectory: directory, scratch)
            try there.refused(["--disk", disks[0]], code: 75, naming: [disks[0]] + words)
            try guests[0].destroy()
            let other = try there.start([], LibvirtStage.emulator(disks[0]), named: "other")
            try expectLockError(guests[0])
            try other.stop()
            try ours.stop()
            for (guest, disk) in zip(guests, disks) { try expectStart(guest, holding: disk) }
            for guest in guests { try guest.destroy() }
        }
    }

    @Test func bothSetUpADirectoryAtOnce() throws {
        try withScratch { scratch in
            let directory = try scratch.directory("leases")
            let disk = try scratch.disk("disk")
            let station = try Station(try daemon(1, scratch), id: 1, leaseDirectory: directory, scratch)
            let starting = try scratch.start(
                LibvirtStage.oncePresent(
                    "\(directory)/\(TwoHosts.lockspace)", try station.supervised([], LibvirtStage.emulator(disk))))
            let libvirt = try LibvirtHost(try daemon(2, scratch), hostID: 2, leaseDirectory: directory, in: scratch)
            try eventually(within: 30, every: 20, "\(starting): \(starting.errors)") {
                try station.daemon.clientStatus().resources(of: starting.pid).contains { $0.remarks.isEmpty }
            }
            for (daemon, hostID) in [(station.daemon, 1), (libvirt.daemon, 2)] {
                let joined = try daemon.clientStatus().lockspaces
                #expect(joined.map(\.name) == [TwoHosts.lockspace] && joined.map(\.hostID) == [UInt64(hostID)])
            }
            let theirs = try libvirt.define(disks: [disk])
            try expectLockError(theirs)
            starting.signal(SIGTERM)
            try starting.wait(timeout: 10)
            try expectStart(theirs, holding: disk)
            try theirs.destroy()
        }
    }
}
