import Foundation
import Glibc
import TestSupport
import Testing

/// Disks by names that won't last, and by two names at once.
@Suite struct DiskNameWarningTests {
    /// A disk with a second name: a symbolic link to it.
    private struct Named {
        let station: Station
        let disk: String
        let link: String
        var scratch: Scratch { station.scratch }

        func refuse(
            _ options: [String], _ command: [String]? = nil, naming words: [String],
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let more = ["the same device as"] + words
            try station.refused(
                ["--name", "refused"] + options, command, code: 75, naming: more, sourceLocation: sourceLocation)
        }
    }

    private func withNamed(_ body: (TwoHosts, Named) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try scratch.disk("disk")
            let link = scratch.file("link")
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "disk")
            try body(hosts, Named(station: try Station(on: hosts.first, of: hosts, scratch), disk: disk, link: link))
        }
    }

    /// The warnings of a guest that has one disk, those about the watchdog left out.
    private func warnings(_ station: Station, _ options: [String]) throws -> [String] {
        let guest = try station.start(
            ["--log-level", "warning"] + options, named: "warned-\(UUID().uuidString.prefix(4))")
        // The last one of each start, where there is no watchdog.
        try guest.running.waitForOutput("no watchdog guards", in: .errors)
        let lines = guest.running.errors.split(separator: "\n").map(String.init)
        try guest.stop()
        return lines.filter { !$0.contains("no watchdog guards") }
    }

    // MARK: Warnings

    @Test func aSymbolicLinkIsWarnedOfAndTheStableNameIsGiven() throws {
        try withNamed { _, named in
            let folder = try named.scratch.directory("folder")
            let inner = try named.scratch.disk("folder/inner")
            let way = named.scratch.file("way")
            try FileManager.default.createSymbolicLink(atPath: way, withDestinationPath: folder)
            for (given, stable) in [(named.link, named.disk), ("\(way)/inner", inner)] {
                for option in ["--disk", "--shared-disk"] {
                    let lines = try warnings(named.station, [option, given])
                    #expect(lines.count == 1 && lines[0].contains("\(given) "), "\(lines)")
                    #expect(lines.first?.hasSuffix("use \(stable)") == true, "\(lines)")
                }
            }
            // What the guest only reads has no lease, and what is named well needs no word.
            #expect(try warnings(named.station, ["--readonly-disk", named.link, "--disk", named.disk]) == [])
            // Every one of several has its own.
            #expect(try warnings(named.station, ["--disk", named.link, "--disk", "\(way)/inner"]).count == 2)
        }
    }

    @Test func aDeviceNamedByDiscoveryIsWarnedOf() throws {
        try withNamed { _, named in
            let loop = try LoopDevice(try named.scratch.disk("image"), named.scratch)
            let lines = try warnings(named.station, ["--disk", loop.path])
            #expect(lines.count == 1 && lines[0].contains("\(loop.path) is named by order of discovery"), "\(lines)")
        }
    }

    @Test func theWarningComesOnceTheGuestRunsAndIsNoReasonToRefuse() throws {
        try withNamed { hosts, named in
            let holder = try Station(on: hosts.second, of: hosts, named.scratch)
            let guest = try holder.start(["--disk", named.link], named: "elsewhere")
            try guest.waitUntilRecorded(named.link)
            // A start that fails has one line.
            try named.station.refused(["--disk", named.link], code: 75, naming: [named.link, "guest elsewhere"])
            try guest.stop()
        }
    }

    // MARK: Two names

    @Test func oneDeviceUnderTwoNamesIsRefusedToASecondGuest() throws {
        try withNamed { _, named in
            let (disk, link) = (named.disk, named.link)
            let hard = named.scratch.file("hard")
            #expect(Glibc.link(disk, hard) == 0)
            let first = try named.station.start(["--disk", link], named: "first")
            for other in [disk, hard] {
                for option in ["--disk", "--shared-disk"] {
                    try named.refuse([option, other], naming: [other, link, "guest first", "\(first.pid)"])
                }
                try named.refuse([], QEMU.command(disks: [other]), naming: [other, link, "guest first"])
            }
            // The lease that it had for a moment is free again, and the first has noticed nothing.
            #expect(try named.station.lease(of: disk).json["state"] == "free")
            #expect(try first.leases().count == 1)
            try first.stop()
            for other in [disk, hard, link] { try named.station.start(["--disk", other], named: "next").stop() }
        }
    }

    @Test func aBlockDeviceUnderTwoNamesIsRefusedToASecondGuest() throws {
        try withNamed { _, named in
            let loop = try LoopDevice(try named.scratch.disk("image"), named.scratch)
            var status = stat()
            #expect(stat(loop.path, &status) == 0)
            let node = named.scratch.file("node")
            #expect(mknod(node, S_IFBLK | 0o600, status.st_rdev) == 0)
            let first = try named.station.start(["--disk", loop.path], named: "first")
            try named.refuse(["--disk", node], naming: [node, loop.path, "guest first"])
            try first.stop()
            try named.station.start(["--disk", node], named: "next").stop()
        }
    }

    @Test func aDeviceIsPluggedInUnderOneNameOnly() throws {
        try withNamed { hosts, named in
            let station = named.station
            let first = try station.start(["--disk", named.link], named: "first")
            let second = try station.start(["--disk", try hosts.disk()], named: "second")
            expectOneLine(
                try station.leasehold("attach-disk", "second", named.disk), code: 66,
                naming: ["same device as \(named.link)", "guest first"])
            #expect(try station.lease(of: named.disk).json["state"] == "free")
            try first.stop()
            try station.leasehold("attach-disk", "second", named.disk).expecting(.exit(0))
            try named.refuse(["--disk", named.link], naming: [named.link, named.disk, "guest second"])
            try station.leasehold("detach-disk", "second", named.disk).expecting(.exit(0))
            try station.start(["--disk", named.link], named: "third").stop()
            try second.stop()
        }
    }

    /// The leases are two, and each guest is the only holder of its own.
    @Test func aDeviceThatIsSharedUnderTwoNamesIsNobodysAlone() throws {
        try withNamed { _, named in
            let station = named.station
            let first = try station.start(["--shared-disk", named.disk], named: "first")
            let second = try station.start(["--shared-disk", named.link], named: "second")
            expectOneLine(
                try station.leasehold("attach-disk", "first", named.disk), code: 66,
                naming: ["same device as \(named.link)", "guest second"])
            #expect(try first.status()["leases"]?[0]?["mode"] == "shared")
            // It still shares it.
            let third = try station.start(["--shared-disk", named.link], named: "third")
            for guest in [second, third] { try guest.stop() }
            try station.leasehold("attach-disk", "first", named.disk).expecting(.exit(0))
            try named.refuse(["--shared-disk", named.link], naming: [named.link, named.disk, "guest first"])
            try first.stop()
        }
    }

    @Test func oneHostsGuestsShareADiskThatOneHadAlone() throws {
        try withNamed { _, named in
            let station = named.station
            let first = try station.start(["--disk", named.disk], named: "first")
            try station.leasehold("attach-disk", "first", named.disk, "--shared").expecting(.exit(0))
            let second = try station.start(["--shared-disk", named.disk], named: "second")
            let third = try station.start(["--shared-disk", named.link], named: "third")
            expectOneLine(
                try station.leasehold("attach-disk", "first", named.disk), code: 75, naming: [named.disk, "second"])
            for guest in [second, third, first] { try guest.stop() }
        }
    }

    /// The next file may have the number of one that was removed.
    @Test func aFileThatIsRemovedBeforeItsLeaseIsGivenBackStandsInNobodysWay() throws {
        try withNamed { hosts, named in
            let station = named.station
            let guest = try station.start(["--disk", try hosts.disk()], named: "first")
            try station.leasehold("attach-disk", "first", named.disk).expecting(.exit(0))
            let kept = named.scratch.file("kept")
            #expect(Glibc.link(named.disk, kept) == 0 && unlink(named.disk) == 0)
            try station.refused(["--name", "refused", "--disk", kept], code: 75)
            try station.leasehold("detach-disk", "first", named.disk).expecting(.exit(0))
            try station.start(["--disk", kept], named: "next").stop()
            try guest.stop()
        }
    }

    @Test(arguments: ["supervisor", "guest", "stop"])
    func itIsFreeAfterTheFirstGuestsEnd(how: String) throws {
        try withNamed { _, named in
            let first = try named.station.start(["--disk", named.link], named: "first")
            switch how {
            case "supervisor": first.running.signal(SIGKILL)
            case "guest": for process in first.running.descendants { process.signal(SIGKILL) }
            default: first.running.signal(SIGTERM)
            }
            try first.running.wait(timeout: 10)
            // At once: what is about to be let go of is waited for.
            let next = try named.station.start(["--disk", named.disk], named: "next")
            try next.stop()
        }
    }

    /// The next start ends it first, whatever name it asks by.
    @Test func aKilledSupervisorsGuestIsInNobodysWay() throws {
        try withNamed { _, named in
            let pidFile = named.scratch.file("pids")
            let hostile = try Probe.hostile("ignore-signals", pidFile: pidFile)
            let first = try named.station.start(
                ["--disk", named.link], [hostile.path] + hostile.arguments, named: "first")
            try HostileRecord(pidFile).waitUntilReady()
            first.running.signal(SIGKILL)
            let next = try named.station.start(["--disk", named.disk], named: "next")
            #expect(try HostileRecord(pidFile).living() == [])
            try next.stop()
        }
    }

    @Test func aSharedDiskIsSharedUnderOneNameAndUnderTwo() throws {
        try withNamed { _, named in
            let first = try named.station.start(["--shared-disk", named.disk], named: "first")
            let second = try named.station.start(["--shared-disk", named.disk], named: "second")
            // Nobody has it alone, whatever each calls it.
            let third = try named.station.start(["--shared-disk", named.link], named: "third")
            let hard = named.scratch.file("hard")
            #expect(Glibc.link(named.disk, hard) == 0)
            try named.refuse(["--disk", hard], naming: [hard, "guest "])
            for guest in [first, second, third] {
                #expect(try guest.leases().map(\.isShared) == [true])
                try guest.stop()
            }
            let alone = try named.station.start(["--disk", named.link], named: "alone")
            try named.refuse(["--shared-disk", named.disk], naming: [named.link, "guest alone"])
            try alone.stop()
        }
    }

    @Test func oneGuestMayNotOpenADeviceByTwoNames() throws {
        try withNamed { _, named in
            try named.refuse(
                [], QEMU.command(disks: [named.disk, named.link]), naming: [named.disk, named.link, "this guest"])
            // As one name for a lease more, beside the one that the command opens, it does no harm.
            let more = try named.station.start(
                ["--disk", named.link], QEMU.command(disks: [named.disk]), named: "more")
            let expected = try [named.disk, named.link].map {
                try ExpectedLease($0, in: named.station.leaseDirectory)
            }
            try expectLeases(of: more, expected)
            // Then nobody gets it by either name.
            for name in [named.disk, named.link] {
                try named.station.refused(
                    ["--name", "second", "--disk", name], code: 75, naming: [name, "guest more"])
            }
            try more.stop()
            let two = try named.station.start(["--disk", named.link, "--disk", named.disk], named: "two")
            try expectLeases(of: two, expected)
            try two.stop()
        }
    }

    @Test func anotherRunDirectoryIsAnotherWorld() throws {
        try withNamed { hosts, named in
            let first = try named.station.start(["--disk", named.link], named: "first")
            for host in [hosts.first, hosts.second] {
                let apart = try Station(on: host, of: hosts, named.scratch)
                try apart.start(["--disk", named.disk], named: "apart").stop()
                // By one name the lease is in the way all the same.
                try apart.refused(["--disk", named.link], code: 75, naming: [named.link, "is held by"])
            }
            try first.stop()
        }
    }

    @Test func ofManyThatStartAtOnceByTwoNamesOneRuns() throws {
        try withNamed { _, named in
            let starts = try (0..<6).map { index in
                try named.scratch.start(
                    try named.station.supervised(
                        ["--name", "s\(index)", "--disk", index % 2 == 0 ? named.disk : named.link],
                        Probe.command("sleep", "60")))
            }
            try eventually(within: 15, every: 20, "five refusals") { starts.filter(\.isRunning).count <= 1 }
            #expect(starts.filter(\.isRunning).count == 1, "\(starts.map(\.errors))")
            for start in starts where !start.isRunning {
                expectOneLine(try start.finish(), code: 75, naming: [named.scratch.path])
            }
        }
    }
}
