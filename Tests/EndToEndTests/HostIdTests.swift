import Foundation
import TestSupport
import Testing

/// One host id given to two hosts: both are named, and nothing is joined by the second.
@Suite struct HostIdTests {
    /// Two hosts with the host id 1, of which no one has joined anything.
    private struct Twins {
        let scratch: Scratch
        let leases: String
        let hosts: [Station]

        init(_ names: [String], _ scratch: Scratch) throws {
            self.scratch = scratch
            let leases = try scratch.directory("leases")
            self.leases = leases
            hosts = try names.enumerated().map { index, name in
                let daemon = try SanlockDaemon(hostName: name, runDirectory: scratch.file("s\(index + 1)"))
                scratch.atEnd { daemon.end() }
                return try Station(daemon, id: 1, leaseDirectory: leases, scratch)
            }
        }

        /// The hosts whose daemon is in a lockspace, or on its way into one.
        func joined() throws -> [Int] {
            try hosts.indices.filter { try !hosts[$0].daemon.clientStatus().lockspaces.isEmpty }
        }
    }

    private static let pairs = [["original", "copy"], ["same", "same"]]

    private func expectClash(_ line: String, _ names: [String], sourceLocation: SourceLocation = #_sourceLocation) {
        // With one name for both, it says so twice.
        for (name, words) in [(names[0], "another host (\(names[0]))"), (names[1], "this one (\(names[1]))")] {
            #expect(line.contains(words), "\(name): \(line)", sourceLocation: sourceLocation)
        }
        #expect(line.contains("host id 1") && line.contains("host_id"), "\(line)", sourceLocation: sourceLocation)
        #expect(line.contains("nothing was joined"), "\(line)", sourceLocation: sourceLocation)
    }

