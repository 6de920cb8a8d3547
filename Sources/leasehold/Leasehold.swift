import ArgumentParser
import ControlProtocol
import Glibc
import Platform
import Supervision
import SupervisorConnection

@main
struct Leasehold: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leasehold",
        abstract: "Runs virtual machines under the sanlock leases of their disks.",
        version: leaseholdVersion,
        subcommands: [
            Run.self, List.self, Status.self, ChildPid.self, Wait.self, Stop.self, Kill.self, Events.self,
            AttachDisk.self, DetachDisk.self, AttachLease.self, DetachLease.self, ChangeDisk.self, Suspend.self,
            Resume.self, Migrate.self, RequestCommand.self, Upgrade.self, Doctor.self, Metrics.self, LeaseCommand.self,
            LockspaceCommand.self, SupervisorCommand.self,
        ])

    /// What the caller had set for SIGPIPE.
    nonisolated(unsafe) static var callersPipeDisposition: sighandler_t? = SIG_DFL

    static func main() {
        // A reader that has gone away is an error of the write, not the end of this process.
        callersPipeDisposition = signal(SIGPIPE, SIG_IGN)
        do {
            // Straight through: what is the supervisor's to read, thousands of arguments perhaps, is not read here.
            if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "run" { try Run.becomeSupervisor() }
            var command = try parseAsRoot()
            do { try command.run() } catch let error as ConnectionError { throw Problem(error) }
        } catch let problem as Problem {
            try? Files.write(Array("leasehold: \(problem.text.printable)\n".utf8), to: 2)
            Glibc.exit(problem.code)
        } catch let code as ExitCode {
            Glibc.exit(code.rawValue)
        } catch  where exitCode(for: error) == .success {
            exit(withError: error)
        } catch {
            // The library would add how the command is used, over several lines.
            let line = message(for: error).printable
            try? Files.write(Array("leasehold: \(line); see --help\n".utf8), to: 2)
            Glibc.exit(exitCode(for: error).rawValue)
        }
    }
}

/// What went wrong: one line, and the exit code.
struct Problem: Error {
    static let notFound = ExitStatus.Code.notFound
    static let usage = ExitStatus.Code.usage
    static let busy = ExitStatus.Code.busy
    static let unavailable = ExitStatus.Code.unavailable
    static let cantCreate = ExitStatus.Code.cantCreate
    static let notPermitted = ExitStatus.Code.notPermitted
    static let configuration = ExitStatus.Code.configuration
    static let failure = ExitStatus.Code.failure

    let code: Int32
    let text: String

    init(_ code: Int32, _ text: String) {
        self.code = code
        self.text = text
    }
}

/// Writes to standard output; where nobody reads any more, the command ends as if it were done.
func show(_ text: String) throws {
    do throws(SystemError) { try Files.write(Array(text.utf8), to: 1) } catch {
        if error.number == EPIPE { Glibc.exit(0) }
        throw Problem(Problem.failure, "standard output \(error.message)")
    }
}
