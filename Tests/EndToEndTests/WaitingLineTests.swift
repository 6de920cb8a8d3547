import Foundation
import TestSupport
import Testing

/// A start on a terminal, and what it draws there while it waits.
private struct WaitStage {
    static let erasing = "\r\u{1b}[K"
    let terminal: Terminal
    let disk: String

    /// Starts a guest that says so when it runs. `end` belongs into a `defer` behind it.
    init(_ station: Station, wait: String, disk: String, columns: Int? = nil) throws {
        self.disk = disk
        let name = "waiter-\(UUID().uuidString.prefix(4))"
        let options = ["--name", name, "--log-level", "error", "--wait", wait, "--disk", disk]
        terminal = try Terminal(try station.supervised(options, ["sh", "-c", "echo gu''est runs; exec sleep 60"]))
        if let columns {
            try Program.run("stty", ["-F", terminal.name, "cols", "\(columns)"]).expecting(.exit(0))
        }
    }

    func end() { terminal.end() }

    /// Each text that the line had, without what follows it.
    var frames: [String] {
        terminal.transcript.components(separatedBy: Self.erasing).dropFirst()
            .map { String($0.prefix { !$0.isNewline }) }.filter {
                $0.hasPrefix("leasehold: waiter-") && $0.contains(" waits")
            }
    }

    /// Waits for a frame with these words.
    @discardableResult
    func expect(_ words: String..., within seconds: Double = 10) throws -> String {
        try eventuallyFound(within: seconds, every: 20, "a line with \(words); so far: \(terminal.transcript)") {
            if let status = terminal.program.status { throw TestFailure("\(status): \(terminal.transcript)") }
            return frames.first { frame in words.allSatisfy { frame.contains($0) } }
        }
    }

    /// The numbers behind some words, one a frame.
    func seconds(after words: String) -> [Int] {
        frames.compactMap { frame in
            frame.range(of: words).flatMap { Int(frame[$0.upperBound...].prefix { $0.isNumber }) }
        }
    }
}

/// `--wait` on a terminal: what is waited for, and how long yet.
@Suite struct WaitingLineTests {
    /// Runs `body` with a guest on host 1 that holds a disk, and a station on host 2.
    private func whileHeld(_ body: (TwoHosts, Guest, String, Station) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try hosts.waitUntilSeen()
        try withScratch { scratch in
            let disk = try hosts.disk()
            let holder = try Station(on: hosts.first, of: hosts, scratch).start(["--disk", disk], named: "holder")
            try holder.waitUntilRecorded(disk)
            try body(hosts, holder, disk, try Station(on: hosts.second, of: hosts, scratch))
            if holder.running.isRunning { try holder.stop() }
        }
    }

    @Test func itIsOneLineThatSaysWhatForAndHowLongAndGoesWhenTheGuestRuns() throws {
        try whileHeld { _, holder, disk, station in
            let stage = try WaitStage(station, wait: "20s", disk: disk)
            defer { stage.end() }
            try stage.expect(disk, "guest holder", "host1", "holder alive", "gives up in ")
            try eventually(within: 10, "three different times") { Set(stage.seconds(after: "gives up in ")).count >= 3 }
            let times = stage.seconds(after: "gives up in ")
            #expect(times == times.sorted(by: >) && times.allSatisfy { (1...20).contains($0) }, "\(times)")
            #expect(!stage.terminal.transcript.contains("\n"), "more than one line: \(stage.terminal.transcript)")
            #expect(stage.frames.allSatisfy { !$0.contains("dead") }, "\(stage.frames)")

            try holder.stop()
            try stage.terminal.expect("guest runs\r\n")
            // Taken away first, so that the guest begins where the line began.
            let transcript = stage.terminal.transcript
            #expect(transcript.hasSuffix("\(WaitStage.erasing)guest runs\r\n"), "\(transcript.debugDescription)")
            pause(milliseconds: 1500)
            #expect(stage.terminal.transcript == transcript, "drawn over the guest")
            stage.terminal.program.signal(SIGTERM)
            #expect(try stage.terminal.program.wait(timeout: 10) == .signal(SIGTERM))
        }
    }

