import Foundation
import TestSupport
import Testing

/// What removes the lease files of disks that nobody uses.
enum LeaseCleanUp: String, CaseIterable, Sendable {
    /// libvirt's own script.
    case libvirts
    /// Ours beside it, with libvirt's settings.
    case oursOnItsHost
    /// Ours where no libvirt is.
    case oursOnTheOtherHost

    func program(_ stage: LibvirtStage, _ scratch: Scratch) throws -> Program {
        switch self {
        case .libvirts: return try stage.libvirt.program("virt-sanlock-cleanup")
        case .oursOnItsHost, .oursOnTheOtherHost:
            let station = try stage.station(self == .oursOnItsHost ? 2 : 1, scratch)
            let settings = self == .oursOnItsHost ? stage.libvirt.configurationPath : station.configuration
            return Program(
                try Products.cli(), ["lease", "cleanup", "--config", settings], environment: station.environment)
        }
    }
}

/// Guests of both kinds that run while leases are cleaned up.
private struct Inhabitants {
    /// One on each host, and one on the first that shares its disk.
    let ours: [Guest]
    /// One, and one that shares its disk with ours.
    let theirs: [LibvirtGuest]
    /// Those of ours on both hosts, that of theirs, and the shared one.
    let disks: [String]
    private let stage: LibvirtStage

    init(_ stage: LibvirtStage, _ scratch: Scratch) throws {
        self.stage = stage
        disks = try (0..<4).map { _ in try stage.hosts.disk() }
        let stations = [try stage.station(1, scratch), try stage.station(2, scratch)]
        ours = [
            try stations[0].start([], LibvirtStage.emulator(disks[0]), named: "first"),
            try stations[1].start([], LibvirtStage.emulator(disks[1]), named: "second"),
            try stations[0].start([], LibvirtStage.emulator(disks[3], sharing: true), named: "sharing"),
        ]
        theirs = [
            try stage.define(disks[2], in: scratch), try stage.define(disks[3], sharing: true, in: scratch),
        ]
        for guest in theirs { try guest.start().expecting(.exit(0)) }
        for (guest, disk) in zip(ours.prefix(2), disks) { try guest.waitUntilRecorded(disk) }
    }

    func wellbeing() throws -> [Wellbeing] { try ours.map(Wellbeing.init) + theirs.map(Wellbeing.init) }

    /// Checks that each disk is held by whom it was held all the time, and by nobody else.
    func expectNoOtherHolders(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let (ours, theirs) = (ours.map(\.pid), theirs.compactMap { $0.process?.pid })
        try #require(theirs.count == 2, sourceLocation: sourceLocation)
        for (disk, pids) in zip(disks, [[ours[0]], [ours[1]], [theirs[0]], [ours[2], theirs[1]]]) {
            let holders = try stage.hosts.holders(of: disk).filter { $0.resource.remarks.isEmpty }
            #expect(Set(holders.map(\.resource.pid)) == Set(pids), "\(holders)", sourceLocation: sourceLocation)
        }
    }

    /// Checks that nobody gets a disk that one of them has.
    func expectRefusals(_ rival: LibvirtGuest, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try withScratch { scratch in
            let stations = [try stage.station(1, scratch), try stage.station(2, scratch)]
            for (station, disk) in zip(stations + stations, [disks[1], disks[0], disks[2], disks[3]]) {
                try station.refused(["--disk", disk], code: 75, naming: [disk], sourceLocation: sourceLocation)
            }
        }
        try expectLockError(rival, sourceLocation: sourceLocation)
    }

    func end() throws {
        for guest in ours { try guest.stop() }
        for guest in theirs { try guest.destroy() }
    }
}

