import Foundation
import TestSupport
import Testing

/// `lockspace init`, `join`, `leave` and `status`.
@Suite struct LockspaceCommandTests {
    /// A host on which nothing was done, and the same directory for more of them.
    private struct Field {
        let scratch: Scratch
        let leases: String

        init(_ scratch: Scratch) throws {
            self.scratch = scratch
            leases = try scratch.directory("leases")
        }

        var lockspace: String { "\(leases)/\(TwoHosts.lockspace)" }

        func host(_ id: Int, settings: [String: String?] = [:]) throws -> Station {
            let daemon = try SanlockDaemon(hostName: "host\(id)", runDirectory: scratch.file("s\(id)"))
            scratch.atEnd { daemon.end() }
            return try Station(daemon, id: id, leaseDirectory: leases, scratch, settings: settings)
        }
    }

    private func status(_ station: Station) throws -> (facts: CommandFacts, hosts: CommandTable, json: JSONValue) {
        let text = try station.leasehold("lockspace", "status").expectingPlainText().output
        let parts = text.components(separatedBy: "\n\n")
        guard parts.count == 2 else { throw TestFailure("not facts and a table: \(text)") }
        let json = try station.leasehold("lockspace", "status", "--json").expecting(.exit(0)).json()
        return (try CommandFacts(text), try CommandTable(parts[1]), json)
    }

    private func output(_ station: Station, _ verb: String) throws -> String {
        let outcome = try station.leasehold("lockspace", verb).expecting(.exit(0))
        #expect(outcome.errors == "")
        return outcome.output
    }

    @Test func aHostsWayInAndOut() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let host = try field.host(12)
            let name = TwoHosts.lockspace
            let help = try host.leasehold("lockspace", "--help").expectingPlainText().output
            for verb in ["init", "join", "leave", "status"] {
                #expect(help.contains("\n  \(verb) "), "\(help)")
                #expect(try host.leasehold("lockspace", verb, "--help").expectingPlainText().output.contains("USAGE"))
            }
            try host.leasehold(
                refusing: "lockspace", "status", code: 69, naming: [field.lockspace, "missing", "lockspace init"])

            #expect(try output(host, "init") == "lockspace \(name) in \(field.leases) made\n")
            let made = FileSight(field.lockspace)
            #expect(made?.permissions == 0o660 && made?.bytes == 1 << 20)
            try host.daemon.sanlock("direct", "read_leader", "-s", "\(name):12:\(field.lockspace):0").expecting(
                .exit(0))
            #expect(try output(host, "init") == "lockspace \(name) in \(field.leases) is there already\n")
            #expect(FileSight(field.lockspace) == made)