    /// Ending a guest may take long as well.
    @Test func whoeverWaitsForAGuestsEndSeesIt() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let stubborn = ["--driver", "nop", "--stop-timeout", "60s"]
            let guest = try station.start(
                stubborn, ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"])
            try guest.running.waitForOutput("ready")
            let commands = [["wait", "guest"], ["stop", "guest"]]
            let terminals = try commands.map { words in
                try Terminal(Program(try Products.cli(), words, environment: station.environment))
            }
            defer { for terminal in terminals { terminal.end() } }
            try terminals[0].expect("leasehold: waiting for the end of guest (", timeout: 10)
            try terminals[1].expect("leasehold: stopping guest (", timeout: 10)
            try station.leasehold("kill", "guest").expecting(.exit(0))
            for terminal in terminals {
                try terminal.expect("\(WaitStage.erasing)guest died of signal 9", timeout: 10)
            }
            _ = try guest.running.wait(timeout: 5)
        }
    }

    @Test func itMakesRoomForTheLastLineWhereTheStartFails() throws {
        try whileHeld { _, _, disk, station in
            let stage = try WaitStage(station, wait: "1500ms", disk: disk)
            defer { stage.end() }
            #expect(try stage.terminal.program.wait(timeout: 10) == .exit(75))
            try stage.terminal.expect(": \(disk) is held by guest holder")
            try stage.terminal.expect("\r\n")
            #expect(!stage.frames.isEmpty)
            let last = try #require(stage.terminal.transcript.components(separatedBy: WaitStage.erasing).last)
            #expect(last.hasPrefix("leasehold: can't start") && last.hasSuffix("\r\n"), "\(last)")
            #expect(last.components(separatedBy: "\r\n").count == 2)
        }
    }

    @Test(arguments: ["\u{3}", "\u{1c}"])
    func aKeyEndsTheWaitAtOnce(key: String) throws {
        try whileHeld { hosts, holder, disk, station in
            let stage = try WaitStage(station, wait: "60s", disk: disk)
            defer { stage.end() }
            try stage.expect("holder alive")
            let sent = monotonicNanoseconds()
            try stage.terminal.send(key)
            #expect(try stage.terminal.program.wait(timeout: 10) == .signal(key == "\u{3}" ? SIGINT : SIGQUIT))
            #expect(secondsSince(sent) < 4)
            try stage.terminal.expect(": interrupted before it ran")
            #expect(holder.running.isRunning)
            // It may have been asking.
            let holders = try hosts.holders(of: disk).filter { $0.resource.remarks.isEmpty }
            #expect(holders.map(\.resource.pid) == [holder.pid])
        }
    }

    @Test func whatIsNoTerminalGetsNothing() throws {
        try whileHeld { _, _, disk, station in
            // The other streams on one all the same, as under `2>log`.
            let log = station.scratch.file("log")
            let supervisor = try station.supervised(
                ["--name", "waiter", "--wait", "2500ms", "--disk", disk], Probe.command("sleep", "60"))
            let words = [supervisor.path] + supervisor.arguments
            let terminal = try Terminal(
                Program("sh", ["-c", "\"$@\" 2>'\(log)'", "sh"] + words, environment: supervisor.environment))
            defer { terminal.end() }
            #expect(try terminal.program.wait(timeout: 15) == .exit(75))
            #expect(terminal.transcript == "", "\(terminal.transcript)")
            let text = try String(contentsOfFile: log, encoding: .utf8)
            #expect(
                text.hasPrefix("leasehold: can't start waiter") && text.split(separator: "\n").count == 1, "\(text)")
            #expect(!text.contains("\u{1b}"))
        }
    }

    @Test func aNarrowTerminalShowsHowLong() throws {
        try whileHeld { _, _, disk, station in
            let stage = try WaitStage(station, wait: "20s", disk: disk, columns: 80)
            defer { stage.end() }
            let frame = try stage.expect("waits")
            #expect(frame.count < 80, "\(frame)")
            #expect(frame.contains("holder alive") && frame.contains(/\b(1\d|20) s\b/), "\(frame)")
        }
    }

    // MARK: Jobs

    /// The supervisor among a shell's jobs.
    private func job(_ shell: Terminal) throws -> pid_t {
        try eventuallyFound(within: 10, every: 10, "the job") {
            shell.program.descendants.first { ProcessStatus($0.pid)?.name.hasPrefix("leasehold-sup") == true }?.pid
        }
    }

    private func expectNotStopped(_ pid: pid_t, _ shell: Terminal, sourceLocation: SourceLocation = #_sourceLocation) {
        for _ in 0..<30 {
            pause(milliseconds: 100)
            guard let state = ProcessStatus(pid)?.state, state != "T" else {
                Issue.record("stopped or gone: \(shell.transcript)", sourceLocation: sourceLocation)
                return
            }
        }
    }

    @Test(arguments: ["stty tostop", "stty -tostop"])
    func aBackgroundJobDrawsNothingAndIsNotStopped(setting: String) throws {
        try whileHeld { _, _, disk, station in
            let shell = try Terminal.shell(environment: station.environment, directory: station.scratch.path)
            defer { shell.end() }
            try shell.send("\(setting)\n")
            try shell.expect("$ ")
            let options = "--name waiter --wait 60s --disk \(disk)"
            try shell.send("\(try Products.supervisor()) \(options) -- sleep 60 </dev/null &\n")
            let pid = try job(shell)
            expectNotStopped(pid, shell)
            #expect(!shell.transcript.contains("gives up in"), "\(shell.transcript)")
        }
    }

    @Test(arguments: ["stty tostop", "stty -tostop"])
    func aJobThatIsSentToTheBackgroundDrawsNoMore(setting: String) throws {
        try whileHeld { _, _, disk, station in
            let shell = try Terminal.shell(environment: station.environment, directory: station.scratch.path)
            defer { shell.end() }
            try shell.send("\(setting)\n")
            try shell.expect("$ ")
            try shell.send("\(try Products.supervisor()) --name waiter --wait 60s --disk \(disk) -- sleep 60\n")
            let pid = try job(shell)
            try shell.expect("gives up in")
            try shell.send("\u{1a}")
            try shell.expect("Stopped")
            try shell.expect("$ ")
            try shell.send("bg\n")
            try shell.expect("&")
            try eventually(within: 5, "the job going on") { ProcessStatus(pid)?.state != "T" }
            pause(milliseconds: 100)
            let before = shell.transcript
            expectNotStopped(pid, shell)
            let after = shell.transcript.dropFirst(before.count)
            #expect(!after.contains("gives up in"), "drawn over the shell: \(after)")
            try shell.send("fg\n")
            pause(milliseconds: 300)
            try shell.send("\u{3}")
            try eventually(within: 2, "the job's end") { !processExists(pid) }
        }
    }
}

