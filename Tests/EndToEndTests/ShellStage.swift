import Foundation
import TestSupport

/// An interactive bash on a terminal, in which `w COMMAND` runs a command through a front, and `g MODE` the probe.
struct ShellStage {
    let stage: FrontStage
    let terminal: Terminal
    let front: Front

    /// `end` belongs into a `defer` behind it.
    init(_ front: Front) throws {
        stage = try FrontStage()
        self.front = front
        // Something to run that tells when it runs, in a word that isn't typed.
        let script = try stage.scratch.write("#!/bin/sh\necho started\nexec sleep ${1:-60}\n", to: "up")
        guard chmod(script, 0o755) == 0 else { throw TestFailure("can't make \(script) executable") }
        let prefix = try stage.prefix(front, ["--stop-timeout", "5s"]).joined(separator: " ")
        terminal = try Terminal.shell(environment: try stage.environment(front), directory: stage.scratch.path)
        try run("alias w='\(prefix) ' g='\(prefix) \(try Products.probe()) '")
    }

    func end() {
        terminal.end()
        stage.end()
    }

    /// Has the shell run a line, and waits for the next prompt.
    ///
    /// - Returns: what it wrote.
    @discardableResult
    func run(_ line: String) throws -> String {
        try type(line)
        return try terminal.expect("$ ")
    }

    /// Types a line, and waits until it is echoed.
    func type(_ line: String) throws {
        try terminal.send(line + "\n")
        try terminal.expect(line + "\r\n")
    }

    /// The exit status of the last command, as the shell tells it.
    func lastStatus() throws -> String {
        try type(#"echo "<$?>""#)
        try terminal.expect("<")
        let status = try terminal.expect(">")
        try terminal.expect("$ ")
        return status
    }

    /// The processes of the job: whatever the shell has started.
    var job: [ProcessIdentity] { terminal.program.descendants }

    /// Waits until everything that the shell has started has ended.
    func expectNoJob() throws { try eventually(within: 5, "the end of \(job)") { job.isEmpty } }

    /// Expects that the guest died of a signal: by the exit record, as the shell's own notice of a job that was stopped
    /// comes when it likes.
    func expectRecord(signal: Int32) throws {
        guard front != .direct else { return }
        let record = try stage.exitRecord()
        guard record["signal"]?.integer == Int(signal) else { throw TestFailure("the guest ended so: \(record)") }
    }

    /// How often a text was written to the terminal.
    func count(_ text: String) -> Int { terminal.transcript.components(separatedBy: text).count - 1 }

    /// The states of all processes of the job but the keeper.
    func states() -> [Character] {
        // The keeper is in a group, or a session, of its own and never stops.
        job.compactMap { ProcessStatus($0.pid) }.filter { !$0.name.hasPrefix("leasehold-keep") }.map(\.state)
    }
}
