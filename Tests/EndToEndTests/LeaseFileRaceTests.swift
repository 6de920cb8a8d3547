import Foundation
import TestSupport
import Testing

/// Eight starts over two hosts that wait at a gate, so that they begin in one instant.
private struct Race {
    struct Start {
        let disks: [String]
        let station: Station
        let running: RunningProgram
        let name: String

        /// Not the keeper alone.
        var hasItsGuest: Bool { access("\(station.runDirectory)/guests/\(name)/child.pid", F_OK) == 0 }
    }

    let hosts: TwoHosts
    let contended: [String]
    let starts: [Start]

    /// - Parameters:
    ///   - contended: each disk that several starts want; a start wants one of them.
    ///   - moreDisks: whether each start wants a disk of its own as well.
    init(
        _ hosts: TwoHosts, _ stations: [Station], _ scratch: Scratch, contended: [String], moreDisks: Bool = false
    ) throws {
        let mark = UUID().uuidString.prefix(6)
        self.hosts = hosts
        self.contended = contended
        starts = try (0..<8).map { index in
            let station = stations[index % stations.count]
            var disks = [contended[index / stations.count % contended.count]]
            if moreDisks { disks.insert(try hosts.disk(), at: index % 3 == 0 ? 0 : 1) }
            let name = "g\(index)-\(mark)"
            let program = try station.supervised(
                ["--name", name] + disks.flatMap { ["--disk", $0] }, Probe.command("sleep", "120"))
            var gated = Program(
                "/bin/sh", ["-c", "read -r _; exec \"$@\" </dev/null", "-", program.path] + program.arguments,
                environment: program.environment, directory: program.directory)
            gated.input = .pipe
            return Start(disks: disks, station: station, running: try scratch.start(gated), name: name)
        }
    }

    func open() {
        for start in starts { start.running.closeInput() }
    }

    /// Waits until each disk has one winner that runs with its lease, and everybody else was refused as busy.
    func judge(within seconds: Double, sourceLocation: SourceLocation = #_sourceLocation) throws {
        func living(_ disk: String) -> [Start] { starts.filter { $0.disks.contains(disk) && $0.running.isRunning } }
        try eventually(
            within: seconds, every: 10,
            "one guest a disk: \(starts.map { "\($0.running): \($0.running.errors)" }.joined(separator: "\n"))"
        ) {
            contended.allSatisfy { living($0).count <= 1 }
        }
        for start in starts where !start.running.isRunning {
            expectOneLine(
                try start.running.finish(), code: 75, naming: [start.disks.first { contended.contains($0) } ?? ""],
                sourceLocation: sourceLocation)
        }
        for disk in contended {
            let winners = living(disk)
            #expect(winners.count == 1, "nobody won \(disk)", sourceLocation: sourceLocation)
            guard let winner = winners.first else { continue }
            try eventually(within: seconds, every: 10, "the winner's guest: \(winner.running.errors)") {
                guard winner.running.isRunning else {
                    throw TestFailure("the winner ended: \(try winner.running.finish())")
                }
                return try winner.station.daemon.clientStatus().resources(of: winner.running.pid).count
                    == winner.disks.count && winner.hasItsGuest
            }
            #expect(
                try hosts.holders(of: disk).map(\.resource.pid) == [winner.running.pid],
                sourceLocation: sourceLocation)
        }
    }

    /// Ends the winners; they had nothing to complain of.
    func end(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let winners = starts.filter(\.running.isRunning)
        for winner in winners { winner.running.signal(SIGTERM) }
        for winner in winners {
            let outcome = try winner.running.finish()
            #expect(outcome.status == .signal(SIGTERM), "\(outcome)", sourceLocation: sourceLocation)
            let others = outcome.errors.split(separator: "\n").filter { !$0.contains("watchdog") }
            #expect(others == [], sourceLocation: sourceLocation)
        }
        #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory) == [], sourceLocation: sourceLocation)
    }
}