/// Hosts that are dead, or of which it isn't known yet.
@Suite struct WaitingForTheDeadTests {
    @Test func aDeadHoldersLeaseIsDeadAndHasABound() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let station = try Station(on: hosts.first, of: hosts, scratch)
                let disks = try (0..<2).map { _ in try hosts.disk() }
                let guest = try Station(on: hosts.second, of: hosts, scratch)
                    .start(["--disk", disks[0], "--shared-disk", disks[1]], named: "bereft")
                try guest.waitUntilRecorded(disks[0])
                try hosts.waitUntilSeen()
                let stages = try disks.map { try WaitStage(station, wait: "90s", disk: $0) }
                defer { for stage in stages { stage.end() } }
                for stage in stages { try stage.expect("holder alive") }
                hosts.second.daemon.kill()
                _ = try guest.running.wait(timeout: 5)
                for stage in stages {
                    let frame = try stage.expect("dead", "guest bereft", "host2", "at most ", within: 20)
                    #expect(!frame.contains("holder alive"), "\(frame)")
                    // It has watched the host since before it was silent: it knows better than eight io timeouts more.
                    let first = try #require(stage.seconds(after: "at most ").first)
                    #expect((50...68).contains(first), "\(frame)")
                }
                // Exclusive and shared are asked for by others as well.
                for (options, disk) in [("--disk", disks[0]), ("--shared-disk", disks[0]), ("--disk", disks[1])] {
                    let refusal = try station.refused(
                        ["--name", "late", options, disk], code: 75,
                        naming: [disk, "guest bereft", "host2", "dead", "--wait"])
                    let seconds = refusal.line.firstMatch(of: /in at most (\d+) s/).flatMap { Int($0.1) }
                    #expect(seconds.map { (1...75).contains($0) } == true, "\(refusal.line)")
                    #expect(refusal.outcome.seconds < 5)
                }
                for stage in stages {
                    try eventually(within: 10, every: 50, "two different bounds") {
                        Set(stage.seconds(after: "at most ")).count >= 2
                    }
                    let bounds = stage.seconds(after: "at most ")
                    #expect(bounds == bounds.sorted(by: >), "\(bounds)")
                    let sent = monotonicNanoseconds()
                    try stage.terminal.send("\u{3}")
                    #expect(try stage.terminal.program.wait(timeout: 10) == .signal(SIGINT))
                    #expect(secondsSince(sent) < 4)
                }
            }
        }
    }

    /// sanlock itself takes every owner for a living one until it has watched for a while.
    @Test func aHostThatHasJustJoinedCallsNobodyAlive() throws {
        try withScratch { scratch in
            let leases = try scratch.directory("leases")
            let stations = try [1, 2].map { id in
                let daemon = try SanlockDaemon(hostName: "host\(id)", runDirectory: scratch.file("s\(id)"))
                scratch.atEnd { daemon.end() }
                return try Station(daemon, id: id, leaseDirectory: leases, scratch)
            }
            let disks = try (0..<2).map { try scratch.disk("disk\($0)") }
            let guest = try stations[0].start(["--disk", disks[0], "--shared-disk", disks[1]], named: "bereft")
            try guest.waitUntilRecorded(disks[0])
            stations[0].daemon.kill()
            _ = try guest.running.wait(timeout: 5)

            let stages = try disks.map { try WaitStage(stations[1], wait: "60s", disk: $0) }
            defer { for stage in stages { stage.end() } }
            // The one that joins for both says so.
            try eventually(within: 10, every: 20, "joining") {
                stages.contains { stage in
                    stage.frames.contains { $0.contains("joining lockspace") && $0.contains("at most ") }
                }
            }
            for (stage, disk) in zip(stages, disks) {
                try stage.expect("not known to be alive", "guest bereft", "host1")
                let json = try stations[1].lease(of: disk).json
                #expect(json["liveness"] != "live" && json["guest"] == "bereft", "\(json)")
            }
            for disk in disks {
                let line = try stations[1].refused(["--disk", disk], code: 75, naming: [disk, "guest bereft"]).line
                #expect(line.contains("can't be told yet") || line.contains("dead"), "\(line)")
            }
            for stage in stages {
                try stage.expect("dead", "at most ", within: 20)
                #expect(stage.frames.allSatisfy { !$0.contains("holder alive") }, "\(stage.frames)")
                #expect(stage.seconds(after: "at most ").allSatisfy { (0...75).contains($0) })
            }
        }
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["LEASEHOLD_SLOW"] != nil, "it takes a minute and a half"))
    func theLeasesOfTheDeadAreHadWithinTheTimeThatWasSaid() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let station = try Station(on: hosts.first, of: hosts, scratch)
                let disks = try (0..<2).map { _ in try hosts.disk() }
                let guest = try Station(on: hosts.second, of: hosts, scratch)
                    .start(["--disk", disks[0], "--shared-disk", disks[1]], named: "bereft")
                try hosts.waitUntilSeen()
                let stages = try disks.map { try WaitStage(station, wait: "100s", disk: $0) }
                defer { for stage in stages { stage.end() } }
                for stage in stages { try stage.expect("holder alive") }
                hosts.second.daemon.kill()
                let killed = monotonicNanoseconds()
                _ = try guest.running.wait(timeout: 5)
                var said: [(seconds: Double, bound: Int)] = []
                for stage in stages {
                    try stage.expect("dead", "at most ", within: 20)
                    said.append((secondsSince(killed), try #require(stage.seconds(after: "at most ").first)))
                }
                // A start that comes late knows less, and says an upper bound as well.
                pause(milliseconds: 20_000)
                let line = try station.refused(["--name", "late", "--disk", disks[0]], code: 75).line
                let late = try #require(line.firstMatch(of: /in at most (\d+) s/).flatMap { Int($0.1) })
                let lateAt = secondsSince(killed)
                var had: [Double] = []
                for stage in stages {
                    try stage.terminal.expect("guest runs", timeout: 90)
                    had.append(secondsSince(killed))
                }
                for (index, (atSeconds, bound)) in said.enumerated() {
                    print("after \(atSeconds) s: in at most \(bound) s, had after \(had[index]) s")
                    // Drawn once a second, in whole seconds.
                    #expect(had[index] <= atSeconds + Double(bound) + 2)
                    #expect(had[index] >= 60)
                }
                print("after \(lateAt) s: in at most \(late) s")
                #expect((had.min() ?? 0) <= lateAt + Double(late) + 2)
            }
        }
    }
}
