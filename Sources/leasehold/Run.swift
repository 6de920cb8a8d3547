import ArgumentParser
import Glibc
import Platform
import SupervisorConnection

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a command under the leases of its disks.",
        discussion: "Takes the options of leasehold-supervisor and becomes it: see leasehold run --help.",
        helpNames: [])

    @Argument(parsing: .captureForPassthrough)
    var arguments: [String] = []

    func run() throws {
        try Run.becomeSupervisor()
    }

    /// Executes the supervisor with what stands behind `run`, byte for byte: it need not be text.
    static func becomeSupervisor() throws {
        let path = try Supervisor.path()
        let given = StringVector(lastArguments: Int(CommandLine.argc) - 2)
        // What the caller set for SIGPIPE is the guest's; this program's own setting must not reach it.
        signal(SIGPIPE, Leasehold.callersPipeDisposition)
        given.execute(path)
        throw Problem(Problem.failure, "\(path): \(SystemError.text(of: errno)); is Leasehold installed whole?")
    }
}

/// The other program of the two.
enum Supervisor {
    /// Its path: beside this program, else as PATH has it.
    static func path() throws -> String {
        if let path = SupervisorProgram.path() { return path }
        throw Problem(Problem.failure, "leasehold-supervisor is neither beside leasehold nor in PATH; install it whole")
    }
}
