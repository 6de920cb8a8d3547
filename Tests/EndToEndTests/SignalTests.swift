import Foundation
import TestSupport
import Testing

/// Signals that are sent to the supervisor.
@Suite struct SignalTests {
    private static let passed = [SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]

    /// What the probe's `log-signals` has written of signals: their numbers.
    private func logged(_ running: RunningProgram) -> [Int32] {
        let lines = running.output.split(separator: "\n").filter { $0.hasPrefix("signal ") }
        return lines.compactMap { line in Int32(line.split(separator: " ")[1]) }
    }

    @Test(arguments: Front.supervised)
    func signalsArePassedOnOnce(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let running = try stage.scratch.start(try stage.probe(front, [], "log-signals", "60", "15"))
        try running.waitForOutput("ready")
        for number in Self.passed {
            running.signal(number)
            try running.waitForOutput("signal \(number) code 0", timeout: 5)
        }
        // Time for a second one to come.
        pause(milliseconds: 300)
        #expect(logged(running) == Self.passed)
        running.signal(SIGTERM)
        #expect(try running.finish(timeout: 10).status == .exit(0))
        #expect(logged(running) == Self.passed + [SIGTERM])
        #expect(try stage.exitRecord()["reason"] == "stopped")
    }

    /// No other signal ends the supervisor, or reaches the guest.
    @Test func otherSignalsDoNothing() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let running = try stage.scratch.start(try stage.probe(.supervisor, [], "log-signals", "60", "15"))
        try running.waitForOutput("ready")
        let others = (1...64).filter {
            !(Self.passed + [SIGTERM, SIGKILL, SIGSTOP, 32, 33]).contains($0)
        }
        for number in others { running.signal(number) }
        running.signal(SIGUSR1)
        try running.waitForOutput("signal 10")
        pause(milliseconds: 300)
        #expect(running.isRunning)
        #expect(logged(running) == [SIGUSR1])
        #expect(ProcessStatus(running.pid)?.state != "T")
    }

    @Test func guestThatDiesOfAPassedSignalEndsTheSupervisorBySame() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for number in Self.passed {
            let running = try stage.scratch.start(
                try stage.program(Program("/bin/sh", ["-c", "echo ready; exec sleep 60"]), through: .supervisor))
            try running.waitForOutput("ready")
            running.signal(number)
            #expect(try running.wait(timeout: 5) == .signal(number))
        }
    }

    /// The caller of a guest in the background of a script ignores these two, `nohup` the third.
    @Test func signalsThatTheCallerIgnoresEndNothing() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for front in Front.supervised {
            var program = try stage.program(Program("/bin/sh", ["-c", "echo ready; exec sleep 60"]), through: front)
            program.inheritance.ignoredSignals = [SIGINT, SIGQUIT, SIGHUP]
            let running = try stage.scratch.start(program)
            try running.waitForOutput("ready")
            for number in [SIGINT, SIGQUIT, SIGHUP] { running.signal(number) }
            pause(milliseconds: 300)
            #expect(running.isRunning)
            running.signal(SIGTERM)
            #expect(try running.wait(timeout: 5) == .signal(SIGTERM))
        }
    }

    @Test(arguments: Front.supervised)
    func guestThatIgnoresSIGTERMIsKilledAfterTheStopTimeout(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let record = HostileRecord(stage.scratch.file("pids"))
        let hostile = try Probe.hostile("ignore-signals", "tree=1x2", "setsid", pidFile: record.path)
        let running = try stage.scratch.start(try stage.program(hostile, through: front, ["--stop-timeout", "1500ms"]))
        try record.waitUntilReady()
        let start = monotonicNanoseconds()
        running.signal(SIGTERM)
        pause(milliseconds: 500)
        // A second one changes nothing of it.
        running.signal(SIGTERM)
        #expect(try running.wait(timeout: 10) == .signal(SIGKILL))
        let seconds = secondsSince(start)
        #expect(seconds >= 1.5 && seconds < 3, "it took \(seconds) s")
        #expect(try record.living() == [])
        let exit = try stage.exitRecord()
        #expect(exit["reason"] == "stopped" && exit["signal"] == 9)
    }

    @Test func stopTimeoutOfNothingKillsAtOnce() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let running = try stage.scratch.start(
            try stage.probe(.supervisor, ["--stop-timeout", "0"], "log-signals", "60", "64"))
        try running.waitForOutput("ready")
        running.signal(SIGTERM)
        #expect(try running.wait(timeout: 2) == .signal(SIGKILL))
    }

    @Test func guestThatEndsInTimeKeepsItsOwnStatus() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script = "trap 'sleep 0.3; exit 42' TERM; echo ready; while :; do sleep 0.05; done"
        for front in Front.supervised {
            let running = try stage.scratch.start(
                try stage.program(Program("/bin/bash", ["-c", script]), through: front))
            try running.waitForOutput("ready")
            running.signal(SIGTERM)
            #expect(try running.wait(timeout: 10) == .exit(42))
        }
    }

    /// A stopped process gets its SIGTERM when it is continued; SIGKILL doesn't wait.
    @Test func guestThatIsStoppedIsKilledAfterTheStopTimeout() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let running = try stage.scratch.start(
            try stage.probe(.supervisor, ["--stop-timeout", "1s"], "stop-self", "stop"))
        try eventually(within: 5, "the guest being stopped") {
            running.descendants.contains { ProcessStatus($0.pid)?.state == "T" }
        }
        // It may be at work at this moment; stopped it must not be.
        #expect(ProcessStatus(running.pid)?.state != "T")
        running.signal(SIGTERM)
        #expect(try running.wait(timeout: 5) == .signal(SIGKILL))
    }

    /// A guest that a stop key's signal has stopped takes its supervisor along, so that whoever waits for it sees it;
    /// SIGCONT for both has both go on.
    @Test(arguments: [("tstp", SIGTSTP), ("ttin", SIGTTIN), ("ttou", SIGTTOU)])
    func supervisorStopsAndGoesOnWithItsGuest(_ how: String, _ number: Int32) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        var program = try stage.probe(.supervisor, [], "stop-self", how, "5")
        // Under a shell with job control.
        program.inheritance.newProcessGroup = true
        let running = try stage.scratch.start(program)
        try eventually(within: 5, "the supervisor being stopped") { ProcessStatus(running.pid)?.state == "T" }
        pause(milliseconds: 100)
        #expect(running.isRunning && running.output == "")
        kill(-running.pid, SIGCONT)
        #expect(try running.finish(timeout: 5).status == .exit(5))
        #expect(running.output == "continued\n")
    }

    /// As with `kill %1` and `timeout`: guest and supervisor are signalled both, and what is passed on crosses the
    /// guest's end.
    @Test(arguments: [SIGTERM, SIGINT, SIGUSR1])
    func signalToTheWholeGroupLeavesTheGuestsOwnStatus(_ number: Int32) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for _ in 0..<5 {
            // Many at once, as it takes an unlucky moment.
            let all = try (0..<8).map { _ in
                var program = try stage.program(
                    Program("/bin/sh", ["-c", "echo ready; exec sleep 60"]), through: .supervisor)
                program.inheritance.newProcessGroup = true
                return try stage.scratch.start(program)
            }
            for running in all { try running.waitForOutput("ready") }
            for running in all { kill(-running.pid, number) }
            let ends = try all.map { try $0.wait(timeout: 10) }
            #expect(ends == ends.map { _ in .signal(number) })
        }
    }

    /// Whoever continues the guest by its own pid has the supervisor go on, too.
    @Test func supervisorGoesOnWithAGuestThatIsContinuedAlone() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        var program = try stage.probe(.supervisor, [], "stop-self", "tstp", "5")
        program.inheritance.newProcessGroup = true
        let running = try stage.scratch.start(program)
        try eventually(within: 5, "the supervisor being stopped") { ProcessStatus(running.pid)?.state == "T" }
        let guest = try #require(running.descendants.first { ProcessStatus($0.pid)?.name == "ProbeGuest" })
        guest.signal(SIGCONT)
        #expect(try running.finish(timeout: 5).status == .exit(5))
    }

    /// The supervisor may hear of the guest's start later than others do: a stop is no kill for that.
    @Test func guestThatHasJustStartedIsAskedToStop() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script = "trap 'sleep 0.2; exit 42' TERM; echo ready; while :; do sleep 0.02; done"
        var program = try stage.program(Program("/bin/bash", ["-c", script]), through: .supervisor)
        // The keeper's reports come 300 ms late. -D: the supervisor stays the process that is started here.
        let slowly = ["-D", "-f", "-o", "/dev/null", "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=300000"]
        program = program.prefixed(by: ["strace"] + slowly)
        let running = try stage.scratch.start(program)
        try running.waitForOutput("ready")
        running.signal(SIGTERM)
        #expect(try running.wait(timeout: 10) == .exit(42))
        #expect(try stage.exitRecord()["reason"] == "stopped")
    }

    /// Nobody has to wait for a lease longer than they want to.
    @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT])
    func startThatWaitsForALeaseIsInterrupted(_ number: Int32) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let hosts = try TwoHosts.shared
        let disk = try hosts.disk()
        let holder = try stage.scratch.start(
            try hosts.first.supervised(["--disk", disk], try Probe.command("log-signals", "60")))
        try holder.waitForOutput("ready")
        let marker = stage.scratch.file("ran")
        var program = try hosts.first.supervised(["--disk", disk, "--wait", "60s"], ["/bin/touch", marker])
        program.environment["LEASEHOLD_RUN_DIR"] = stage.runDirectory
        let waiting = try stage.scratch.start(program)
        try eventually(within: 5, "the waiting start's control socket") { !stage.guestDirectories.isEmpty }
        pause(milliseconds: 300)
        let start = monotonicNanoseconds()
        waiting.signal(number)
        let outcome = try waiting.finish(timeout: 5)
        #expect(outcome.status == .signal(number))
        #expect(secondsSince(start) < 4)
        #expect(outcome.errors.contains("interrupted") && outcome.errors.filter { $0 == "\n" }.count == 1)
        #expect(stage.guestDirectories == [])
        #expect(access(marker, F_OK) != 0)
        holder.signal(SIGTERM)
        #expect(try holder.wait(timeout: 10) == .exit(0))
    }
}
