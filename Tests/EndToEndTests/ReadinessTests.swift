import Foundation
import TestSupport
import Testing

/// What tells a caller that the guest runs: `--ready-fd`, the pid files, `--detach`, and QEMU's own `-daemonize`.
@Suite struct ReadinessTests {
    private func pipeEnds() throws -> (readEnd: Int32, writeEnd: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        for end in ends { try #require(fcntl(end, F_SETFD, FD_CLOEXEC) == 0) }
        return (ends[0], ends[1])
    }

    /// All that comes through a pipe up to its end.
    private func readToEnd(_ descriptor: Int32, within seconds: Double = 10) throws -> String {
        var data = Data()
        var buffer = [UInt8](repeating: 0, count: 4096)
        let start = monotonicNanoseconds()
        while true {
            let left = Int32(max(0, (seconds - secondsSince(start)) * 1000))
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, left) > 0 else {
                throw TestFailure(
                    "no end of file within \(seconds) s; so far: \(String(decoding: data, as: UTF8.self))")
            }
            let size = read(descriptor, &buffer, buffer.count)
            guard size > 0 else { return String(decoding: data, as: UTF8.self) }
            data.append(contentsOf: buffer[..<size])
        }
    }

    // MARK: --ready-fd

    @Test(arguments: Front.supervised)
    func readyDescriptorTellsWhoRunsAndIsClosed(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let pipe = try pipeEnds()
        let uuid = "01234567-89ab-cdef-0123-456789abcdef"
        var program = try stage.probe(
            front, ["--name", "web-1", "--uuid", uuid, "--ready-fd", "8"], "log-signals", "60")
        program.passing = [8: pipe.writeEnd]
        let running = try stage.scratch.start(program)
        close(pipe.writeEnd)
        // The end comes while the guest runs: neither it nor supervisor nor keeper has the descriptor open.
        let text = try readToEnd(pipe.readEnd)
        close(pipe.readEnd)
        #expect(text.hasSuffix("\n") && text.filter { $0 == "\n" }.count == 1)
        let line = try #require(try JSONValue(parsing: text).object)
        #expect(line.keys.sorted() == ["childPid", "name", "supervisorPid", "uuid"])
        #expect(line["name"] == "web-1" && line["uuid"]?.string == uuid)
        #expect(line["supervisorPid"]?.integer == Int(running.pid))
        try running.waitForOutput("ready")
        #expect(running.output == "ready \(try #require(line["childPid"]?.integer))\n")
        running.signal(SIGTERM)
        #expect(try running.wait(timeout: 10) == .exit(0))
    }

