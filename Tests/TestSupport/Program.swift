import Foundation

/// How a program ended.
public enum Status: Equatable, Sendable, CustomStringConvertible {
    /// It exited with this status.
    case exit(Int32)
    /// This signal killed it.
    case signal(Int32)

    init(waitStatus: Int32) {
        let number = waitStatus & 0x7f
        self = number == 0 ? .exit(waitStatus >> 8 & 0xff) : .signal(number)
    }

    /// In words.
    public var description: String {
        switch self {
        case .exit(let code): "exit \(code)"
        case .signal(let number): "signal \(number)"
        }
    }
}

/// What a program did, from its start to its end.
public struct Outcome: Sendable, CustomStringConvertible {
    /// How it ended.
    public let status: Status
    /// What it wrote to standard output.
    public let outputData: Data
    /// What it wrote to standard error.
    public let errorData: Data
    /// From start to end, to about a millisecond.
    public let seconds: Double

    /// Standard output as text.
    public var output: String { String(decoding: outputData, as: UTF8.self) }
    /// Standard error as text.
    public var errors: String { String(decoding: errorData, as: UTF8.self) }
    /// Whether it exited with 0.
    public var succeeded: Bool { status == .exit(0) }

    /// All of it, for messages.
    public var description: String { "\(status) after \(seconds) s; output: \(output); errors: \(errors)" }

    /// Standard output as JSON.
    public func json() throws -> JSONValue { try JSONValue(parsing: outputData) }

    /// Itself, where the status is the one expected.
    ///
    /// - Throws: `TestFailure` that shows what the program wrote.
    @discardableResult
    public func expecting(_ expected: Status) throws -> Outcome {
        guard status == expected else { throw TestFailure("expected \(expected), got \(self)") }
        return self
    }
}

/// What a caller hands down besides arguments, environment and descriptors. It is set by `ProbeGuest launch`, which
/// then becomes the program, under the same pid.
public struct Inheritance: Sendable {
    /// One resource limit.
    public struct Limit: Sendable {
        /// A `RLIMIT_…` number, such as `Int32(RLIMIT_NOFILE.rawValue)`.
        public var resource: Int32
        /// The soft limit; -1 for none.
        public var soft: Int64
        /// The hard limit; -1 for none.
        public var hard: Int64

        /// Makes a limit.
        public init(resource: Int32, soft: Int64, hard: Int64) {
            self.resource = resource
            self.soft = soft
            self.hard = hard
        }
    }

    /// Signals that the program ignores from its start.
    public var ignoredSignals: [Int32] = []
    /// Signals that are blocked at its start.
    public var blockedSignals: [Int32] = []
    /// The file mode mask, such as 0o027.
    public var umask: UInt32?
    /// Resource limits.
    public var limits: [Limit] = []
    /// Niceness.
    public var niceness: Int?
    /// Processors it may run on.
    public var processors: [Int] = []
    /// `oom_score_adj`.
    public var outOfMemoryScoreAdjustment: Int?
    /// A session of its own.
    public var newSession = false
    /// The descriptor, in the program, of a terminal that becomes its controlling one; needs `newSession`.
    public var controllingTerminal: Int32?
    /// A process group of its own.
    public var newProcessGroup = false
    /// Further options of `ProbeGuest launch`, as they are.
    public var moreOptions: [String] = []

    /// Hands down nothing special.
    public init() {}

    var options: [String] {
        func list<Number>(_ option: String, _ numbers: [Number]) -> [String] {
            numbers.isEmpty ? [] : [option, numbers.map { "\($0)" }.joined(separator: ",")]
        }
        func one<Number>(_ option: String, _ number: Number?) -> [String] { number.map { [option, "\($0)"] } ?? [] }
        return (newSession ? ["--setsid"] : []) + (newProcessGroup ? ["--new-group"] : [])
            + one("--terminal", controllingTerminal) + one("--umask", umask.map { String($0, radix: 8) })
            + limits.flatMap { ["--limit", "\($0.resource)=\($0.soft):\($0.hard)"] } + one("--nice", niceness)
            + list("--processors", processors) + one("--oom-score-adjust", outOfMemoryScoreAdjustment) + moreOptions
            + list("--ignore", ignoredSignals) + list("--block", blockedSignals)
    }
}

/// A program to start: a value that can be started more than once. Everything here blocks the calling thread.
///
/// It starts with exactly the descriptors named, no blocked signal and no ignored one, unless `inheritance` says so.
public struct Program: Sendable {
    /// Where standard input comes from.
    public enum Input: Sendable {
        /// /dev/null.
        case null
        /// These bytes through a pipe, then end of file; at most 64 KiB, the size of a pipe.
        case data(Data)
        /// A pipe that `RunningProgram.send` writes to.
        case pipe
        /// A descriptor of the test's.
        case descriptor(Int32)
        /// Closed.
        case closed
    }

    /// Where standard output or error goes.
    public enum Output: Sendable {
        /// A pipe that is read all the time.
        case collected
        /// /dev/null.
        case null
        /// A file, made or emptied first.
        case file(String)
        /// A descriptor of the test's.
        case descriptor(Int32)
        /// Closed.
        case closed
    }

