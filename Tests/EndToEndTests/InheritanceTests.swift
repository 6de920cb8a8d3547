import Foundation
import TestSupport
import Testing

/// Promise 8: streams, descriptors, signals, process group and terminal of the guest are its caller's.
@Suite struct InheritanceTests {
    // MARK: Descriptors

    /// Each standard stream open or closed: bit N of the argument closes descriptor N.
    @Test(arguments: 0..<8)
    func closedStandardStreamsStayClosed(_ closed: Int) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference {
            if closed & 1 != 0 { $0.input = .closed }
            if closed & 2 != 0 { $0.output = .closed }
            if closed & 4 != 0 { $0.errors = .closed }
        }
    }

    @Test func passedDescriptorsKeepNumberPositionAndFlags() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let path = try stage.scratch.write(String(repeating: "x", count: 1000), to: "data")
        let reading = open(path, O_RDONLY | O_CLOEXEC)
        let appending = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC)
        let folder = open(stage.scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        var sockets: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &sockets) == 0)
        defer { for descriptor in [reading, appending, folder] + sockets { close(descriptor) } }
        try #require(lseek(reading, 321, SEEK_SET) == 321)
        try #require(fcntl(sockets[1], F_SETFL, O_NONBLOCK) == 0)
        try stage.expectNoDifference {
            $0.passing = [
                3: reading, 4: appending, 5: reading, 7: folder, 31: sockets[0], 32: sockets[1], 200: appending,
                901: reading,
            ]
        }
        #expect(lseek(reading, 0, SEEK_CUR) == 321)
        // Nothing of ours sets O_NONBLOCK on a file that others share, or takes it away.
        #expect(fcntl(sockets[0], F_GETFL) & O_NONBLOCK == 0)
        #expect(fcntl(sockets[1], F_GETFL) & O_NONBLOCK != 0)
    }

    /// The guest's lease socket belongs above the caller's descriptors, where there may be no number left.
    @Test func descriptorsUpToTheLimitArePassed() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for front in Front.allCases {
            var program = Program("/bin/bash", ["-c", "exec /bin/cat <&1023"])
            let text = open(try stage.scratch.write("through 1023", to: "text"), O_RDONLY | O_CLOEXEC)
            defer { close(text) }
            program.passing = [1023: text, 57: text]
            program.inheritance.limits = [.init(resource: Int32(RLIMIT_NOFILE.rawValue), soft: 1024, hard: 1024)]
            let outcome = try stage.program(program, through: front).run()
            #expect(outcome.status == .exit(0), "through \(front): \(outcome)")
            #expect(outcome.output == "through 1023", "through \(front): \(outcome)")
        }
    }

    @Test func guestReadsAndWritesItsCallersStreams() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for front in Front.supervised {
            var program = try stage.probe(front, [], "cat")
            program.input = .pipe
            let running = try stage.scratch.start(program)
            try running.send("one\n")
            try running.waitForOutput("one\n")
            try running.send(Data(repeating: 7, count: 1 << 20))
            running.closeInput()
            let outcome = try running.finish()
            #expect(outcome.status == .exit(0))
            #expect(outcome.outputData.count == 4 + 1 << 20)
        }
    }

    @Test func readerSeesTheEndOfWhatTheGuestHasClosedWhileItGoesOn() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for front in Front.supervised {
            let pipe = try pipeEnds()
            var program = try stage.probe(front, [], "print-and-close", "last words", "30")
            program.passing = [9: pipe.writeEnd]
            let running = try stage.scratch.start(program)
            close(pipe.writeEnd)
            try running.waitForOutput("last words")
            try eventually(within: 2, "end of file at the reader, through \(front)") { running.hasEnded(.output) }
            #expect(running.isRunning)
            running.end()
            close(pipe.readEnd)
        }
    }

    /// The other way round: who writes to a guest that has closed its input is told.
    @Test func writerIsToldThatTheGuestHasClosedItsInput() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script = "exec 0<&- 7<&-; echo closed; exec sleep 30"
        for front in Front.supervised {
            let (input, more) = (try pipeEnds(), try pipeEnds())
            defer { for end in [input.writeEnd, more.writeEnd] { close(end) } }
            var program = try stage.program(Program("/bin/sh", ["-c", script]), through: front)
            program.input = .descriptor(input.readEnd)
            program.passing = [7: more.readEnd]
            let running = try stage.scratch.start(program)
            for end in [input.readEnd, more.readEnd] { close(end) }
            try running.waitForOutput("closed")
            for end in [input.writeEnd, more.writeEnd] {
                try eventually(within: 2, "nobody having the pipe open, through \(front)") {
                    var wait = pollfd(fd: end, events: 0, revents: 0)
                    return poll(&wait, 1, 0) == 1 && Int32(wait.revents) & POLLERR != 0
                }
            }
            #expect(running.isRunning)
            running.end()
        }
    }

    private func pipeEnds() throws -> (readEnd: Int32, writeEnd: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        for end in ends { try #require(fcntl(end, F_SETFD, FD_CLOEXEC) == 0) }
        return (ends[0], ends[1])
    }

    // MARK: Signals

    @Test(arguments: [
        [SIGCHLD], [SIGHUP], [SIGTERM], [SIGPIPE], [SIGINT, SIGQUIT], [SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT],
        [SIGUSR1, SIGUSR2, SIGALRM, SIGURG, SIGWINCH], [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP],
        [32, 33, 34, 64],
        (1...64).filter { $0 != SIGKILL && $0 != SIGSTOP },
    ])
    func ignoredSignalsStayIgnored(_ signals: [Int32]) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference { $0.inheritance.ignoredSignals = signals }
    }

    @Test(arguments: [
        [SIGCHLD], [SIGTERM], [SIGHUP, SIGINT, SIGQUIT], [SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT],
        [SIGSEGV, SIGBUS, SIGFPE],
        [34, 35, 63, 64], (1...64).filter { ![SIGKILL, SIGSTOP, 32, 33].contains($0) },
    ])
    func blockedSignalsStayBlocked(_ signals: [Int32]) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference { $0.inheritance.blockedSignals = signals }
    }

    /// As over an exec: what waited for the caller waits for the guest.
    @Test(arguments: [[SIGUSR1], [SIGTERM], [SIGINT, SIGHUP], [SIGCHLD], [SIGALRM, 40], [SIGTSTP]])
    func pendingSignalsStayPending(_ signals: [Int32]) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let list = signals.map { "\($0)" }.joined(separator: ",")
        try stage.expectNoDifference { $0.inheritance.moreOptions = ["--pending", list] }
    }

    // MARK: Group, session, terminal

    @Test func guestIsInItsCallersGroupAndSession() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference { $0.inheritance.newProcessGroup = true }
        try stage.expectNoDifference { $0.inheritance.newSession = true }
    }

    /// On a terminal as leader of its session, and without one.
    @Test func guestHasItsCallersTerminal() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        func seen(_ front: Front) throws -> (report: JSONValue, pid: pid_t) {
            let file = stage.scratch.file("on-terminal")
            try? FileManager.default.removeItem(atPath: file)
            let terminal = try Terminal(try stage.probe(front, [], "report", file))
            defer { terminal.end() }
            #expect(try terminal.program.wait() == .exit(0), "\(terminal.transcript)")
            #expect(terminal.transcript == "")
            let report = try JSONValue(parsing: FileManager.default.contents(atPath: file) ?? Data())
            for stream in ["0", "1", "2"] { #expect(report["terminals"]?[stream]?["name"]?.string == terminal.name) }
            return (report, terminal.program.pid)
        }
        for front in Front.allCases {
            let (report, pid) = try seen(front)
            let own = JSONValue.integer(Int64(pid))
            for relation in [
                report["session"], report["processGroup"], report["terminals"]?["0"]?["foregroundGroup"],
                report["terminals"]?["2"]?["session"],
            ] { #expect(relation == own, "through \(front)") }
            #expect(report["terminals"]?["1"]?["foreground"] == "own group")
            let numbers = try #require(report["descriptors"]?.object).keys.sorted()
            #expect(numbers == (front == .leased ? ["0", "1", "2", "3"] : ["0", "1", "2"]))
        }
    }
}