    @Test func readyDescriptorIsNotTheGuests() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for front in Front.supervised {
            let pipe = try pipeEnds()
            defer { for end in [pipe.readEnd, pipe.writeEnd] { close(end) } }
            var program = try Probe.program("report", stage.scratch.file("report"))
            program.passing = [5: pipe.writeEnd, 8: pipe.writeEnd, 11: pipe.writeEnd]
            for number in ["5", "8", "11"] {
                let seen = try stage.sight(
                    program, into: stage.scratch.file("report"), through: front, ["--ready-fd", number])
                let numbers = try #require(seen.report["descriptors"]?.object).keys.compactMap { Int($0) }.sorted()
                let socket = front == .leased ? [12] : []
                #expect(numbers == [0, 1, 2, 5, 8, 11].filter { "\($0)" != number } + socket)
            }
        }
    }

    @Test func readyDescriptorTellsWhyTheGuestDoesNotRun() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let broken = try stage.scratch.write("#!/no/such/interpreter\n", to: "broken")
        try #require(chmod(broken, 0o755) == 0)
        for command in ["/no/such", broken, stage.scratch.path] {
            let pipe = try pipeEnds()
            var program = try stage.program(Program(command), through: .run, ["--ready-fd", "3"])
            program.passing = [3: pipe.writeEnd]
            let outcome = try program.run()
            close(pipe.writeEnd)
            let line = try JSONValue(parsing: try readToEnd(pipe.readEnd))
            close(pipe.readEnd)
            let text = try #require(line["error"]?.string)
            #expect(line.object?.count == 1)
            #expect(outcome.errors == "leasehold: \(text)\n")
            #expect(text.contains(command))
        }
    }

    /// Also where the command line can't be read as a whole.
    @Test(arguments: [
        ["--ready-fd", "3", "--bad", "--", "true"], ["--wait", "5x", "--ready-fd=3", "--", "true"],
        ["--ready-fd", "3", "--disk"], ["--ready-fd", "3", "true"], ["--ready-fd", "3"],
        ["--log-level", "loud", "--uuid", "z", "--ready-fd", "3", "--", "true"],
    ])
    func readyDescriptorTellsOfUnreadableOptions(options: [String]) throws {
        for program in [Program(try Products.supervisor(), options), Program(try Products.cli(), ["run"] + options)] {
            let pipe = try pipeEnds()
            var program = program
            program.passing = [3: pipe.writeEnd]
            let outcome = try program.run()
            close(pipe.writeEnd)
            let line = try JSONValue(parsing: try readToEnd(pipe.readEnd))
            close(pipe.readEnd)
            #expect(outcome.status == .exit(64))
            #expect(outcome.errors == "leasehold: \(try #require(line["error"]?.string))\n")
        }
    }

    @Test func readyDescriptorWithoutAReaderIsNoTrouble() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let pipe = try pipeEnds()
        close(pipe.readEnd)
        var program = try stage.probe(.supervisor, ["--ready-fd", "7"], "exit", "3")
        program.passing = [7: pipe.writeEnd]
        #expect(try program.run().status == .exit(3))
        close(pipe.writeEnd)
    }

    // MARK: Pid files

    @Test(arguments: Front.supervised)
    func pidFilesAreThereWhileTheGuestIs(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let (child, own) = (stage.scratch.file("child.pid"), stage.scratch.file("own.pid"))
        for end in [SIGTERM, SIGKILL] {
            try "stale\nstale\n".write(toFile: child, atomically: false, encoding: .utf8)
            let pipe = try pipeEnds()
            var program = try stage.probe(
                front, ["--pid-file", child, "--supervisor-pid-file", own, "--ready-fd", "3"], "log-signals", "60")
            program.passing = [3: pipe.writeEnd]
            let running = try stage.scratch.start(program)
            close(pipe.writeEnd)
            let line = try JSONValue(parsing: try readToEnd(pipe.readEnd))
            close(pipe.readEnd)
            // Who was told that the guest runs may read the files at once.
            let pid = try #require(line["childPid"]?.integer)
            #expect(try String(contentsOfFile: child, encoding: .utf8) == "\(pid)\n")
            #expect(try String(contentsOfFile: own, encoding: .utf8) == "\(running.pid)\n")
            try running.waitForOutput("ready \(pid)")
            kill(pid_t(pid), end)
            #expect(try running.wait(timeout: 10) == (end == SIGTERM ? .exit(0) : .signal(end)))
            #expect(access(child, F_OK) != 0 && access(own, F_OK) != 0)
        }
    }

    /// Whoever ends what a killed supervisor has left takes its pid files away too, but for one that is another's by now.
    @Test func pidFilesOfAKilledSupervisorGoWithWhatItLeft() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            for isOthers in [false, true] {
                let guest = try station.start([
                    "--driver", "nop", "--pid-file", scratch.file("child.pid"), "--supervisor-pid-file", "own.pid",
                ])
                let files = [scratch.file("child.pid"), scratch.file("own.pid")]
                try eventually(within: 5) { files.allSatisfy { access($0, F_OK) == 0 } }
                if isOthers { try scratch.write("1\n", to: "child.pid") }
                guest.running.signal(SIGKILL)
                _ = try guest.running.wait(timeout: 5)
                try station.leasehold("list").expecting(.exit(0))
                #expect(files.map { access($0, F_OK) == 0 } == [isOthers, false])
            }
        }
    }

    @Test func startThatFailsLeavesNoPidFileAndNoOthersIsTouched() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let child = try stage.scratch.write("1234\n", to: "child.pid")
        let options = ["--pid-file", child, "--supervisor-pid-file", stage.scratch.file("own.pid")]
        for front in Front.supervised {
            #expect(try stage.program(Program("/no/such"), through: front, options).run().status == .exit(127))
            #expect(try String(contentsOfFile: child, encoding: .utf8) == "1234\n")
            #expect(access(stage.scratch.file("own.pid"), F_OK) != 0)
        }
    }

    // MARK: --detach

    @Test(arguments: Front.supervised)
    func detachReturnsOnceTheGuestRunsAndLetsGoOfTheCaller(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let (signals, file) = (stage.scratch.file("signals"), stage.scratch.file("report"))
        let passed = open(try stage.scratch.write("x", to: "passed"), O_RDONLY | O_CLOEXEC)
        defer { close(passed) }
        let script = #""$0" report "$1"; exec "$0" log-signals 60 >"$2""#
        var program = try stage.program(
            Program("/bin/sh", ["-c", script, try Products.probe(), file, signals]), through: front,
            ["--detach", "--name", "detached"])
        program.passing = [6: passed]
        program.input = .pipe
        let caller = try stage.scratch.start(program)
        let outcome = try caller.finish(timeout: 10)
        #expect(outcome.status == .exit(0), "\(outcome)")
        #expect(outcome.errors == "")
        #expect(caller.hasEnded(.output) && caller.hasEnded(.errors))
        let line = try #require(try JSONValue(parsing: outcome.output).object)
        #expect(line.keys.sorted() == ["childPid", "name", "supervisorPid", "uuid"])
        let supervisor = try FrontStage.process(line["supervisorPid"]?.integer)
        #expect(supervisor.pid != caller.pid)
        #expect(ProcessStatus(supervisor.pid)?.session == supervisor.pid)
        #expect(ProcessStatus(supervisor.pid)?.foregroundGroup == -1)

        try eventually(within: 5, "the guest's start") {
            (try? String(contentsOfFile: signals, encoding: .utf8))?.hasPrefix("ready") == true
        }
        let report = try JSONValue(parsing: FileManager.default.contents(atPath: file) ?? Data())
        for stream in ["0", "1", "2"] { #expect(report["descriptors"]?[stream]?["target"] == "/dev/null") }
        #expect(report["descriptors"]?["6"]?["target"]?.string == stage.scratch.file("passed"))
        #expect(report["session"]?.integer == Int(supervisor.pid))
        supervisor.signal(SIGTERM)
        try eventually(within: 5, "the supervisor's end") { !supervisor.exists }
        #expect(stage.guestDirectories == [])
    }

    @Test func detachThatFailsEndsWithTheCodeAndOneLine() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for front in Front.supervised {
            let outcome = try stage.program(Program("/no/such"), through: front, ["--detach"]).run()
            #expect(outcome.status == .exit(127) && outcome.output == "")
            #expect(outcome.errors.hasPrefix("leasehold: ") && outcome.errors.filter { $0 == "\n" }.count == 1)
        }
        let busy = try FrontStage()
        defer { busy.end() }
        let hosts = try TwoHosts.shared
        let disk = try hosts.disk()
        let holder = try stage.scratch.start(
            try hosts.first.supervised(["--disk", disk], try Probe.command("log-signals", "60")))
        try holder.waitForOutput("ready")
        let second = try hosts.second.supervised(["--detach", "--disk", disk], try Probe.command("exit", "0")).run()
        #expect(second.status == .exit(75) && second.output == "")
        #expect(second.errors.contains(disk) && second.errors.filter { $0 == "\n" }.count == 1)
    }
}
