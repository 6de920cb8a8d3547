import Foundation
import TestSupport
import Testing

/// Under bash on a terminal everything is as without a supervisor: each test runs directly, too.
@Suite struct TerminalTests {
    private static let fronts: [Front] = [.direct, .run, .leased]

    // MARK: Keys

    @Test(arguments: fronts)
    func interruptKeyEndsTheGuestAndTheShellKnows(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "130")
        try shell.expectNoJob()
    }

    @Test(arguments: fronts)
    func quitKeyEndsTheGuestAndTheShellKnows(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{1c}")
        try shell.terminal.expect("Quit")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "131")
        try shell.expectNoJob()
    }

    /// The terminal's own signals come from the terminal alone, each once.
    @Test(arguments: fronts)
    func keysReachTheGuestOnce(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("g log-signals 60 3")
        try shell.terminal.expect("ready")
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("signal 2 code 128")
        // A guest that catches the stop key isn't stopped, nor is its supervisor.
        try shell.terminal.send("\u{1a}")
        try shell.terminal.expect("signal 20 code 128")
        try Program.run("stty", ["-F", shell.terminal.name, "rows", "50"]).expecting(.exit(0))
        try shell.terminal.expect("signal 28 code 128")
        pause(milliseconds: 400)
        #expect(!shell.states().contains("T"))
        try shell.terminal.send("\u{1c}")
        try shell.terminal.expect("signal 3 code 128")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "0")
        for number in [2, 3, 20, 28] { #expect(shell.count("signal \(number) ") == 1) }
    }

    @Test(arguments: fronts)
    func guestThatIgnoresTheInterruptKeyGoesOn(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type(#"w sh -c "trap '' INT; echo st\arted; sleep 0.5; exit 9""#)
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "9")
    }

    // MARK: Job control

    @Test(arguments: fronts)
    func stopKeyStopsTheJobAndFgContinuesIt(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        for _ in 0..<5 {
            try shell.terminal.send("\u{1a}")
            try shell.terminal.expect("Stopped")
            try shell.terminal.expect("$ ")
            try eventually(within: 2, "all being stopped") { shell.states().allSatisfy { $0 == "T" } }
            #expect(shell.terminal.foregroundGroup == shell.terminal.program.pid)
            try shell.type("fg")
            try eventually(within: 2, "all going on") { shell.states().allSatisfy { $0 == "S" } }
        }
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "130")
        try shell.expectNoJob()
    }

    @Test(arguments: fronts)
    func bgHasAStoppedGuestGoOnInTheBackground(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up 1")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{1a}")
        try shell.terminal.expect("Stopped")
        try shell.terminal.expect("$ ")
        // It doesn't run while it is stopped.
        pause(milliseconds: 1300)
        #expect(!shell.job.isEmpty && shell.states().allSatisfy { $0 == "T" })
        try shell.run("bg")
        try shell.type("wait %1; echo \"[$?]\"")
        try shell.terminal.expect("[0]\r\n")
        try shell.expectNoJob()
    }

    @Test(arguments: fronts)
    func killOfAStoppedJobEndsIt(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{1a}")
        try shell.terminal.expect("Stopped")
        try shell.terminal.expect("$ ")
        try shell.run("kill %1")
        try shell.expectNoJob()
        try shell.expectRecord(signal: SIGTERM)
    }

    /// No lease is held for a guest that is dead.
    @Test(arguments: fronts)
    func guestThatIsKilledWhileItsJobIsStoppedEndsTheJob(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("w ./up")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{1a}")
        try shell.terminal.expect("Stopped")
        try shell.terminal.expect("$ ")
        let guest = try #require(shell.job.last)
        guest.signal(SIGKILL)
        try shell.expectNoJob()
        try shell.expectRecord(signal: SIGKILL)
    }

    @Test(arguments: fronts)
    func guestThatReadsInTheBackgroundIsStoppedUntilItIsInTheForeground(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("g read-stdin &")
        try shell.terminal.expect("reading")
        try eventually(within: 5, "the job being stopped") {
            !shell.states().isEmpty && shell.states().allSatisfy { $0 == "T" }
        }
        #expect(try shell.run("jobs; echo").contains("Stopped"))
        try shell.type("fg")
        try shell.terminal.send("for the guest\n")
        try shell.terminal.expect("read: for the guest\r\n")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "0")
    }

    @Test(arguments: fronts)
    func guestThatWritesInTheBackgroundIsStoppedWhereTheTerminalSaysSo(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.run("stty tostop")
        try shell.type(#"w sh -c 'echo la\te' &"#)
        try eventually(within: 5, "the job being stopped") {
            !shell.states().isEmpty && shell.states().allSatisfy { $0 == "T" }
        }
        #expect(shell.count("late") == 0)
        try shell.type("fg")
        try shell.terminal.expect("late\r\n")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "0")
    }

    @Test(arguments: fronts)
    func guestInTheBackgroundDoesNotGetTheKeys(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("g log-signals 60 10 &")
        try shell.terminal.expect("ready")
        try shell.terminal.send("\n\u{3}\n\u{1c}\n")
        pause(milliseconds: 300)
        try shell.run("")
        #expect(shell.count("signal ") == 0)
        #expect(shell.terminal.foregroundGroup == shell.terminal.program.pid)
        try shell.type("kill -USR1 %1; wait %1; echo \"[$?]\"")
        try shell.terminal.expect("[0]")
    }

    // MARK: Loops, scripts, pipelines

    @Test(arguments: fronts)
    func oneInterruptKeyEndsAShellLoop(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type("while :; do w ./up; done")
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("$ ")
        pause(milliseconds: 300)
        #expect(shell.count("started") == 1)
        #expect(try shell.lastStatus() == "130")
    }

    /// A script ends with a guest that died of the key, and goes on after one that handled it.
    @Test(arguments: fronts)
    func interruptKeyInAScriptIsTheGuestsDecision(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        let prefix = try shell.stage.prefix(front).joined(separator: " ")
        let handler = #"trap "exit 0" INT; echo started; while :; do sleep 0.02; done"#
        try shell.stage.scratch.write("\(prefix) ./up\necho after\n", to: "dies")
        try shell.stage.scratch.write("\(prefix) sh -c '\(handler)'\necho after $?\n", to: "handles")
        try shell.type("bash dies")
        try shell.terminal.expect("started")
        // A script's bash dies of the key while it isn't yet waiting for its command.
        pause(milliseconds: 300)
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("$ ")
        #expect(try shell.lastStatus() == "130")
        #expect(shell.count("after") == 0)
        try shell.type("bash handles")
        try shell.terminal.expect("started")
        pause(milliseconds: 300)
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("after 0\r\n")
        try shell.expectNoJob()
    }

    @Test(arguments: fronts)
    func guestIsPartOfAPipeline(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        #expect(try shell.run("echo abc | g cat | tr a-z A-Z").contains("ABC"))
        // A reader that ends first kills a guest that goes on writing.
        let told = try shell.run(#"w yes | head -1; echo "${PIPESTATUS[*]}""#)
        #expect(told.contains("141 0"), "\(told)")
        try shell.type(#"w ./up | cat; echo "[${PIPESTATUS[*]}]""#)
        try shell.terminal.expect("started")
        try shell.terminal.send("\u{1a}")
        try shell.terminal.expect("Stopped")
        try shell.terminal.expect("$ ")
        try shell.type("fg")
        try eventually(within: 2, "all going on") { shell.states().allSatisfy { $0 == "S" } }
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("$ ")
        try shell.expectNoJob()
    }

    @Test(arguments: fronts)
    func readerOfTheGuestsClosedOutputSeesItsEndWhileTheGuestGoesOn(_ front: Front) throws {
        let shell = try ShellStage(front)
        defer { shell.end() }
        try shell.type(#"g print-and-close hel""lo 60 | (cat; echo reader is do""ne)"#)
        try shell.terminal.expect("hello\r\nreader is done\r\n", timeout: 5)
        #expect(!shell.states().isEmpty)
        try shell.terminal.send("\u{3}")
        try shell.terminal.expect("$ ")
        try shell.expectNoJob()
    }
}