    /// The program: a path, or a name to be found in PATH.
    public var path: String
    /// Its arguments, without the zeroth.
    public var arguments: [String]
    /// `argv[0]`, where it isn't `path`.
    public var argumentZero: String?
    /// Variables on top of the test's own environment, or all there are (see `inheritsEnvironment`).
    public var environment: [String: String]
    /// Whether the test's own environment is passed on.
    public var inheritsEnvironment = true
    /// The working directory, where it isn't the test's.
    public var directory: String?
    /// Standard input.
    public var input: Input = .null
    /// Standard output.
    public var output: Output = .collected
    /// Standard error.
    public var errors: Output = .collected
    /// More descriptors: the number in the program, and the test's descriptor that it gets a copy of.
    public var passing: [Int32: Int32] = [:]
    /// What else is handed down.
    public var inheritance = Inheritance()

    /// Describes a program.
    public init(
        _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], directory: String? = nil
    ) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
    }

    /// Describes a program by its whole command line.
    public init(command: [String], environment: [String: String] = [:], directory: String? = nil) {
        self.init(command[0], Array(command.dropFirst()), environment: environment, directory: directory)
    }

    /// This program behind a prefix, such as the supervisor and its options up to `--`.
    public func prefixed(by prefix: [String]) -> Program {
        var program = self
        program.path = prefix[0]
        program.arguments = prefix.dropFirst() + [path] + arguments
        return program
    }

    /// Runs it to its end.
    ///
    /// After the end, at most half a second is spent waiting for others that still hold its output open.
    /// - Throws: `TestFailure` where it can't start, or still runs after `timeout` seconds (it is killed then, with
    ///   its descendants).
    public func run(timeout: Double = 30) throws -> Outcome {
        let running = try start()
        defer { running.end() }
        return try running.finish(timeout: timeout)
    }

    /// Runs a program to its end: the short form.
    public static func run(
        _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], directory: String? = nil,
        input: Data? = nil, timeout: Double = 30
    ) throws -> Outcome {
        var program = Program(path, arguments, environment: environment, directory: directory)
        if let input { program.input = .data(input) }
        return try program.run(timeout: timeout)
    }

    /// Starts it. `Scratch.start` does the same and ends it with the scratch directory; without, it is killed when
    /// the test process ends, at the latest.
    public func start() throws -> RunningProgram {
        let minder = try minder()
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        func opening(_ path: String, _ flags: Int32) throws -> Int32 {
            let descriptor = open(path, flags | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw systemError("can't open \(path)") }
            opened.append(descriptor)
            return descriptor
        }
        func pipeEnds() throws -> (readEnd: Int32, writeEnd: Int32) { try makePipe() }

        var descriptors = passing
        var inputPipe: Int32?
        var outputPipe: Int32?
        var errorPipe: Int32?
        switch input {
        case .closed: break
        case .null: descriptors[0] = try opening("/dev/null", O_RDONLY)
        case .descriptor(let given): descriptors[0] = given
        case .pipe, .data:
            let pipe = try pipeEnds()
            opened.append(pipe.readEnd)
            descriptors[0] = pipe.readEnd
            inputPipe = pipe.writeEnd
        }
        func target(_ output: Output, _ readEnd: inout Int32?) throws -> Int32? {
            switch output {
            case .closed: return nil
            case .null: return try opening("/dev/null", O_WRONLY)
            case .file(let path): return try opening(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND)
            case .descriptor(let given): return given
            case .collected:
                let pipe = try pipeEnds()
                opened.append(pipe.writeEnd)
                readEnd = pipe.readEnd
                return pipe.writeEnd
            }
        }
        descriptors[1] = try target(output, &outputPipe)
        descriptors[2] = try target(errors, &errorPipe)

        let started = monotonicNanoseconds()
        let (file, list) = try commandLine()
        do {
            let pid = try spawn(
                path: file, arguments: list, environment: environmentList(), descriptors: descriptors,
                directory: directory)
            let running = RunningProgram(
                pid: pid, startedNanoseconds: started, name: path, input: inputPipe, output: outputPipe,
                errors: errorPipe)
            minder.tell("process \(pid) \(running.identity.startTime)")
            if case .data(let data) = input {
                // A program that doesn't read its input is no failure.
                try? running.send(data)
                running.closeInput()
            }
            return running
        } catch {
            for end in [inputPipe, outputPipe, errorPipe] { if let end { close(end) } }
            throw error
        }
    }

    private func commandLine() throws -> (file: String, arguments: [String]) {
        let options = inheritance.options
        guard !options.isEmpty else { return (path, [argumentZero ?? path] + arguments) }
        let probe = try Products.probe()
        let zero = argumentZero.map { ["--argument-zero", $0] } ?? []
        return (probe, [probe, "launch"] + options + zero + ["--", path] + arguments)
    }

    private func environmentList() -> [String] {
        var all = inheritsEnvironment ? ProcessInfo.processInfo.environment : [:]
        all.merge(environment) { $1 }
        return all.map { "\($0.key)=\($0.value)" }.sorted()
    }
}