            var (facts, hosts, json) = try status(host)
            let start = ["Lockspace": name, "File": field.lockspace, "This host": "host id 12"]
            #expect(facts.facts == start.merging(["Joined": "no"]) { $1 } && hosts.rows.isEmpty)
            #expect(
                json == [
                    "lockspace": .string(name), "path": .string(field.lockspace), "hostId": 12, "joined": false,
                    "hosts": [],
                ])

            #expect(try output(host, "leave") == "had not joined lockspace \(name)\n")
            #expect(try output(host, "join") == "joined lockspace \(name) as host id 12\n")
            // At once, before the daemon has looked at the others.
            (facts, hosts, json) = try status(host)
            #expect(facts.facts == start.merging(["Joined": "yes"]) { $1 })
            let row = try hosts.row("HOST ID", "12 *")
            #expect(row["NAME"] == "host12" && row["STATE"] == "live" && row["JOINED"] == "once")
            #expect(row["LAST RENEWAL"]?.wholeMatch(of: /[0-4] s ago/) != nil, "\(row)")
            #expect(json["joined"] == true && json["hosts"]?.array?.count == 1)
            let own = try #require(json["hosts"]?[0])
            #expect(own["hostId"] == 12 && own["hostName"] == "host12" && own["state"] == "live" && own["own"] == true)
            #expect(own["generation"] == 1 && own["renewedAtMost"]?.number.map { (0..<5).contains($0) } == true)
            #expect(try output(host, "join") == "had joined lockspace \(name) as host id 12\n")

            #expect(try output(host, "leave") == "left lockspace \(name)\n")
            #expect(try host.daemon.clientStatus().lockspaces == [])
            #expect(try output(host, "leave") == "had not joined lockspace \(name)\n")
            (_, hosts, json) = try status(host)
            #expect(try hosts.row("HOST ID", "12")["STATE"] == "left" && json["hosts"]?[0]?["renewedAtMost"] == nil)
            #expect(try output(host, "join") == "joined lockspace \(name) as host id 12\n")
            #expect(try status(host).hosts.row("NAME", "host12")["JOINED"] == "2 times")
        }
    }

    @Test func joiningShowsItsProgressOnATerminalOnly() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let host = try field.host(1)
            let join = Program(try Products.cli(), ["lockspace", "join"], environment: host.environment)
            let terminal = try Terminal(join)
            defer { terminal.end() }
            try terminal.expect("leasehold: joining lockspace \(TwoHosts.lockspace) as host id 1: at most ")
            #expect(try terminal.program.wait(timeout: 20) == .exit(0))
            try terminal.expect("\r\u{1b}[Kjoined lockspace \(TwoHosts.lockspace) as host id 1\r\n")
            #expect(terminal.transcript.components(separatedBy: "\r\n").count == 2, "\(terminal.transcript)")
            // Not on a terminal: the line alone.
            try host.leasehold("lockspace", "leave").expecting(.exit(0))
            #expect(try output(host, "join") == "joined lockspace \(TwoHosts.lockspace) as host id 1\n")
        }
    }

    /// An id that another host crashed with takes sanlock over a minute.
    @Test func joiningWithAnIdThatWasNotGivenBackSaysHowLongAndCanBeInterrupted() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let first = try field.host(1)
            try first.leasehold("lockspace", "join").expecting(.exit(0))
            first.daemon.kill()
            let daemon = try SanlockDaemon(hostName: "successor", runDirectory: scratch.file("successor"))
            scratch.atEnd { daemon.end() }
            let second = try Station(daemon, id: 1, leaseDirectory: field.leases, scratch)
            let starts = [
                Program(try Products.cli(), ["lockspace", "join"], environment: second.environment),
                try second.supervised(["--disk", "/no/disk"], Probe.command("sleep", "60")),
            ]
            for start in starts {
                let terminal = try Terminal(start)
                defer { terminal.end() }
                try terminal.expect("whether another host uses host id 1")
                try terminal.expect("joining lockspace", timeout: 20)
                try terminal.expect("at most ")
                let left = try #require(Int(try terminal.expect(" s")))
                #expect((60...80).contains(left))
                let sent = monotonicNanoseconds()
                try terminal.send("\u{3}")
                #expect(try terminal.program.wait(timeout: 10) == .signal(SIGINT))
                #expect(secondsSince(sent) < 4)
                // The daemon goes on with what it was asked for; another one is fresh.
                try daemon.restart()
            }
        }
    }

    @Test func leavingIsRefusedWhileALeaseIsHeld() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let station = try Station(on: hosts.first, of: hosts, scratch)
                let disks = try (0..<2).map { _ in try hosts.disk() }
                let guest = try station.start(["--disk", disks[0]], named: "staying")
                try station.leasehold(refusing: "lockspace", "leave", code: 75, naming: ["guests", TwoHosts.lockspace])
                #expect(guest.running.isRunning)
                #expect(try guest.leases().count == 1)
                try guest.stop()
                try hosts.formatLease(disks[1])
                let stranger = try hosts.first.hold(try hosts.leaseText(disks[1], shared: true))
                try station.leasehold(refusing: "lockspace", "leave", code: 75)
                #expect(stranger.isRunning)
                stranger.end()
                try eventually(within: 5, every: 20, "nothing held") { try hosts.holders(of: disks[1]).isEmpty }
                #expect(try output(station, "leave") == "left lockspace \(TwoHosts.lockspace)\n")
                // A start joins again by itself.
                try station.start(["--disk", disks[0]], named: "back").stop()
                #expect(try status(station).json["joined"] == true)
            }
        }
    }

    @Test func theStatesOfTheOtherHostsAreTold() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let stations = try [1, 2, 3, 4].map { try field.host($0) }
            let joins = try stations[0..<3].map {
                try scratch.start(Program(try Products.cli(), ["lockspace", "join"], environment: $0.environment))
            }
            for join in joins { #expect(try join.finish().status == .exit(0), "\(join.errors)") }
            // Who isn't in it can only read.
            let (facts, hosts, json) = try status(stations[3])
            #expect(facts["Joined"] == "no" && hosts.rows.map { $0["STATE"] } == ["unknown", "unknown", "unknown"])
            #expect(hosts.rows.map { $0["NAME"] } == ["host1", "host2", "host3"])
            #expect(json["hosts"]?.array?.allSatisfy { $0["state"] == "unknown" && $0["own"] == false } == true)

            // Each is unknown until it was seen to renew.
            try eventually(within: 20, every: 200, "all hosts living") {
                let states = try status(stations[0]).hosts.rows.map { $0["STATE"] ?? "" }
                #expect(states.allSatisfy { ["live", "unknown"].contains($0) } && states.first == "live")
                return states == ["live", "live", "live"]
            }
            let live = try status(stations[0])
            #expect(try live.hosts.row("NAME", "host2")["LAST RENEWAL"] == "under 8 s ago")
            #expect(live.json["hosts"]?[1]?["renewedAtMost"] == 8)

            try stations[2].leasehold("lockspace", "leave").expecting(.exit(0))
            stations[1].daemon.kill()
            try eventually(within: 20, every: 250, "host2 failing and host3 gone") {
                let table = try status(stations[0]).hosts
                let second = try table.row("NAME", "host2")["STATE"]
                #expect(second == "live" || second == "failing")
                #expect(try table.row("NAME", "host3")["STATE"] == "left")
                return second == "failing"
            }
            let row = try status(stations[0]).hosts.row("NAME", "host2")
            #expect(row["LAST RENEWAL"] == "8 to 68 s ago", "\(row)")
        }
    }

    // MARK: Wrong

    @Test func whatIsWrongIsOneLineAndACode() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let host = try field.host(1)
            let nameless = try Station(
                host.daemon, id: 1, leaseDirectory: field.leases, scratch, settings: ["host_id": nil])
            for verb in ["join", "leave"] {
                try nameless.leasehold(refusing: "lockspace", verb, code: 78, naming: ["host_id"])
            }
            let nowhere = try Station(host.daemon, id: 1, leaseDirectory: scratch.file("no"), scratch)
            for verb in ["init", "join", "status"] {
                try nowhere.leasehold(refusing: "lockspace", verb, code: 73, naming: [scratch.file("no")])
            }
            let alone = ["SANLOCK_RUN_DIR": scratch.file("none")]
            for isMade in [false, true] {
                if isMade { try host.leasehold("lockspace", "init").expecting(.exit(0)) }
                for verb in ["init", "join", "leave"] where verb != "init" || !isMade {
                    let line = try host.leasehold(refusing: "lockspace", verb, code: 69, environment: alone)
                    #expect(line.contains("sanlock daemon") && line.contains("SANLOCK_RUN_DIR"), "\(verb): \(line)")
                }
                #expect(LeaseDirectory.asideFiles(field.leases) == [])
            }
            #expect(try status(nameless).facts["This host"] == "no host_id is set")
            for arguments in [["nonsense"], ["join", "more"], ["status", "--dry-run"]] {
                expectOneLine(try host.leasehold(["lockspace"] + arguments), code: 64)
            }
            try host.leasehold(refusing: "lockspace", "status", "--config", scratch.file("none"), code: 78)
            #expect(try host.daemon.clientStatus().lockspaces == [])
        }
    }

    @Test func aLockspaceThatIsNoneIsRefusedByAllVerbs() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let host = try field.host(1)
            let kinds: [(String, (String) throws -> Void)] = [
                ("garbage", { try Data(repeating: 0x61, count: 1 << 20).write(to: URL(fileURLWithPath: $0)) }),
                (
                    "directory",
                    { try FileManager.default.createDirectory(atPath: $0, withIntermediateDirectories: false) }
                ),
                ("fifo", { #expect(mkfifo($0, 0o600) == 0) }),
                (
                    "device",
                    { try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: "/dev/zero") }
                ),
            ]
            for (kind, make) in kinds {
                try make(field.lockspace)
                let before = FileSight(field.lockspace)
                for verb in ["status", "init", "join"] {
                    let outcome = try host.leasehold(["lockspace", verb])
                    expectOneLine(outcome, code: 69, naming: [field.lockspace])
                    #expect(outcome.seconds < 5, "\(kind) \(verb)")
                }
                try host.refused(["--disk", "/no/disk"], code: 69, naming: [field.lockspace])
                #expect(FileSight(field.lockspace) == before, "\(kind)")
                try FileManager.default.removeItem(atPath: field.lockspace)
            }
            #expect(LeaseDirectory.asideFiles(field.leases) == [])
            #expect(host.daemon.isRunning)
        }
    }

    @Test func aDaemonThatJoinedAsAnotherHostIsSaid() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let other = try Station(on: hosts.first, of: hosts, scratch, settings: ["host_id": "9"])
                try other.leasehold(
                    refusing: "lockspace", "join", code: 69, naming: [TwoHosts.lockspace, "host id 9", "leave"])
                #expect(try status(other).json["joined"] == false)
                #expect(try hosts.first.daemon.clientStatus().lockspaces.map(\.hostID) == [1])
            }
        }
    }

    // MARK: A lockspace that is lost

    @Test func aLostLockspaceIsNotMadeWhileALeaseIsHeld() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let stations = try [1, 2].map { try field.host($0) }
            let disks = try (0..<2).map { try scratch.disk("disk\($0)") }
            let guest = try stations[0].start(["--disk", disks[0], "--shared-disk", disks[1]], named: "holder")
            for loss in [{ unlink(field.lockspace) }, { truncate(field.lockspace, 0) }] where loss() == 0 {
                let words = [field.lockspace, "host id 1", "lockspace init --i-know-nobody-uses-it"]
                for verb in ["init", "join"] {
                    try stations[1].leasehold(refusing: "lockspace", verb, code: 69, naming: words)
                }
                for disk in disks { try stations[1].refused(["--disk", disk], code: 69, naming: words) }
                // For the next loss: something to make empty.
                try Data().write(to: URL(fileURLWithPath: field.lockspace))
            }
            #expect(guest.running.isRunning)

            // Given back by nobody, as the host crashed.
            stations[0].daemon.kill()
            _ = try guest.running.wait(timeout: 5)
            try stations[1].refused(["--disk", disks[0]], code: 69, naming: [field.lockspace])
            try LeaseDirectory.waitUntilOld([field.lockspace])
            let outcome = try stations[1].leasehold("lockspace", "init", "--i-know-nobody-uses-it").expecting(.exit(0))
            #expect(
                outcome.output == "lockspace \(TwoHosts.lockspace) in \(field.leases) made\n" && outcome.errors == "")
            // Through the new one nobody holds them.
            let next = try stations[1].start(["--wait", "20s"] + disks.flatMap { ["--disk", $0] }, named: "next")
            #expect(try next.leases().count == 2)
            try next.stop()
        }
    }

    @Test func aLostLockspaceIsMadeAgainWhereNothingIsHeld() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let host = try field.host(1)
            let disk = try scratch.disk("disk")
            try host.start(["--disk", disk], named: "first").stop()
            try host.leasehold("lockspace", "leave").expecting(.exit(0))
            try FileManager.default.removeItem(atPath: field.lockspace)
            #expect(try output(host, "init").contains("made"))
            try host.start(["--disk", disk], named: "second").stop()
        }
    }

    @Test func newLeasesHaveRoomForTheHighestHostThatWasSeen() throws {
        try withScratch { scratch in
            let field = try Field(scratch)
            let low = try field.host(1)
            let high = try field.host(900)
            let disks = try (0..<2).map { try scratch.disk("disk\($0)") }
            try low.start(["--disk", disks[0]], named: "before").stop()
            #expect(try low.lease(of: disks[0]).json["hosts"] == 250)
            try high.leasehold("lockspace", "join").expecting(.exit(0))
            try high.refused(["--disk", disks[0]], code: 78, naming: ["up to 250", "host id 900"])
            try low.start(["--disk", disks[1]], named: "after").stop()
            #expect(try low.lease(of: disks[1]).facts["Room for"] == "host ids up to 900")
            try high.start(["--disk", disks[1]], named: "high").stop()
            // Also once it has left.
            try high.leasehold("lockspace", "leave").expecting(.exit(0))
            #expect(try low.leasehold("lease", "grow", disks[0]).expecting(.exit(0)).output.contains("up to 900"))
            try high.start(["--disk", disks[0]], named: "high").stop()
        }
    }
}