/// Starts at once where lease files have to be made or mended: one winner a disk, and nobody fails otherwise.
@Suite struct LeaseFileRaceTests {
    private func stations(_ hosts: TwoHosts, _ scratch: Scratch) throws -> [Station] {
        try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, scratch) }
    }

    @Test func oneStartWinsEachDiskWhereLeaseFilesAreMissing() throws {
        let hosts = try TwoHosts.withNothingSetUp()
        defer { hosts.end() }
        let stations = try stations(hosts, hosts.scratch)
        for round in 0...Rounds.wanted {
            // The first round has no lockspace either; one in four is about starts that need two files each.
            let disks = try (0..<[1, 2, 4, 1][round % 4]).map { _ in try hosts.disk() }
            let race = try Race(hosts, stations, hosts.scratch, contended: disks, moreDisks: round % 4 == 3)
            race.open()
            try race.judge(within: round == 0 ? 30 : 15)
            try race.end()
        }
    }

    @Test func oneStartWinsEachDiskWhereNothingIsSetUp() throws {
        for round in Rounds.portions(Array(0..<Rounds.wanted), of: 4) {
            let pairs = try round.map { _ in try TwoHosts.withNothingSetUp() }
            defer { for hosts in pairs { hosts.end() } }
            let races = try zip(round, pairs).map { number, hosts in
                let disks = try (0..<[1, 2, 4, 1][number % 4]).map { _ in try hosts.disk() }
                return try Race(
                    hosts, try stations(hosts, hosts.scratch), hosts.scratch, contended: disks,
                    moreDisks: number % 4 == 3)
            }
            for race in races { race.open() }
            for race in races { try race.judge(within: 40) }
            for race in races { try race.end() }
            for race in races {
                let expected = Set(try race.starts.flatMap(\.disks).map { try leaseName($0) } + [TwoHosts.lockspace])
                #expect(Set(try LeaseDirectory.visibleFiles(race.hosts.leaseDirectory)).isSubset(of: expected))
            }
        }
    }

    @Test func oneStartWinsADiskWhoseLeaseFileNobodyFinished() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let stations = try stations(hosts, scratch)
            let kinds = UnfinishedFile.allCases
            let files = try (0..<max(Rounds.wanted, kinds.count)).map { round in
                let disk = try hosts.disk()
                let kind = kinds[round % kinds.count]
                try kind.make(try hosts.leasePath(disk), try hosts.leaseText(disk), hosts.first.daemon)
                return (kind: kind, disk: disk)
            }
            try LeaseDirectory.waitUntilOld(try files.map { try hosts.leasePath($0.disk) })
            for (kind, disk) in files {
                let path = try hosts.leasePath(disk)
                let before = FileSight(path)
                let race = try Race(hosts, stations, scratch, contended: [disk])
                race.open()
                try race.judge(within: 15)
                #expect(FileSight(path)?.number != before?.number, "\(kind): mended in place")
                #expect(FileSight(path)?.bytes == 1 << 20, "\(kind)")
                try race.end()
            }
        }
    }

    @Test func oneStartWinsADiskWhoseUnfinishedFileIsNew() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let stations = try stations(hosts, scratch)
            for _ in 0..<max(Rounds.wanted / 40, 1) {
                // Each start waits for two seconds: side by side.
                let races = try UnfinishedFile.allCases.map { kind in
                    (kind: kind, race: try Race(hosts, stations, scratch, contended: [try hosts.disk()]))
                }
                let before = try races.map { kind, race in
                    let path = try hosts.leasePath(race.contended[0])
                    try kind.make(path, try hosts.leaseText(race.contended[0]), hosts.first.daemon)
                    return (path: path, number: FileSight(path)?.number)
                }
                for (_, race) in races { race.open() }
                for (_, race) in races { try race.judge(within: 20) }
                for (path, number) in before { #expect(FileSight(path)?.number != number, "mended in place") }
                for (_, race) in races { try race.end() }
            }
        }
    }

    @Test func aFileThatAnotherToolIsJustMakingIsWaitedForAndKept() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let stations = try stations(hosts, scratch)
            for kind in UnfinishedFile.allCases where kind != .cleared {
                // As libvirt does it: under its name at once, formatted afterwards.
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                let race = try Race(hosts, stations, scratch, contended: [disk])
                try kind.make(path, try hosts.leaseText(disk), hosts.first.daemon)
                let before = try #require(FileSight(path))
                race.open()
                pause(milliseconds: 300)
                #expect(FileSight(path)?.number == before.number, "\(kind): replaced while it was made")
                if before.bytes < 1 << 20 { #expect(truncate(path, 1 << 20) == 0) }
                try hosts.first.daemon.sanlock("direct", "init", "-r", try hosts.leaseText(disk)).expecting(.exit(0))
                try race.judge(within: 15)
                #expect(FileSight(path)?.number == before.number, "\(kind): replaced")
                try race.end()
            }
        }
    }
}

/// Lease files as a crash leaves them.
enum UnfinishedFile: CaseIterable {
    case empty, short, zero, cleared

    /// Makes one.
    func make(_ path: String, _ lease: String, _ daemon: SanlockDaemon) throws {
        let bytes: Int
        switch self {
        case .empty: bytes = 0
        case .short: bytes = 4096
        case .zero, .cleared: bytes = 1 << 20
        }
        guard FileManager.default.createFile(atPath: path, contents: Data(count: bytes)) else {
            throw TestFailure("can't make \(path)")
        }
        if self == .cleared { try daemon.sanlock("direct", "init", "-r", lease, "-z", "1").expecting(.exit(0)) }
    }
}
