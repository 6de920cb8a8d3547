import Foundation
import TestSupport
import Testing

/// The guest's end is the supervisor's end: same status, or death by the same signal.
@Suite struct ExitStatusTests {
    /// Those whose default is to be ignored, to stop or to continue.
    private static let harmless = [SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH]
    private static let fatal = (1...64).filter { !harmless.contains($0) }

    /// Few at a time: there may be two processors.
    private func run<Input>(
        _ inputs: [Input], _ stage: FrontStage, program: (Input) throws -> Program, check: (Input, Outcome) -> Void
    ) throws {
        for start in stride(from: 0, to: inputs.count, by: 4) {
            let some = inputs[start..<min(start + 4, inputs.count)]
            let running = try some.map { ($0, try stage.scratch.start(try program($0))) }
            for (input, program) in running { check(input, try program.finish()) }
        }
    }

    @Test func everyExitStatusPassesThrough() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try run(Array(0...255), stage) {
            try stage.probe(.supervisor, [], "exit", "\($0)")
        } check: { code, outcome in
            #expect(outcome.status == .exit(Int32(code)))
            #expect(outcome.errors == "")
        }
        #expect(stage.guestDirectories == [])
    }

    @Test(arguments: [0, 1, 64, 69, 74, 75, 78, 125, 126, 127, 128, 130, 137, 255] as [Int32])
    func exitStatusOfAGuestUnderALeasePassesThrough(_ code: Int32) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let outcome = try stage.probe(.leased, [], "exit", "\(code)").run()
        #expect(outcome.status == .exit(code), "\(outcome)")
        #expect(outcome.errors == "")
        // What tells a guest's 74 from the supervisor's.
        let record = try stage.exitRecord()
        #expect(record["reason"] == "exited")
        #expect(record["code"]?.integer == Int(code))
        #expect(record["leasesFree"] == true)
    }

    @Test func everyFatalSignalPassesThroughWithoutACoreFile() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let directory = try stage.scratch.directory("cores")
        try run(Self.fatal, stage) { number in
            var program = try stage.probe(.supervisor, [], "signal", "\(number)")
            program.directory = directory
            // The probe itself never leaves one.
            program.inheritance.limits = [.init(resource: Int32(RLIMIT_CORE.rawValue), soft: -1, hard: -1)]
            return program
        } check: { number, outcome in
            #expect(outcome.status == .signal(number))
            #expect(outcome.errors == "")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == [])
        #expect(stage.guestDirectories == [])
    }

    @Test(arguments: [SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGXCPU, 33, 34, 64])
    func signalThatKilledAGuestUnderALeasePassesThrough(_ number: Int32) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let outcome = try stage.probe(.leased, [], "signal", "\(number)").run()
        #expect(outcome.status == .signal(number), "\(outcome)")
        let record = try stage.exitRecord()
        #expect(record["reason"] == "exited")
        #expect(record["signal"]?.integer == Int(number))
    }

    /// The supervisor has to die of a signal that its caller ignores or has blocked.
    @Test func signalPassesThroughAlsoWhereTheCallerIgnoresOrBlocksIt() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try run([SIGHUP, SIGINT, SIGPIPE, SIGALRM, SIGTERM, SIGABRT, 40], stage) { number in
            var program = try stage.probe(.run, [], "signal", "\(number)")
            program.inheritance.ignoredSignals = [number]
            program.inheritance.blockedSignals = [number]
            return program
        } check: { number, outcome in
            #expect(outcome.status == .signal(number))
        }
    }

    @Test(arguments: Front.supervised)
    func exitStatusPassesThroughWhereTheCallerIgnoresSIGCHLD(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for ignored in [[SIGCHLD], [SIGHUP, SIGTERM, SIGPIPE], (1...64).filter { $0 != SIGKILL && $0 != SIGSTOP }] {
            var program = try stage.probe(front, [], "exit", "7")
            program.inheritance.ignoredSignals = ignored
            #expect(try program.run().status == .exit(7))
            program = try stage.probe(front, [], "signal", "9")
            program.inheritance.ignoredSignals = ignored
            #expect(try program.run().status == .signal(SIGKILL))
        }
    }

    /// What a shell makes of it.
    @Test(arguments: Front.allCases)
    func shellTellsTheSignalAs128AndItsNumber(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script =
            #""$@" signal 15; echo $?; "$@" signal 9; echo $?; "$@" exit 143; echo $?; "$@" signal 64; echo $?"#
        let command = try stage.prefix(front) + [try Products.probe()]
        let outcome = try Program(
            "bash", ["-c", script, "bash"] + command, environment: try stage.environment(front)
        ).run()
        #expect(outcome.output == "143\n137\n143\n192\n")
    }

    /// A script without an interpreter's line, as `env`, `nice` and every shell run it.
    @Test(arguments: Front.allCases)
    func scriptWithoutAnInterpreterLineRuns(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script = try stage.scratch.write("echo ran \"$@\"; exit 3\n", to: "script")
        try #require(chmod(script, 0o755) == 0)
        let command = ["env"] + (try stage.prefix(front)) + [script, "a  b"]
        let outcome = try Program(command: command, environment: try stage.environment(front)).run()
        #expect(outcome.status == .exit(3), "\(outcome)")
        #expect(outcome.output == "ran a  b\n")
    }

    /// The same words and codes as of a shell.
    @Test func commandThatCannotBeExecutedIsToldByItsCode() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let plain = try stage.scratch.write("#!/bin/sh\n", to: "plain")
        let broken = try stage.scratch.write("#!/no/such/interpreter\n", to: "broken")
        try #require(chmod(broken, 0o755) == 0)
        let cases: [(String, Int32)] = [
            ("/no/such/program", 127), ("no-such-program-in-path", 127), (plain, 126), (stage.scratch.path, 126),
            ("\(plain)/x", 127),
            (broken, 127), ("", 127),
        ]
        for front in Front.supervised {
            for (command, code) in cases {
                let outcome = try stage.program(Program(command), through: front).run()
                #expect(outcome.status == .exit(code), "\(command) through \(front): \(outcome)")
                #expect(outcome.errors.hasPrefix("leasehold: ") && outcome.errors.filter { $0 == "\n" }.count == 1)
            }
        }
        #expect(stage.guestDirectories == [])
    }
}
