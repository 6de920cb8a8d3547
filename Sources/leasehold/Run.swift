import ArgumentParser
import Glibc
import Platform

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
        var buffer = [CChar](repeating: 0, count: 4097)
        let size = readlink("/proc/self/exe", &buffer, 4096)
        if size > 0 {
            let own = String(decoding: buffer[..<size].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let candidate = own.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/leasehold-supervisor"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        for directory in (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":") {
            let candidate = "\(directory)/leasehold-supervisor"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        throw Problem(Problem.failure, "leasehold-supervisor is neither beside leasehold nor in PATH; install it whole")
    }
}