/// Lease files that are removed while guests of libvirt and of Leasehold run and start.
@Suite(.serialized) struct LibvirtCleanupTests {
    /// One cleans up while guests run, the other when they have ended.
    @Test(arguments: [[LeaseCleanUp.libvirts, .libvirts], [.oursOnItsHost, .oursOnTheOtherHost]])
    func leasesInUseStayAndFreeOnesGoAndBothStartAfterwards(cleanUps: [LeaseCleanUp]) throws {
        let stage = try LibvirtStage.cleaned
        try withScratch { scratch in
            let inhabitants = try Inhabitants(stage, scratch)
            let station = inhabitants.ours[0].station
            let free = [try stage.hosts.disk(), try stage.hosts.disk()]
            try station.start(["--disk", free[0]], named: "gone").stop()
            let theirs = try free.map { try stage.define($0, in: scratch) }
            try expectStart(theirs[1], holding: free[1])
            try theirs[1].destroy()
            let rival = try stage.define(inhabitants.disks[0], in: scratch)
            let before = try inhabitants.wellbeing()

            try cleanUps[0].program(stage, scratch).run().expecting(.exit(0))
            #expect(try leaseFiles(stage) == names(inhabitants.disks))
            #expect(try inhabitants.wellbeing() == before)
            try inhabitants.expectNoOtherHolders()
            for (guest, disk) in zip(inhabitants.ours.prefix(2), inhabitants.disks) {
                #expect(try guest.station.record(of: disk)?["guest"]?.string == guest.name)
            }
            try inhabitants.expectRefusals(rival)

            // Each makes the file anew that the other had made.
            let ours = try station.start(["--disk", free[1]], named: "again")
            try expectLeases(of: ours, [try ExpectedLease(free[1], in: stage.hosts.leaseDirectory)])
            try expectStart(theirs[0], holding: free[0])
            try ours.stop()
            try theirs[0].destroy()
            try inhabitants.end()
            try cleanUps[1].program(stage, scratch).run().expecting(.exit(0))
            #expect(try leaseFiles(stage) == [])
            try expectStart(rival, holding: inhabitants.disks[0])
            try station.start(["--disk", inhabitants.disks[3]], named: "last").stop()
            try rival.destroy()
        }
    }

    /// Both clean-ups without a pause, while guests run, and come and go on a disk that two hosts fight for.
    @Test func bothCleanUpsAtOnceHarmNobody() throws {
        let stage = try LibvirtStage.cleaned
        try withScratch { scratch in
            let inhabitants = try Inhabitants(stage, scratch)
            let rival = try stage.define(inhabitants.disks[1], in: scratch)
            let disk = try stage.hosts.disk()
            let visitor = try stage.define(disk, in: scratch)
            let before = try inhabitants.wellbeing()
            let loops = try LeaseCleanUp.allCases.map { cleanUp in
                try scratch.start(endless(try cleanUp.program(stage, scratch), seconds: 8))
            }
            while loops.contains(where: \.isRunning) {
                try expectOneAtATime(inhabitants, disk: try stage.hosts.disk(), scratch)
                try inhabitants.expectNoOtherHolders()
                try inhabitants.expectRefusals(rival)
                // libvirt doesn't wait for a clean-up's hold, and fails now and then; what it has it keeps.
                if try visitor.start().succeeded {
                    #expect(try visitor.leases().filter { $0.remarks.isEmpty }.count == 1)
                    try visitor.destroy()
                }
            }
            for (loop, cleanUp) in zip(loops, LeaseCleanUp.allCases) {
                let outcome = try loop.finish()
                #expect(outcome.succeeded, "\(cleanUp): \(outcome)")
            }
            #expect(try inhabitants.wellbeing() == before)
            try inhabitants.expectRefusals(rival)
            try expectStart(visitor, holding: disk)
            try visitor.destroy()
            try inhabitants.end()
        }
    }
}

/// The names of the lease files that are there.
private func leaseFiles(_ stage: LibvirtStage) throws -> Set<String> {
    let all = try FileManager.default.contentsOfDirectory(atPath: stage.hosts.leaseDirectory)
    return Set(all.filter { !$0.hasPrefix(".") }).subtracting([TwoHosts.lockspace])
}

private func names(_ disks: [String]) throws -> Set<String> { Set(try disks.map(leaseName)) }

/// A program again and again, three times at least, until one fails or the time is over.
private func endless(_ program: Program, seconds: Int) -> Program {
    let script = """
        end=$(($(date +%s) + $0))
        rounds=0
        while [ $rounds -lt 3 ] || [ $(date +%s) -lt $end ]; do
            "$@" || exit
            rounds=$((rounds + 1))
        done
        """
    return program.prefixed(by: ["sh", "-c", script, "\(seconds)"])
}

/// Starts guests on both hosts that want one disk, and checks that each gets it, alone.
private func expectOneAtATime(
    _ inhabitants: Inhabitants, disk: String, _ scratch: Scratch, sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let presence = scratch.file("present-\(UUID().uuidString.prefix(8))")
    let command = ["sh", "-c", "mkdir \"$0\" || exit 9; sleep 0.05; rmdir \"$0\"", presence]
    let starts = try inhabitants.ours.prefix(2).flatMap { guest in
        try (0..<2).map { number in
            try scratch.start(
                try guest.station.supervised(
                    ["--name", "contender-\(number)", "--wait", "30", "--disk", disk], command))
        }
    }
    for start in starts {
        let outcome = try start.finish(timeout: 40)
        #expect(outcome.succeeded, "\(outcome)", sourceLocation: sourceLocation)
    }
}
