import Foundation
import TestSupport
import Testing

/// A guest that writes all the time and is migrated between the two hosts of a pair, and all that watches it.
///
/// What shows that two of its sides ran at once: each emulator's own count of writes and its monitor's word, looked at all the
/// time (`RunnerWatch`); the guest itself, which says so when it finds a number on its disk that it hasn't written; and the
/// numbers on the disk, which must not go back.
final class MigrationStage {
    static let guestName = "mover"

    let hosts: TwoHosts
    let scratch: Scratch
    let disk: String
    let uuid = UUID().uuidString.lowercased()
    let writer: WriterGuest
    private let observer: DiskObserver
    private let stations: [Station]
    private var sides: [MigrationSide] = []
    private var others: [(writer: WriterGuest, side: MigrationSide)] = []
    private var count = 0

    private init(_ hosts: TwoHosts, _ scratch: Scratch) throws {
        self.hosts = hosts
        self.scratch = scratch
        disk = try hosts.disk()
        writer = try WriterGuest(identity: 1, disk: disk, hertz: 50, in: scratch)
        observer = try DiskObserver(disk)
        stations = try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, scratch) }
    }

    /// Runs `body` with a stage on these hosts, and checks afterwards that never two sides ran, and that nothing is left.
    static func with(
        _ hosts: TwoHosts? = nil, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: (MigrationStage) throws -> Void
    ) throws {
        let hosts = try hosts ?? TwoHosts.shared
        try withScratch { scratch in
            let stage = try MigrationStage(hosts, scratch)
            defer {
                stage.observer.end()
                for side in stage.all { side.watch.end() }
            }
            try body(stage)
            stage.expectOneRunner(sourceLocation: sourceLocation)
            try stage.expectNothingLeft(sourceLocation: sourceLocation)
        }
    }

    private var all: [MigrationSide] { sides + others.map(\.side) }

    // MARK: Guests

    /// Starts the guest on a host.
    ///
    /// - Parameters:
    ///   - incoming: as the target of a migration; returned once it takes one in.
    ///   - more: further arguments of the emulator's.
    func start(on place: Int, incoming: Bool = false, more: [String] = []) throws -> MigrationSide {
        let side = try start(
            writer, on: place, named: MigrationStage.guestName, incoming: incoming, more: ["-uuid", uuid] + more)
        sides.append(side)
        if incoming { try side.wait(for: "incoming") }
        return side
    }

    /// Starts another guest on the same disk, and waits until it has written.
    func startOther(on place: Int) throws -> MigrationSide {
        let other = try WriterGuest(identity: 2, disk: disk, hertz: 50, in: scratch)
        let before = observer.lastWrite(of: 2)?.number
        let side = try start(other, on: place, named: "other", incoming: false, more: [])
        others.append((other, side))
        try eventually(within: 20, every: 10, "the other guest writing: \(side.supervisor.errors)") {
            observer.lastWrite(of: 2)?.number != before
        }
        return side
    }

    private func start(
        _ writer: WriterGuest, on place: Int, named name: String, incoming: Bool, more: [String]
    ) throws -> MigrationSide {
        count += 1
        let sockets = ["q", "t", "w"].map { scratch.file("\($0)\(count)") }
        let uri = "unix:\(scratch.file("m\(count)"))"
        let report = scratch.file("report-\(count)")
        let monitors = sockets.dropFirst().flatMap { ["-qmp", "unix:\($0),server=on,wait=off"] }
        let command = writer.command(
            qmpSocket: sockets[0], report: report, more: monitors + (incoming ? ["-incoming", uri] : []) + more)
        let options = ["--qmp", sockets[0], "--log-level", "info", "--log-format", "json"]
        let guest = try stations[place].start(options + (incoming ? ["--incoming"] : []), command, named: name)
        let emulator = try eventuallyFound(within: 5, "the emulator of \(name)") {
            let path = "\(stations[place].runDirectory)/guests/\(name)/child.pid"
            let text = String(decoding: FileManager.default.contents(atPath: path)?.dropLast() ?? Data(), as: UTF8.self)
            return pid_t(text).flatMap { ProcessIdentity(living: $0) }
        }
        return MigrationSide(
            guest: guest, place: place, emulator: emulator, monitor: try QMP(sockets[1]), uri: uri, report: report,
            watch: try RunnerWatch("\(name)-\(count) on host \(place + 1)", emulator: emulator, socket: sockets[2]))
    }

    /// `leasehold migrate run`, on the source's host.
    func run(_ source: MigrationSide, to target: MigrationSide, _ more: String...) throws -> RunningProgram {
        try scratch.start(
            try source.cli(["migrate", "run", source.name, "--to", target.control] + more))
    }

    // MARK: What must hold

    /// Waits until the guest has written something that it hadn't when this was called.
    func expectWriting(sourceLocation: SourceLocation = #_sourceLocation) {
        let before = observer.lastWrite(of: 1)?.number
        do {
            try eventually(within: 20, every: 10) { observer.lastWrite(of: 1)?.number != before }
        } catch {
            let errors = sides.last?.supervisor.errors ?? ""
            Issue.record("the guest doesn't write (\(before ?? 0)): \(errors)", sourceLocation: sourceLocation)
        }
    }

    /// The guest runs nowhere, for so long.
    func expectStandstill(seconds: Double = 1, sourceLocation: SourceLocation = #_sourceLocation) {
        let before = observer.lastWrite(of: 1)?.number
        pause(milliseconds: seconds * 1000)
        #expect(observer.lastWrite(of: 1)?.number == before, "the guest writes", sourceLocation: sourceLocation)
    }

    /// Never two ran at once, by any sign.
    func expectOneRunner(sourceLocation: SourceLocation = #_sourceLocation) {
        let watches = all.map(\.watch)
        for (index, one) in watches.enumerated() {
            for other in watches[..<index] {
                if let overlap = RunnerWatch.overlap(one, other) {
                    Issue.record("\(overlap)", sourceLocation: sourceLocation)
                }
            }
        }
        for side in sides {
            let told = writer.sightings(in: side.report).filter { $0.ownNumber > 0 }
            #expect(told == [], "the guest met somebody on its disk", sourceLocation: sourceLocation)
        }
        for (writer, side) in others {
            let told = writer.sightings(in: side.report).filter { $0.ownNumber > 0 }
            #expect(told == [], "the other guest met somebody on its disk", sourceLocation: sourceLocation)
        }
        #expect(observer.falls == 0, "numbers on the disk went back", sourceLocation: sourceLocation)
    }

    /// Ends whatever still lives, and looks at what that leaves.
    func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) throws {
        for side in all { side.watch.end() }
        for side in all where side.supervisor.isRunning {
            _ = try side.leasehold("kill", side.name)
            _ = try side.supervisor.wait(timeout: 10)
        }
        for station in stations {
            _ = try station.leasehold("list").expecting(.exit(0))
            let left = station.runFiles()
            #expect(left.filter { $0.hasPrefix("guests/") }.isEmpty, "\(left)", sourceLocation: sourceLocation)
        }
        let emulators = all.map(\.emulator)
        try eventually(within: 3, every: 20, "no process being left") { emulators.allSatisfy { !$0.exists } }
        try eventually(within: 5, every: 20, "the lease being free") { try hosts.holders(of: disk).isEmpty }
        // A killed supervisor leaves its record, and a target that never ran its word on that: the next holder takes both away.
        if let station = stations.first, stations.allSatisfy(\.daemon.isRunning) {
            let next = try station.supervised(["--disk", disk], try Probe.command("exit", "0")).run()
            #expect(next.succeeded, "\(next)", sourceLocation: sourceLocation)
            let record = try station.record(of: disk)
            #expect(record == nil, "\(record ?? .null)", sourceLocation: sourceLocation)
        }
        let half = all.flatMap { $0.station.unfinishedFiles(of: $0.supervisor.pid) }
        #expect(half == [], sourceLocation: sourceLocation)
    }
}