    @Test(arguments: pairs)
    func theSecondHostIsRefusedAndTheFirstHearsOfIt(names: [String]) throws {
        try withScratch { scratch in
            let twins = try Twins(names, scratch)
            let (first, second) = (twins.hosts[0], twins.hosts[1])
            let disks = try (0..<2).map { try scratch.disk("disk\($0)") }
            let guest = try first.start(["--disk", disks[0]], named: "first")
            try guest.waitUntilRecorded(disks[0])
            #expect(try first.leasehold("lockspace", "status", "--json").json()["clash"] == nil)

            let before = Date()
            // A disk that is in use, one that is free, and by hand.
            for disk in disks {
                let refusal = try second.refused(["--disk", disk], code: 69)
                expectClash(refusal.line, names)
                #expect(refusal.outcome.seconds < 8)
            }
            expectClash(try second.leasehold(refusing: "lockspace", "join", code: 69, within: 8), names)
            #expect(try twins.joined() == [0])
            #expect(try second.leasehold("lockspace", "status", "--json").json()["joined"] == false)

            let text = try first.leasehold("lockspace", "status").expectingPlainText().output
            let clash = try #require(try CommandFacts(text)["Clash"])
            #expect(clash.contains(names[1]), "\(clash)")
            let json = try first.leasehold("lockspace", "status", "--json").expecting(.exit(0)).json()
            #expect(json["joined"] == true && json["clash"]?["hostName"]?.string == names[1])
            let time = try Date(
                try #require(json["clash"]?["time"]?.string),
                strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            #expect((-0.1...60).contains(time.timeIntervalSince(before)))

            // The first has noticed nothing, and goes on.
            #expect(guest.running.isRunning && guest.running.errors.split(separator: "\n").count <= 1)
            #expect(try guest.leases().map(\.version) == [1])
            let next = try first.start(["--disk", disks[1]], named: "next")
            try next.stop()
            try guest.stop()
            #expect(try first.lease(of: disks[0]).json["state"] == "free")
        }
    }

    /// As where two hosts boot together on a directory that nobody has used yet.
    @Test(arguments: pairs)
    func ofTwoThatStartAtOnceOnAFreshDirectoryAtMostOneJoins(names: [String]) throws {
        for _ in 0..<max(1, Rounds.wanted / 3) {
            try withScratch { scratch in
                let twins = try Twins(names, scratch)
                let disk = try scratch.disk("disk")
                let starts = try twins.hosts.map {
                    try scratch.start(
                        try $0.supervised(["--name", "boot", "--disk", disk], Probe.command("sleep", "60")))
                }
                try expectAtMostOne(twins, starts, names)
            }
        }
    }

    /// sanlock itself tells two hosts from each other by name and by the second of their clocks, which is one here; and
    /// each reads before the other writes.
    @Test func twinsThatJoinInTheSameMomentAreNotBothLetIn() throws {
        try withScratch { scratch in
            let names = ["same", "same"]
            let twins = try Twins(names, scratch)
            try twins.hosts[0].leasehold("lockspace", "init").expecting(.exit(0))
            for host in twins.hosts { try host.daemon.slowDown(microseconds: 200_000, scratch) }
            let disk = try scratch.disk("disk")
            let starts = try twins.hosts.map {
                try scratch.start(try $0.supervised(["--name", "boot", "--disk", disk], Probe.command("sleep", "60")))
            }
            try expectAtMostOne(twins, starts, names)
        }
    }

    private func expectAtMostOne(
        _ twins: Twins, _ starts: [RunningProgram], _ names: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let seen = Joined(twins)
        // Until each has started its guest or given up.
        try eventually(within: 30, every: 20, "an answer of both: \(starts.map(\.errors))") {
            try seen.look()
            return try starts.enumerated().allSatisfy { index, start in
                guard start.isRunning else { return true }
                return try twins.hosts[index].leasehold("status", "boot", "--json").output.contains("\"running\"")
            }
        }
        let running = starts.indices.filter { starts[$0].isRunning }
        #expect(running.count <= 1, "both run a guest on one disk", sourceLocation: sourceLocation)
        #expect(seen.most <= 1, "two hosts in the lockspace", sourceLocation: sourceLocation)
        for (index, start) in starts.enumerated() where !start.isRunning {
            let line = expectOneLine(try start.finish(), code: 69, sourceLocation: sourceLocation)
            expectClash(line, [names[1 - index], names[index]], sourceLocation: sourceLocation)
        }
        if let winner = running.first {
            #expect(try twins.joined() == [winner], sourceLocation: sourceLocation)
            // Nothing has come between it and its lease.
            pause(milliseconds: 2500)
            #expect(starts[winner].isRunning, "\(starts[winner].errors)", sourceLocation: sourceLocation)
        }
    }

    /// How many hosts were seen in the lockspace, done with joining, at one time.
    private final class Joined {
        private let twins: Twins
        private(set) var most = 0

        init(_ twins: Twins) { self.twins = twins }

        func look() throws {
            let count = try twins.hosts.filter { host in
                try host.daemon.clientStatus().lockspaces.contains { $0.remarks.isEmpty }
            }.count
            most = max(most, count)
        }
    }

    // MARK: One's own id

    @Test func aHostWhoseDaemonWasKilledJoinsAgainUnderItsOwnId() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let stations = try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, scratch) }
                let disk = try hosts.disk()
                let guest = try stations[0].start(["--disk", disk], named: "before")
                hosts.first.daemon.kill()
                #expect(try guest.running.wait(timeout: 5) == .exit(74))
                try hosts.first.daemon.restart()

                // No other host renews the id, which takes some seconds to be sure of.
                let again = try stations[0].start(["--disk", disk], named: "again")
                #expect(secondsSince(again.running.startedNanoseconds) < 20)
                try again.waitUntilRecorded(disk)
                #expect(try again.leases().map(\.version) == [2])
                try stations[1].refused(["--disk", disk], code: 75, naming: ["guest again on host host1 (host id 1)"])
                for station in stations {
                    let text = try station.leasehold("lockspace", "status").expectingPlainText().output
                    let parts = text.components(separatedBy: "\n\n")
                    #expect(try CommandFacts(text)["Clash"] == nil, "\(text)")
                    let own = station.daemon.hostName == "host1"
                    let row = try CommandTable(try #require(parts.last)).row("NAME", "host1")
                    #expect(row["HOST ID"] == (own ? "1 *" : "1") && row["JOINED"] == "2 times", "\(row)")
                }
                try again.stop()
            }
        }
    }

    @Test func severalStartsAfterADaemonWasKilledJoinOnce() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let station = try Station(on: hosts.first, of: hosts, scratch)
                try hosts.first.daemon.restart()
                let disks = try (0..<4).map { _ in try hosts.disk() }
                let starts = try disks.enumerated().map { index, disk in
                    try scratch.start(
                        try station.supervised(["--name", "s\(index)", "--disk", disk], Probe.command("sleep", "0.1")))
                }
                // The first to join renews the id that the others are looking at.
                for start in starts { #expect(try start.finish().status == .exit(0), "\(start.errors)") }
                #expect(try station.leasehold("lockspace", "status", "--json").json()["clash"] == nil)
            }
        }
    }
}
