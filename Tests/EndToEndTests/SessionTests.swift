import Foundation
import TestSupport
import Testing

/// What becomes of a guest when its terminal or its shell goes, or where there never was one.
@Suite struct SessionTests {
    private static let fronts: [Front] = [.direct, .run, .leased]

    @Test(arguments: fronts)
    func hangUpEndsTheGuest(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        let job = shell.job
        #expect(!job.isEmpty)
        shell.terminal.hangUp()
        try eventually(within: 5, "the end of \(job)") { job.allSatisfy { !$0.exists } }
    }

    @Test(arguments: fronts)
    func hangUpEndsAStoppedGuest(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{1a}")
        try shell.terminal.expect("Stopped")
        let job = shell.job
        defer { for process in job { process.signal(SIGKILL) } }
        shell.terminal.hangUp()
        try eventually(within: 5, "the end of \(job)") { job.allSatisfy { !$0.exists } }
    }

    @Test(arguments: [Front.run, .leased])
    func hangUpIsNothingToADetachedGuest(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        let prefix = try shell.stage.prefix(front, ["--detach"]).joined(separator: " ")
        try shell.stage.scratch.write("\(prefix) \(try Products.probe()) sleep 60 >line\n", to: "detach")
        try shell.run("bash detach")
        #expect(try shell.lastStatus() == "0")
        let line = try JSONValue(
            parsing: FileManager.default.contents(atPath: shell.stage.scratch.file("line")) ?? Data())
        let supervisor = try FrontStage.process(line["supervisorPid"]?.integer)
        let guest = try FrontStage.process(line["childPid"]?.integer)
        shell.terminal.hangUp()
        _ = try shell.terminal.program.wait(timeout: 5)
        pause(milliseconds: 300)
        #expect(supervisor.exists && guest.exists)
        supervisor.signal(SIGTERM)
        try eventually(within: 5, "the end of both") { !supervisor.exists && !guest.exists }
    }

    @Test(arguments: fronts)
    func endOfTheShellEndsTheGuestInItsForeground(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        let job = shell.job
        shell.terminal.program.signal(SIGKILL)
        try eventually(within: 5, "the end of \(job)") { job.allSatisfy { !$0.exists } }
    }

    /// The kernel sends SIGHUP and SIGCONT to a stopped job that nobody is left to continue. A guest that stayed
    /// stopped would keep its leases for good.
    @Test(arguments: fronts)
    func endOfTheShellEndsAStoppedGuest(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{1a}")
        try shell.terminal.expect("Stopped")
        let job = shell.job
        defer { for process in job { process.signal(SIGKILL) } }
        shell.terminal.program.signal(SIGKILL)
        try eventually(within: 5, "the end of \(job)") { job.allSatisfy { !$0.exists } }
    }

    /// On a terminal without a shell, as in a container, nobody could continue what the stop key stops: the kernel
    /// doesn't stop it.
    @Test(arguments: fronts)
    func stopKeyDoesNothingWhereThereIsNoShell(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script = "echo started; n=0; while [ $n -lt 15 ]; do sleep 0.1; n=$((n+1)); done; echo over; exit 4"
        let terminal = try Terminal(try stage.program(Program("/bin/sh", ["-c", script]), through: front))
        defer { terminal.end() }
        try terminal.expect("started")
        try terminal.send("\u{1a}")
        try terminal.expect("over", timeout: 5)
        #expect(try terminal.program.wait(timeout: 5) == .exit(4))
    }

    @Test(arguments: fronts)
    func interruptKeyEndsTheGuestWhereThereIsNoShell(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let program = Program("/bin/sh", ["-c", "echo started; exec sleep 60"])
        let terminal = try Terminal(try stage.program(program, through: front))
        defer { terminal.end() }
        try terminal.expect("started")
        try terminal.send("\u{3}")
        #expect(try terminal.program.wait(timeout: 5) == .signal(SIGINT))
    }

    @Test(arguments: fronts)
    func hangUpEndsTheGuestWhereThereIsNoShell(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let program = Program("/bin/sh", ["-c", "echo started; exec sleep 60"])
        let terminal = try Terminal(try stage.program(program, through: front))
        defer { terminal.end() }
        try terminal.expect("started")
        let family = terminal.program.descendants
        terminal.hangUp()
        #expect(try terminal.program.wait(timeout: 5) == .signal(SIGHUP))
        try eventually(within: 2, "the end of \(family)") { family.allSatisfy { !$0.exists } }
    }

    /// A guest's stop of itself is as void without a shell, and without a terminal.
    @Test(arguments: fronts)
    func guestOfASessionOfItsOwnCannotBeStoppedByStopSignals(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for how in ["tstp", "ttin", "ttou"] {
            var program = try stage.probe(front, [], "stop-self", how, "6")
            program.inheritance.newSession = true
            let running = try stage.scratch.start(program)
            #expect(try running.finish(timeout: 5).status == .exit(6))
            #expect(running.output == "continued\n")
        }
    }

    /// Other prefixes in front of this one and behind it.
    @Test(arguments: fronts)
    func guestRunsAmongOtherPrefixes(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let prefix = try stage.prefix(front)
        let cases: [([String], Status)] = [
            (["timeout", "1"] + prefix + ["sleep", "60"], .exit(124)),
            (["timeout", "-s", "INT", "1"] + prefix + ["sleep", "60"], .exit(124)),
            (["timeout", "-s", "KILL", "1"] + prefix + ["sleep", "60"], .signal(SIGKILL)),
            (prefix + ["timeout", "0.5", "sleep", "60"], .exit(124)),
            (["nohup"] + prefix + ["sh", "-c", "kill -HUP $$; exit 6"], .exit(6)),
            (prefix + ["setsid", "-w", "sh", "-c", "exit 7"], .exit(7)),
            (["nice"] + prefix + ["nice", "sh", "-c", "exit $(nice)"], .exit(19)),
            (prefix + (try stage.prefix(front)) + ["sh", "-c", "exit 9"], .exit(9)),
        ]
        for (command, status) in cases {
            let program = Program(command: command, environment: try stage.environment(front))
            let outcome = try program.run(timeout: 10)
            #expect(outcome.status == status, "\(command): \(outcome)")
        }
        try eventually(within: 2, "the end of all") { stage.scratch.strayProcesses.isEmpty }
    }

    /// No terminal at all, and streams that lead nowhere: as a service, or from cron.
    @Test(arguments: fronts)
    func guestWithoutATerminalRuns(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let marker = stage.scratch.file("marker")
        let script = "test -t 0; a=$?; (: </dev/tty) 2>/dev/null; echo $a $? >\(marker); exit 8"
        var program = try stage.program(Program("/bin/bash", ["-c", script]), through: front)
        program.inheritance.newSession = true
        (program.input, program.output, program.errors) = (.closed, .closed, .closed)
        #expect(try program.run().status == .exit(8))
        #expect(try String(contentsOfFile: marker, encoding: .utf8) == "1 1\n")
    }
}
