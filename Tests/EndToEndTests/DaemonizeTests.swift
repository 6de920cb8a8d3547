import Foundation
import TestSupport
import Testing

/// QEMU's own `-daemonize`: the command returns when the guest is ready, and the supervisor stays with what stays.
@Suite struct DaemonizeTests {
    private func qemu(_ stage: FrontStage, _ front: Front, _ more: [String]) throws -> Program {
        let command = QEMU.command(qmpSocket: stage.scratch.file("qmp"), more: ["-daemonize"] + more)
        return try stage.program(Program(command: command), through: front, ["--name", "daemon"])
    }

    /// The processes that were started on the stage and live, but for this one.
    private func living(_ stage: FrontStage) -> [ProcessIdentity] { stage.scratch.strayProcesses }

    @Test(arguments: Front.allCases)
    func daemonizeReturnsWhenTheGuestIsReady(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let pidFile = stage.scratch.file("qemu.pid")
        let caller = try stage.scratch.start(try qemu(stage, front, ["-pidfile", pidFile]))
        let outcome = try caller.finish(timeout: 20)
        // Ready means that the monitor answers.
        let monitor = try QMP(stage.scratch.file("qmp"))
        #expect(try monitor.status() == "running")
        #expect(outcome.status == .exit(0), "\(outcome)")
        #expect(outcome.output == "" && outcome.errors == "")
        #expect(caller.hasEnded(.output) && caller.hasEnded(.errors))

        let text = try String(contentsOfFile: pidFile, encoding: .utf8)
        let guest = try FrontStage.process(Int(text.filter(\.isNumber)))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(guest.pid)/exe").contains("qemu"))
        guard front != .direct else { return guest.signal(SIGKILL) }

        let cli = Program(try Products.cli(), ["child-pid", "daemon"], environment: try stage.environment(front))
        #expect(try cli.run().output == "\(guest.pid)\n")
        let kept = try String(contentsOfFile: "\(stage.runDirectory)/guests/daemon/child.pid", encoding: .utf8)
        #expect(kept == "\(guest.pid)\n")
        try Program(try Products.cli(), ["kill", "daemon"], environment: try stage.environment(front)).run()
            .expecting(.exit(0))
        #expect(!guest.exists)
        try eventually(within: 2, "the end of all: \(living(stage))") { living(stage).isEmpty }
        let record = try stage.exitRecord()
        #expect(record["reason"] == "killed" && record["signal"] == 9)
    }

    @Test(arguments: Front.allCases)
    func guestThatFailsBeforeItIsReadyIsToldByItsOwnStatusAndWords(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let outcome = try qemu(stage, front, ["-device", "no-such-device"]).run()
        #expect(outcome.status == .exit(1))
        #expect(outcome.output == "" && outcome.errors.contains("no-such-device"))
        #expect(outcome.errors.filter { $0 == "\n" }.count == 1, "\(outcome.errors)")
        #expect(living(stage).isEmpty)
        #expect(stage.guestDirectories == [])
    }

    /// With `--detach` on top the line is printed too; `--ready-fd` comes no earlier than readiness.
    @Test func daemonizeWithDetachPrintsTheLineOfWhatStays() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let command = QEMU.command(qmpSocket: stage.scratch.file("qmp"), more: ["-daemonize"])
        let outcome = try stage.program(
            Program(command: command), through: .leased, ["--name", "daemon", "--detach"]
        ).run()
        #expect(outcome.status == .exit(0), "\(outcome)")
        let monitor = try QMP(stage.scratch.file("qmp"))
        #expect(try monitor.status() == "running")
        let line = try JSONValue(parsing: outcome.output)
        let guest = try FrontStage.process(line["childPid"]?.integer)
        let path = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(guest.pid)/exe")
        #expect(path.contains("qemu"))
        _ = try? monitor.execute("quit")
        try eventually(within: 5, "the end of all: \(living(stage))") { living(stage).isEmpty }
        #expect(try stage.exitRecord()["code"] == 0)
    }

    @Test(arguments: Front.allCases)
    func callersPipelineEndsWhileTheDaemonGoesOn(_ front: Front) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let command = QEMU.command(qmpSocket: stage.scratch.file("qmp"), more: ["-daemonize"])
        let prefix = try stage.prefix(front, ["--name", "daemon"])
        // The shell waits for `cat`, which waits for everyone who has the pipe open.
        let script = #""$@" 2>&1 | cat; echo "statuses ${PIPESTATUS[*]}""#
        let outcome = try Program(
            "bash", ["-c", script, "bash"] + prefix + command, environment: try stage.environment(front)
        ).run(timeout: 20)
        #expect(outcome.output == "statuses 0 0\n", "\(outcome)")
        let monitor = try QMP(stage.scratch.file("qmp"))
        _ = try? monitor.execute("quit")
        try eventually(within: 5, "the end of all: \(living(stage))") { living(stage).isEmpty }
    }
}
